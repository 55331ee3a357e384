import { Entries } from "./entries.ts";
import type { IndexFormat } from "./index-format.ts";
import { TableError } from "./table.ts";

/**
 * Damages index files and reads them, for tests and for `npm run fuzz`: what is allowed is an answer, right or wrong,
 * or a TableError; within a number of entries that the file's size bounds.
 */

/** Pseudo-random numbers in [0, below), the same for the same seed (mulberry32). */
export type Random = (below: number) => number;

export function seeded(seed: number): Random {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

export interface DamageOptions {
  readonly seed: number;
  readonly count: number;
  /** Called with the file that broke the rule, before the error is thrown. */
  broken?(bytes: Buffer): void;
}

/** What became of the damaged files. */
export interface DamageOutcome {
  /** Answered all questions. */
  answered: number;
  /** Said that they cannot tell. */
  refused: number;
}

/** Reads `count` damaged files; throws what a reader must not throw. */
export function readDamaged(format: IndexFormat, { seed, count, broken }: DamageOptions): DamageOutcome {
  const random = seeded(seed);
  const samples = sampleFiles(format);
  const outcome: DamageOutcome = { answered: 0, refused: 0 };
  for (let round = 0; round < count; round++) {
    const whole = samples[random(samples.length)] as Buffer;
    const bytes = damaged(whole, random);
    try {
      readAll(format, bytes);
      outcome.answered++;
    } catch (error) {
      if (!(error instanceof TableError)) {
        broken?.(bytes);
        throw error;
      }
      outcome.refused++;
    }
  }
  return outcome;
}

const keys = Array.from({ length: 160 }, (_, n) => Buffer.from(`user${n}@example.com`));
/** Between them, files have every kind of page: more than one level, and items kept elsewhere. */
function sampleFiles(format: IndexFormat): Buffer[] {
  const small = new Entries();
  for (const key of keys.slice(0, 5)) small.add(key, Buffer.from("value"), format.nul, false);
  const mixed = new Entries();
  for (const key of keys) mixed.add(key, Buffer.from("some value"), format.nul, false);
  mixed.add(Buffer.from("large"), Buffer.alloc(9000, "x"), format.nul, false);
  mixed.add(Buffer.alloc(500, "y"), Buffer.from("z"), format.nul, false);
  const wide = new Entries();
  for (let n = 0; n < 60; n++)
    wide.add(Buffer.from(`${n}`.padStart(400, "k")), Buffer.alloc(700, "v"), format.nul, false);
  const fixed = (size: number) => Buffer.alloc(size, 7);
  return [new Entries(), small, mixed, wide].map((entries) => format.image(entries, fixed));
}

function damaged(whole: Buffer, random: Random): Buffer {
  const bytes = Buffer.from(random(8) === 0 ? whole.subarray(0, random(whole.length + 1)) : whole);
  if (bytes.length === 0) return bytes;
  for (let changes = random(8); changes > 0; changes--) {
    const at = place(bytes, random);
    const kind = random(4);
    if (kind === 0) bytes[at] = random(256);
    else if (kind === 1) bytes[at] = (bytes[at] as number) ^ (1 << random(8));
    else if (kind === 2) bytes[at] = random(8);
    else for (let n = at & ~3; n < (at & ~3) + 4 && n < bytes.length; n++) bytes[n] = random(2) === 0 ? 0 : 0xff;
  }
  return bytes;
}

/** Anywhere, or where pages and files have their headers. */
function place(bytes: Buffer, random: Random): number {
  const kind = random(3);
  if (kind === 0) return random(bytes.length);
  if (kind === 1) return random(Math.min(bytes.length, 2048));
  const page = random(Math.ceil(bytes.length / 4096)) * 4096;
  return page + random(Math.min(160, bytes.length - page));
}

function readAll(format: IndexFormat, bytes: Buffer): void {
  const file = format.open(bytes);
  for (let n = 0; n < keys.length; n += 9) {
    const key = keys[n] as Buffer;
    file.find(key);
    file.find(Buffer.concat([key, Buffer.alloc(1)]));
  }
  file.find(Buffer.from("large\0"));
  let listed = 0;
  for (const [key, value] of file.entries()) {
    if (++listed > bytes.length) throw new Error("more entries than bytes");
    if (key.length > bytes.length || value.length > bytes.length) throw new Error("an entry larger than the file");
  }
}
