import type { Log } from "../log/log.ts";
import { QueueError, type QueueStore, type Settled, type Settlement } from "../queue/store.ts";
import type { Clock } from "../runtime/clock.ts";
import { errorText } from "./options.ts";

interface SettlerOptions {
  readonly store: QueueStore;
  readonly clock: Clock;
  readonly log: Log;
  /** The store answers nothing any more. */
  readonly broken: (error: unknown) => void;
}

const firstRetry_ms = 1000;
const lastRetry_ms = 60_000;

/**
 * Writes outcomes to the store, and asks again for as long as it has no room:
 * what was delivered must be noted, or it would be delivered again.
 */
export class Settler {
  readonly #options: SettlerOptions;
  #stopped = false;
  /** Settlements that the store has not answered for good. */
  inHand = 0;

  constructor(options: SettlerOptions) {
    this.#options = options;
  }

  stop(): void {
    this.#stopped = true;
  }

  /**
   * Calls `done` once, with undefined when the message turned out to be unreadable and was set aside; not at all after stop().
   * Where the same settlement is not to be tried twice, `again` is called in its place: it settles anew.
   */
  settle(settlement: Settlement, done: (settled: Settled | undefined) => void, again?: () => void): void {
    this.inHand++;
    this.#try(settlement, { done, again }, firstRetry_ms);
  }

  #try(settlement: Settlement, then: Continuation, pause_ms: number): void {
    if (this.#stopped) return;
    this.#options.store.settle(settlement).then(
      (settled) => this.#answer(then.done, settled),
      (error) => this.#refused(settlement, then, pause_ms, error),
    );
  }

  #answer(done: (settled: Settled | undefined) => void, settled: Settled | undefined): void {
    this.inHand--;
    if (!this.#stopped) done(settled);
  }

  #refused(settlement: Settlement, { done, again }: Continuation, pause_ms: number, error: unknown): void {
    if (this.#stopped) return;
    const { clock, log, broken } = this.#options;
    const { id } = settlement;
    if (error instanceof QueueError && error.kind === "corrupt") {
      log.warning(`saving corrupt file "${id}" from queue "active" to queue "corrupt"`);
      this.#answer(done, undefined);
      return;
    }
    log.warning(`${id}: cannot write the outcome of the delivery to the queue: ${errorText(error)}`);
    if (error instanceof QueueError && error.kind === "failed") {
      broken(error);
      return;
    }
    clock.after(pause_ms, () => {
      if (!again) return this.#try(settlement, { done, again }, Math.min(pause_ms * 2, lastRetry_ms));
      this.inHand--;
      if (!this.#stopped) again();
    });
  }
}

interface Continuation {
  readonly done: (settled: Settled | undefined) => void;
  readonly again: (() => void) | undefined;
}
