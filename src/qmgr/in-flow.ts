import type { Clock, Timer } from "../runtime/clock.ts";

interface InFlowOptions {
  readonly clock: Clock;
  /** How long a message may be made to wait; 0 for never. */
  readonly delay_ms: number;
  /** What comes in now might go past the active set, to wait in the store. */
  readonly full: () => boolean;
}

/**
 * Slows down those who bring mail faster than it goes out, and never stops
 * them: while the active set is full, a message that comes in waits until one
 * has gone out for it, in the order of arrival, or else for the delay. So what
 * comes in is at most what goes out, and one message for each sender and delay.
 */
export class InFlow {
  readonly #options: InFlowOptions;
  /** In the order of arrival. */
  readonly #waiting = new Set<Waiter>();
  #ended = false;

  constructor(options: InFlowOptions) {
    this.#options = options;
  }

  /** A message wants in. Undefined where it need not wait. */
  enter(): Promise<void> | undefined {
    const { clock, delay_ms, full } = this.#options;
    if (this.#ended || delay_ms === 0 || !full()) return undefined;
    return new Promise((resolve) => {
      const waiter: Waiter = {
        resolve,
        timer: clock.after(delay_ms, () => this.#release(waiter)),
      };
      this.#waiting.add(waiter);
    });
  }

  /** A message has been tried, and is out of the active set. */
  left(): void {
    const [first] = this.#waiting;
    if (first) this.#release(first);
  }

  /** Nobody has to wait any more. */
  end(): void {
    this.#ended = true;
    for (const waiter of [...this.#waiting]) this.#release(waiter);
  }

  #release(waiter: Waiter): void {
    waiter.timer.cancel();
    this.#waiting.delete(waiter);
    waiter.resolve();
  }
}

interface Waiter {
  readonly resolve: () => void;
  readonly timer: Timer;
}
