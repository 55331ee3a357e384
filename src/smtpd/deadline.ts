/**
 * How long a client may take: smtpd_timeout for each whole command from the
 * reply before it; bytes that dribble in do not move it. In a message, bytes buy
 * time at smtpd_min_data_rate. It does not run while we are the ones who are slow.
 *
 * One timer a session: it looks at the deadline when it fires, so that moving
 * the deadline, which is done for each command, costs nothing.
 */
import type { Clock, Timer } from "../runtime/clock.ts";

export interface DeadlineOptions {
  readonly clock: Clock;
  /** The time limit in force at the moment: shorter under stress. */
  limit_s(): number;
  /** The client is waiting for us. */
  waiting(): boolean;
  /** Time is up. Called once for each time that was set. */
  passed(): void;
}

export class Deadline {
  readonly #options: DeadlineOptions;
  #timer: Timer | undefined;
  #at_ms = 0;
  /** endIn() was called: nothing moves it any more. */
  #final = false;

  constructor(options: DeadlineOptions) {
    this.#options = options;
    this.touch();
    this.#arm();
  }

  /** A whole time limit from now on. */
  touch(): void {
    if (!this.#final) this.#at_ms = this.#latest_ms;
  }

  /** Bytes of a message put it off, up to a whole time limit. */
  earn(size_bytes: number, rate_bytes_per_s: number): void {
    if (this.#final) return;
    this.#at_ms = Math.min(this.#latest_ms, this.#at_ms + (size_bytes / rate_bytes_per_s) * 1000);
  }

  /** The time limit has become shorter. */
  hurry(): void {
    if (this.#final) return;
    this.#at_ms = Math.min(this.#at_ms, this.#latest_ms);
    this.#arm();
  }

  /** In so many milliseconds, whatever comes. */
  endIn(left_ms: number): void {
    this.#final = true;
    this.#at_ms = this.#options.clock.monotonic() + left_ms;
    this.#arm();
  }

  cancel(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  get #latest_ms(): number {
    return this.#options.clock.monotonic() + this.#options.limit_s() * 1000;
  }

  #arm(): void {
    this.#timer?.cancel();
    const left_ms = Math.max(1, this.#at_ms - this.#options.clock.monotonic());
    this.#timer = this.#options.clock.after(left_ms, () => this.#fired(), { idle: true });
  }

  #fired(): void {
    if (this.#options.waiting()) this.touch();
    if (this.#options.clock.monotonic() < this.#at_ms) this.#arm();
    else this.#options.passed();
  }
}
