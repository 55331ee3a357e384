import type { Entries } from "../entries.ts";
import { TableError } from "../table.ts";
import { cdbHash, headerSize, pairSize, tableCount } from "./format.ts";

/**
 * Writes a constant database as an image in memory: records in the order of the entries, then the hash tables, each
 * with twice as many slots as it has keys. The same entries give the bytes that Debian's postmap writes.
 */
export function cdbFile(entries: Entries): Buffer {
  const hashes = new Uint32Array(entries.numbers);
  const counts = new Uint32Array(tableCount);
  let size = headerSize;
  for (let entry = 0; entry < entries.numbers; entry++) {
    if (!entries.has(entry)) continue;
    const hash = cdbHash(entries.bytes, entries.keyStart(entry), entries.keyEnd(entry));
    hashes[entry] = hash;
    (counts[hash & 0xff] as number)++;
    size += recordSize(entries, entry) + 2 * pairSize;
  }
  if (size >= 2 ** 32) throw new TableError("config", "a constant database can hold 4 GiB");
  const image = Buffer.alloc(size);
  const numbers = new DataView(image.buffer, image.byteOffset, size);
  const recordsEnd = writeRecords(image, numbers, entries);
  writeHeader(numbers, counts, recordsEnd);
  fillTables(numbers, entries, hashes);
  return image;
}

const recordSize = (entries: Entries, entry: number): number =>
  pairSize + entries.keyEnd(entry) - entries.keyStart(entry) + entries.valueEnd(entry) - entries.valueStart(entry);

/** Where the records end. */
function writeRecords(image: Buffer, numbers: DataView, entries: Entries): number {
  let at = headerSize;
  for (let entry = 0; entry < entries.numbers; entry++) {
    if (!entries.has(entry)) continue;
    const keyLength = entries.keyEnd(entry) - entries.keyStart(entry);
    const valueLength = entries.valueEnd(entry) - entries.valueStart(entry);
    numbers.setUint32(at, keyLength, true);
    numbers.setUint32(at + 4, valueLength, true);
    at += pairSize;
    at += entries.bytes.copy(image, at, entries.keyStart(entry), entries.keyEnd(entry));
    at += entries.bytes.copy(image, at, entries.valueStart(entry), entries.valueEnd(entry));
  }
  return at;
}

function writeHeader(numbers: DataView, counts: Uint32Array, recordsEnd: number): void {
  let start = recordsEnd;
  for (let table = 0; table < tableCount; table++) {
    const slots = 2 * (counts[table] as number);
    numbers.setUint32(table * pairSize, start, true);
    numbers.setUint32(table * pairSize + 4, slots, true);
    start += slots * pairSize;
  }
}

function fillTables(numbers: DataView, entries: Entries, hashes: Uint32Array): void {
  let record = headerSize;
  for (let entry = 0; entry < entries.numbers; entry++) {
    if (!entries.has(entry)) continue;
    const hash = hashes[entry] as number;
    const first = numbers.getUint32((hash & 0xff) * pairSize, true);
    const slots = numbers.getUint32((hash & 0xff) * pairSize + 4, true);
    let slot = (hash >>> 8) % slots;
    while (numbers.getUint32(first + slot * pairSize + 4, true) !== 0) slot = slot + 1 === slots ? 0 : slot + 1;
    numbers.setUint32(first + slot * pairSize, hash, true);
    numbers.setUint32(first + slot * pairSize + 4, record, true);
    record += recordSize(entries, entry);
  }
}
