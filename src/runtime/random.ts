import { randomBytes } from "node:crypto";

/** Unpredictable bytes. */
export interface Random {
  bytes(count: number): Buffer;
}

export const realRandom: Random = { bytes: (count) => randomBytes(count) };

/** The same bytes for the same seed: for tests and simulation, never for secrets (xorshift128, Marsaglia 2003). */
export function seededRandom(seed: number): Random {
  const state = [seed | 1, 0x9e3779b9 ^ seed, 0x243f6a88, 0xb7e15162] as [number, number, number, number];
  const next = (): number => {
    let t = state[3];
    const s = state[0];
    state[3] = state[2];
    state[2] = state[1];
    state[1] = s;
    t ^= t << 11;
    t ^= t >>> 8;
    state[0] = t ^ s ^ (s >>> 19);
    return state[0] & 0xff;
  };
  for (let warmUp = 0; warmUp < 20; warmUp++) next();
  return { bytes: (count) => Buffer.from(Array.from({ length: count }, next)) };
}

/** A number from 0 up to, but not including, `below` (at most 2^32). */
export function randomBelow(random: Random, below: number): number {
  return Math.floor((random.bytes(4).readUInt32LE(0) / 2 ** 32) * below);
}
