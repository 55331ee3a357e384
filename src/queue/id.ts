import type { Clock } from "../runtime/clock.ts";

/**
 * Queue ids. An id is an integer below 2^53, printed as upper-case
 * hexadecimal: milliseconds since the epoch times 1024, plus a count, whose
 * lowest bit is that of the generation. So ids grow with time, 512 of them fit
 * a millisecond (more borrow from the next ones), and two generations that
 * live at once never give the same. Good until the year 2248.
 */
export class IdSequence {
  readonly #clock: Clock;
  readonly #parity: number;
  #last: number;

  /** `least`: every id is larger than this one. */
  constructor(clock: Clock, generation: number, least = 0) {
    this.#clock = clock;
    this.#parity = generation & 1;
    this.#last = least;
  }

  next(): number {
    const now = Math.floor(this.#clock.now()) * idsPerMillisecond;
    let next = Math.max(now, this.#last + 1);
    if (next % 2 !== this.#parity) next++;
    this.#last = next;
    return next;
  }
}

const idsPerMillisecond = 1024;

export function formatId(id: number): string {
  return id.toString(16).toUpperCase();
}

/** The number of a queue id, or undefined for what cannot be one. Case does not matter. */
export function parseId(text: string): number | undefined {
  if (!/^[0-9A-F]{1,14}$/i.test(text)) return undefined;
  const id = Number.parseInt(text, 16);
  return Number.isSafeInteger(id) ? id : undefined;
}
