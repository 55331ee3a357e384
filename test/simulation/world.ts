import { createHash } from "node:crypto";
import { setImmediate } from "node:timers/promises";
import { ManualClock } from "../../src/runtime/manual-clock.ts";
import { type Rng, rngFrom } from "../crash/rng.ts";

/** What everything in a simulated run shares: time, chance, and the record of what happened. All of it follows from the seed. */
export class World {
  readonly clock = new ManualClock();
  readonly trace: string[] = [];
  readonly #random: Rng;
  /** False at the end of a run, when everything works again. */
  faulty = true;
  /** How many of the commits that fail do so at the sync, and for good. */
  failingSyncs = 0.15;
  /** How many reads of the queue fail. */
  failingReads = 0.05;
  /** How many messages do not fit one piece of the queue. */
  largeMessages = 0.1;
  violation: string | undefined;

  constructor(seed: number) {
    this.#random = rngFrom(seed);
  }

  chance(probability: number): boolean {
    return this.#random() < probability;
  }

  /** From 0 up to below `count`. */
  below(count: number): number {
    return Math.floor(this.#random() * count);
  }

  pick<T>(from: readonly T[]): T | undefined {
    return from[this.below(from.length)];
  }

  note(line: string): void {
    this.trace.push(`${this.clock.monotonic()} ${line}`);
  }

  /** The first promise that was broken is the one that counts. */
  violated(what: string): void {
    this.note(`VIOLATED ${what}`);
    this.violation ??= what;
  }

  pause(delay_ms: number): Promise<void> {
    return new Promise((resolve) => this.clock.after(delay_ms, resolve));
  }

  get hash(): string {
    return createHash("sha256").update(this.trace.join("\n")).digest("hex");
  }
}

/** Everything that can happen without time going on has happened: nothing here waits for anything but promises and the clock. */
export async function quiet(): Promise<void> {
  await setImmediate();
}

export interface Ran {
  readonly seed: number;
  readonly violation: string | undefined;
  readonly hash: string;
  readonly trace: readonly string[];
}
