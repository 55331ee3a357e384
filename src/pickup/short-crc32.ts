/**
 * CRC-32 as zlib has it (ISO 3309, ITU-T V.42), continued from `crc`. For few bytes in a process that does little else:
 * it is a sixth as fast as zlib's, and there at once.
 */
export function shortCrc32(bytes: Uint8Array, crc = 0): number {
  let rest = ~crc;
  for (const byte of bytes) {
    rest ^= byte;
    for (let bit = 0; bit < 8; bit += 4) rest = (rest >>> 4) ^ (table[rest & 15] ?? 0);
  }
  return ~rest >>> 0;
}

/** What four bits do to the rest: sixteen entries are made sooner than 256, and are quick enough. */
const table = Int32Array.from({ length: 16 }, (_each, bits) => {
  let rest = bits;
  for (let bit = 0; bit < 4; bit++) rest = rest & 1 ? (rest >>> 1) ^ 0xedb88320 : rest >>> 1;
  return rest;
});
