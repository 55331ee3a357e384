import { type Feedback, feedbackAt } from "./feedback.ts";

/**
 * How many deliveries at once one destination is worth: a machine of numbers,
 * fed with what became of each delivery.
 *
 * States, and the call that makes each move:
 *   open -> open    succeeded   the window grows, up to the limit
 *   open -> open    failed      the window shrinks, down to 1
 *   open -> dead    failed      as many failures as make `failedCohorts` whole windows
 *   dead -> open    succeeded   a delivery that was still under way got through
 *   dead -> open    resume      it has waited long enough
 *
 * Growth and shrinking have separate hystereses: a positive step takes effect at
 * the end of its cycle, a negative one at the beginning, so that one failure
 * shows at once and one success does not undo it.
 */
export interface ConcurrencyLimits {
  readonly initial: number;
  /** 0: none. */
  readonly limit: number;
  /** 0: failures never make it dead. */
  readonly failedCohorts: number;
  readonly positive: Feedback;
  readonly negative: Feedback;
}

export class Concurrency {
  readonly #limits: ConcurrencyLimits;
  #window: number;
  #dead = false;
  #success = 0;
  #failure = 0;
  #failedCohorts = 0;

  constructor(limits: ConcurrencyLimits) {
    this.#limits = limits;
    this.#window = limits.initial;
  }

  /** How many deliveries may be under way: 0 while dead. */
  get window(): number {
    return this.#dead ? 0 : this.#window;
  }

  get dead(): boolean {
    return this.#dead;
  }

  /** The destination answered as a working one does. `busy`: deliveries under way, the one that ended included. */
  succeeded(busy: number): void {
    this.#failedCohorts = 0;
    if (this.#dead) {
      this.resume(busy);
      return;
    }
    const { limit, initial, positive } = this.#limits;
    if (limit !== 0 && this.#window >= limit) return;
    // The window stays near what is really in use, or shrinking it would have no effect.
    if (this.#window >= busy + initial) return;
    const step = feedbackAt(positive, this.#window);
    if (step === 0) return;
    this.#success += step;
    // Half a step of tolerance: sums of fractions do not quite reach 1.
    while (this.#success + step / 2 >= 1) {
      this.#window++;
      this.#success--;
      this.#failure = 0;
    }
    if (limit !== 0 && this.#window > limit) this.#window = limit;
  }

  /** The destination could not be reached or served us badly. True when that made it dead. */
  failed(): boolean {
    if (this.#dead) return false;
    const { failedCohorts, negative } = this.#limits;
    this.#failedCohorts += 1 / this.#window;
    if (failedCohorts > 0 && this.#failedCohorts >= failedCohorts - 1e-9) {
      this.#dead = true;
      return true;
    }
    const step = feedbackAt(negative, this.#window);
    this.#failure -= step;
    while (this.#failure - step / 2 < 0 && step > 0) {
      this.#window--;
      this.#success = 0;
      this.#failure++;
    }
    if (this.#window < 1) this.#window = 1;
    return false;
  }

  /** Makes it dead at once, whatever the count of failures. */
  kill(): void {
    this.#dead = true;
  }

  /** Another chance. What concurrency it bears now is anybody's guess. */
  resume(busy: number): void {
    this.#dead = false;
    this.#window = busy > 0 ? busy : this.#limits.initial;
    this.#success = 0;
    this.#failure = 0;
    this.#failedCohorts = 0;
  }
}
