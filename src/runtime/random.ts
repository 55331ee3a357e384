import { randomBytes } from "node:crypto";
import { closeSync, openSync, readSync } from "node:fs";

/** Unpredictable bytes. */
export interface Random {
  bytes(count: number): Buffer;
}

/** Straight from the kernel: to load node:crypto takes longer than all else that a small command does. */
export const realRandom: Random = {
  bytes(count) {
    const bytes = Buffer.allocUnsafe(count);
    return readKernelRandom(bytes) ? bytes : randomBytes(count);
  },
};

/** False where there is no such device, as in a bare chroot. */
function readKernelRandom(into: Buffer): boolean {
  let device: number | undefined;
  try {
    device = openSync("/dev/urandom", "r");
    return readSync(device, into) === into.length;
  } catch {
    return false;
  } finally {
    if (device !== undefined) closeSync(device);
  }
}

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
