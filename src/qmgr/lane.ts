import { Fifo } from "./fifo.ts";
import type { TransportLimits } from "./limits.ts";

/**
 * One transport: a number of slots for deliveries, and the order in which
 * messages and destinations get them. No clock, no I/O.
 *
 * Fairness. A destination with room gives tickets to the work that waits for
 * it, in turns. Work that holds a ticket stands in its message's line, and the
 * messages of a transport take turns for slots. So neither a mailing to
 * thousands of recipients nor a destination with thousands of messages delays
 * what comes behind it by more than a turn.
 *
 * Cost. A ticket is given and taken back a constant number of times for each
 * delivery; no list is ever searched.
 *
 * Invariants
 *  1. busy + tickets of a destination never exceed its window, except while the window shrinks.
 *  2. Work is in exactly one place: its destination's line, its message's line, or handed out by take().
 *  3. A message is in the ring if and only if its line is not empty.
 */
export class Lane {
  readonly name: string;
  readonly limits: TransportLimits;
  readonly slots: number;
  readonly #ring = new Fifo<Line>();
  busy = 0;
  /** For transport rate delays: until when nothing is begun, milliseconds since the epoch. */
  pausedUntil_ms: number | undefined;

  /** With a transport rate delay there is one slot, whatever `slots` says. */
  constructor(name: string, limits: TransportLimits, slots: number) {
    this.name = name;
    this.limits = limits;
    this.slots = limits.transportDelay_ms > 0 ? 1 : slots;
  }

  /** New work waits for its turn. */
  add(work: Turn): void {
    work.destination.waiting.push(work);
    this.offer(work.destination);
  }

  /** Gives tickets for the room that a destination has. To be called whenever it may have got some. */
  offer(destination: Place): void {
    if (destination.paused || destination.suspension) return;
    while (destination.busy + destination.tickets < destination.concurrency.window) {
      const work = destination.waiting.shift();
      if (!work) return;
      destination.tickets++;
      const line = lineOf(work.message, this);
      line.works.push(work);
      if (line.works.length === 1) this.#ring.push(line);
    }
  }

  /**
   * The work whose turn it is, or undefined when there is none, no slot is
   * free or the transport pauses. Its destination may have been suspended since the ticket was given:
   * the caller then disposes of it. Otherwise the caller calls begin().
   */
  take(): Turn | undefined {
    while (this.busy < this.slots && this.pausedUntil_ms === undefined) {
      const line = this.#ring.shift();
      const work = line?.works.shift();
      if (!line || !work) return undefined;
      if (line.works.length > 0) this.#ring.push(line);
      const { destination } = work;
      destination.tickets--;
      if (destination.open || destination.suspension) return work;
      destination.waiting.unshift(work);
    }
    return undefined;
  }

  /** One batch of this work is under way; what is left of it waits for its next turn. The batch's recipients. */
  begin(work: Turn): readonly number[] {
    const { destination, recipients, next } = work;
    const { recipients: limit } = this.limits;
    destination.busy++;
    this.busy++;
    if (next === 0 && recipients.length <= limit) {
      work.next = recipients.length;
      return recipients;
    }
    const batch = recipients.slice(next, next + limit);
    work.next = next + batch.length;
    if (work.next < recipients.length) this.add(work);
    return batch;
  }

  /** A batch has ended. */
  end(destination: Place): void {
    destination.busy--;
    this.busy--;
  }
}

/** Work, as far as turns are concerned. */
export interface Turn {
  readonly message: { readonly lines: Line[] };
  readonly destination: Place;
  readonly recipients: readonly number[];
  next: number;
}

/** A destination, as far as turns are concerned. */
export interface Place {
  readonly waiting: Fifo<Turn>;
  readonly concurrency: { readonly window: number };
  readonly open: boolean;
  readonly paused: boolean;
  readonly suspension: object | undefined;
  busy: number;
  tickets: number;
}

/** The work of one message that holds tickets of one lane. */
export interface Line {
  readonly lane: Lane;
  readonly works: Fifo<Turn>;
}

function lineOf(message: Turn["message"], lane: Lane): Line {
  for (const line of message.lines) if (line.lane === lane) return line;
  const line = { lane, works: new Fifo<Turn>() };
  message.lines.push(line);
  return line;
}
