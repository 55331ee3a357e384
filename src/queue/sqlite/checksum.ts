import { crc32 } from "node:zlib";

/**
 * Checksums (CRC-32 as in RFC 1952) of envelopes and chunks. Each begins from
 * what the bytes belong to, so that whole rows that change places are noticed too.
 */
export const envelopeCrc = (id: number, envelope: Uint8Array): number => crc32(envelope, id >>> 0);

/** Of a message's small columns, as the file computes it (schema.ts). */
export function guardOf(id: number, body: number | null, counts: readonly [number, number, number, number]): number {
  const factors = [13, 17, 19, 23];
  const sum = counts.reduce((total, each, at) => total + remainder(each) * (factors[at] ?? 0), 0);
  return (remainder(id) * 7 + remainder(body ?? id) * 11 + sum) % guardModulus;
}

const guardModulus = 2_147_483_647;
const remainder = (value: number): number => Math.trunc(value) % guardModulus;

export const chunkCrc = (body: number, seq: number, data: Uint8Array): number =>
  crc32(data, (body + seq * 0x9e3779b1) >>> 0);
