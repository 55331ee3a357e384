/**
 * The layout of a constant database (cdb, D. J. Bernstein), as far as reader and writer share it.
 *
 * 256 pairs of numbers, the position of a hash table and its number of slots; the records, each the lengths of key
 * and value, the key, the value; the hash tables, whose slots are a key's hash and its record's position. Position 0 is
 * a free slot. A key's table is its hash modulo 256; its first slot is the hash divided by 256, modulo the number of
 * slots; from there they are tried in turn. All numbers are 32 bits, little-endian.
 */
export const tableCount = 256;
/** A pair of numbers: in the header, in a slot, before a record. */
export const pairSize = 8;
export const headerSize: number = tableCount * pairSize;

/** The hash of a key: h = h * 33 ^ byte, from 5381. */
export function cdbHash(bytes: Uint8Array, start: number, end: number): number {
  let hash = 5381;
  for (let at = start; at < end; at++) hash = (((hash << 5) + hash) ^ (bytes[at] as number)) | 0;
  return hash >>> 0;
}
