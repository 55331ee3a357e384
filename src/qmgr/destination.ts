import type { NextHop } from "../queue/delivery.ts";
import type { Timer } from "../runtime/clock.ts";
import type { ActiveMessage } from "./active.ts";
import { Concurrency } from "./concurrency.ts";
import { Fifo } from "./fifo.ts";
import type { Lane } from "./lane.ts";

/**
 * Why nothing is delivered to a destination, and until when.
 *   failed   it could not be reached, or serves nobody
 *   refused  it refuses our login: an administrator has to mend that
 */
export interface Suspension {
  readonly kind: "failed" | "refused";
  /** Enhanced status code, class 4. */
  readonly dsn: string;
  /** What the last delivery said. */
  readonly reason: string;
  /** Milliseconds since the epoch. */
  readonly until_ms: number;
}

/** The recipients of one message for one destination: handed over in batches, from `next` on. */
export interface Work {
  readonly message: ActiveMessage;
  readonly destination: Destination;
  readonly recipients: readonly number[];
  next: number;
}

/**
 * One destination of one transport: how many deliveries it bears, what waits
 * for it, and whether it is suspended. Exists while there is something to
 * remember: deliveries, work, a suspension, a pause.
 */
export class Destination {
  /** As settlements name it: "smtp:[mail.example]:587". */
  readonly key: string;
  readonly route: NextHop;
  readonly lane: Lane;
  readonly concurrency: Concurrency;
  /** Work in the order of its turns. What holds a ticket (lane.ts) is not in here. */
  readonly waiting = new Fifo<Work>();
  busy = 0;
  tickets = 0;
  /** For rate delays: the end of the pause after a delivery, milliseconds since the epoch. */
  pausedUntil_ms: number | undefined;
  suspension: Suspension | undefined;
  timer: Timer | undefined;
  /** When a warning about its share of the active set may be given again: monotonic. */
  nextClogWarning_ms = 0;
  /** It has more than its share of the active set: the store is asked for other mail. */
  saturated = false;
  /** It stands in the line of those whose work is to be deferred. */
  draining = false;

  constructor(key: string, route: NextHop, lane: Lane) {
    this.key = key;
    this.route = route;
    this.lane = lane;
    this.concurrency = new Concurrency(lane.limits.concurrency);
  }

  get paused(): boolean {
    return this.pausedUntil_ms !== undefined;
  }

  /** May another delivery begin? */
  get open(): boolean {
    return !this.paused && !this.suspension && this.busy < this.concurrency.window;
  }

  /** What is under way or waiting. */
  get load(): number {
    return this.busy + this.tickets + this.waiting.length;
  }

  /** Nothing is left to remember. */
  get idle(): boolean {
    return this.load === 0 && !this.suspension && !this.paused;
  }
}
