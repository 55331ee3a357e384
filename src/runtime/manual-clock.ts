import type { Clock, Timer } from "./clock.ts";

interface Waiting {
  at: number;
  order: number;
  cancelled: boolean;
  readonly delay_ms: number;
  readonly wake: () => void;
}

/** A clock that stands still until it is told to go on. Timers fire in the order of their times, ties in the order set. */
export class ManualClock implements Clock {
  #now: number;
  #elapsed = 0;
  #order = 0;
  readonly #waiting = new Set<Waiting>();

  constructor(start_ms = Date.UTC(2026, 0, 1)) {
    this.#now = start_ms;
  }

  now(): number {
    return this.#now;
  }

  monotonic(): number {
    return this.#elapsed;
  }

  zoneOffset_min(): number {
    return 0;
  }

  after(delay_ms: number, wake: () => void): Timer {
    const entry: Waiting = {
      at: this.#elapsed + Math.max(0, delay_ms),
      order: this.#order++,
      cancelled: false,
      delay_ms,
      wake,
    };
    this.#waiting.add(entry);
    return {
      cancel: () => {
        entry.cancelled = true;
        this.#waiting.delete(entry);
      },
      restart: () => {
        if (entry.cancelled) return;
        entry.at = this.#elapsed + entry.delay_ms;
        entry.order = this.#order++;
        this.#waiting.add(entry);
      },
    };
  }

  /** Milliseconds until the next timer, or undefined when none is set. */
  get next_ms(): number | undefined {
    const first = this.#first();
    return first && first.at - this.#elapsed;
  }

  /** Moves time on, firing what falls due on the way. */
  advance(by_ms: number): void {
    const end = this.#elapsed + by_ms;
    for (let first = this.#first(); first && first.at <= end; first = this.#first()) {
      this.#moveTo(first.at);
      this.#waiting.delete(first);
      first.wake();
    }
    this.#moveTo(end);
  }

  /** The wall clock is set, as an administrator or NTP would; timers do not notice. */
  jump(by_ms: number): void {
    this.#now += by_ms;
  }

  #moveTo(elapsed: number): void {
    this.#now += elapsed - this.#elapsed;
    this.#elapsed = elapsed;
  }

  #first(): Waiting | undefined {
    let first: Waiting | undefined;
    for (const each of this.#waiting) {
      if (!first || each.at < first.at || (each.at === first.at && each.order < first.order)) first = each;
    }
    return first;
  }
}
