/**
 * A number of places that many share: who finds none free waits for its turn, first come, first served.
 * Bounds what all bodies together have on the way to the disk, however many are written at once.
 */
export class Allowance {
  #free: number;
  readonly #waiting: (() => void)[] = [];
  #head = 0;

  constructor(places: number) {
    this.#free = places;
  }

  /** Takes a place: at once (undefined), or when the promise resolves. */
  take(): Promise<void> | undefined {
    if (this.#free > 0) {
      this.#free--;
      return undefined;
    }
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Gives a place back, to whoever has waited longest. */
  give(): void {
    const next = this.#waiting[this.#head];
    if (!next) {
      this.#free++;
      return;
    }
    this.#head++;
    if (this.#head === this.#waiting.length) {
      this.#waiting.length = 0;
      this.#head = 0;
    }
    next();
  }
}
