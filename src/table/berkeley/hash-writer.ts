import type { Entries } from "../entries.ts";
import { charKey, hashMagic, header, itemType, meta, offPageItem, pageType } from "./pages.ts";

/**
 * Writes a Berkeley DB hash file (version 9, little-endian, 4096-byte pages),
 * as an image in memory: the whole is known beforehand, so it is laid out at
 * once instead of growing by splits, in time linear in its entries.
 *
 * Layout: the meta page; a power of two of bucket pages, at least two; then
 * chained and overflow pages as they are needed. The keys on a page are
 * sorted, since Berkeley DB searches them by halves.
 */
const pageSize = 4096;
/** Longer items go to overflow pages. */
const onPageLimit = pageSize / 4;
const pageSpace = pageSize - header.size;
/** How full bucket pages are on average, at most: more would chain many, less would waste space. */
const fill = 0.85;
/** What Postfix tells Berkeley DB to expect at least; it is a hint that db_stat shows. */
const expectedEntries = 4096;

/** The bytes of the file. `uid`: 20 bytes that no other file has; Berkeley DB tells open files apart by them. */
export function hashFile(entries: Entries, uid: Buffer): Buffer {
  const bucketBits = bitsFor(onPageBytes(entries));
  const layout = new Layout(entries, 1 << bucketBits);
  const { order, starts } = byBucket(entries, (1 << bucketBits) - 1);
  for (let bucket = 0; bucket < 1 << bucketBits; bucket++) {
    layout.bucket(bucket, order.subarray(starts[bucket] as number, starts[bucket + 1] as number));
  }
  writeMeta(layout.image, { bucketBits, lastPage: layout.pages - 1, count: entries.size, uid });
  return layout.image.subarray(0, layout.pages * pageSize);
}

const itemSize = (length: number): number => (length > onPageLimit ? offPageItem.size : length + 1);

/** What an entry takes on its bucket's page: two items and their offsets. */
const pairSize = (entries: Entries, entry: number): number =>
  4 +
  itemSize(entries.keyEnd(entry) - entries.keyStart(entry)) +
  itemSize(entries.valueEnd(entry) - entries.valueStart(entry));

function onPageBytes(entries: Entries): number {
  let total = 0;
  for (let entry = 0; entry < entries.numbers; entry++) if (entries.has(entry)) total += pairSize(entries, entry);
  return total;
}

function bitsFor(total: number): number {
  let bits = 1;
  while (2 ** bits * pageSpace * fill < total && bits < 30) bits++;
  return bits;
}

/** Entry numbers in the order of their buckets (a counting sort), and where each bucket's begin. */
function byBucket(entries: Entries, mask: number): { order: Uint32Array; starts: Uint32Array } {
  const starts = new Uint32Array(mask + 2);
  for (let entry = 0; entry < entries.numbers; entry++) {
    if (entries.has(entry)) (starts[(entries.hash(entry) & mask) + 1] as number)++;
  }
  for (let bucket = 0; bucket <= mask; bucket++) (starts[bucket + 1] as number) += starts[bucket] as number;
  const next = starts.slice();
  const order = new Uint32Array(entries.size);
  for (let entry = 0; entry < entries.numbers; entry++) {
    if (!entries.has(entry)) continue;
    const bucket = entries.hash(entry) & mask;
    order[next[bucket] as number] = entry;
    (next[bucket] as number)++;
  }
  return { order, starts };
}

/** The image as it fills. */
class Layout {
  image: Buffer;
  pages: number;
  readonly #entries: Entries;
  readonly #compare: (a: number, b: number) => number;

  constructor(entries: Entries, buckets: number) {
    this.#entries = entries;
    this.#compare = (a, b) => compareKeys(entries, a, b);
    this.pages = 1 + buckets;
    this.image = Buffer.alloc(this.pages * pageSize + Math.ceil(buckets / 16) * pageSize);
    for (let page = 1; page < this.pages; page++) this.#begin(page, pageType.hash, 0);
  }

  bucket(bucket: number, members: Uint32Array): void {
    members.sort(this.#compare);
    let page = 1 + bucket;
    let items = 0;
    let low = pageSize;
    for (const entry of members) {
      const size = pairSize(this.#entries, entry);
      if (low - size < header.size + items * 2) {
        const next = this.#addPage(pageType.hash, page);
        this.image.writeUInt32LE(next, page * pageSize + header.next);
        page = next;
        items = 0;
        low = pageSize;
      }
      low = this.#item(page, items, low, this.#entries.keyStart(entry), this.#entries.keyEnd(entry));
      low = this.#item(page, items + 1, low, this.#entries.valueStart(entry), this.#entries.valueEnd(entry));
      items += 2;
      this.image.writeUInt16LE(items, page * pageSize + header.entries);
      this.image.writeUInt16LE(low, page * pageSize + header.offset);
    }
  }

  /** Puts one item below `low`; the new lowest offset. */
  #item(page: number, index: number, low: number, start: number, end: number): number {
    const base = page * pageSize;
    const at = low - itemSize(end - start);
    if (end - start > onPageLimit) {
      const first = this.#overflow(start, end);
      this.image[base + at] = itemType.offPage;
      this.image.writeUInt32LE(first, base + at + offPageItem.page);
      this.image.writeUInt32LE(end - start, base + at + offPageItem.length);
    } else {
      this.image[base + at] = itemType.keyData;
      this.#copy(base + at + 1, start, end);
    }
    this.image.writeUInt16LE(at, base + header.size + index * 2);
    return at;
  }

  #copy(at: number, start: number, end: number): void {
    const from = this.#entries.bytes;
    const image = this.image;
    if (end - start > 48) from.copy(image, at, start, end);
    else for (let index = start; index < end; index++) image[at + index - start] = from[index] as number;
  }

  #overflow(start: number, end: number): number {
    let first = 0;
    let previous = 0;
    for (let at = start; at < end; at += pageSpace) {
      const page = this.#addPage(pageType.overflow, previous);
      if (previous) this.image.writeUInt32LE(page, previous * pageSize + header.next);
      else first = page;
      const until = Math.min(at + pageSpace, end);
      this.image.writeUInt16LE(1, page * pageSize + header.entries);
      this.image.writeUInt16LE(until - at, page * pageSize + header.offset);
      this.#copy(page * pageSize + header.size, at, until);
      previous = page;
    }
    return first;
  }

  #addPage(type: number, previous: number): number {
    const page = this.pages++;
    if (this.pages * pageSize > this.image.length) {
      const larger = Buffer.alloc(Math.max(this.image.length * 2, this.pages * pageSize));
      this.image.copy(larger);
      this.image = larger;
    }
    this.#begin(page, type, previous);
    return page;
  }

  #begin(page: number, type: number, previous: number): void {
    const base = page * pageSize;
    writeLogNumber(this.image, base);
    this.image.writeUInt32LE(page, base + header.pageNumber);
    this.image.writeUInt32LE(previous, base + header.previous);
    this.image.writeUInt16LE(type === pageType.hash ? pageSize : 0, base + header.offset);
    this.image[base + header.type] = type;
  }
}

/** "Never logged", as Berkeley DB notes it: file 0, offset 1. */
function writeLogNumber(image: Buffer, base: number): void {
  image.writeUInt32LE(1, base + 4);
}

function writeMeta(
  image: Buffer,
  { bucketBits, lastPage, count, uid }: { bucketBits: number; lastPage: number; count: number; uid: Buffer },
): void {
  const highMask = 2 ** bucketBits - 1;
  writeLogNumber(image, 0);
  image.writeUInt32LE(hashMagic, meta.magic);
  image.writeUInt32LE(9, meta.version);
  image.writeUInt32LE(pageSize, meta.pageSize);
  image[meta.type] = pageType.hashMeta;
  image.writeUInt32LE(lastPage, meta.lastPage);
  uid.copy(image, meta.uid, 0, meta.uidSize);
  image.writeUInt32LE(highMask, meta.maxBucket);
  image.writeUInt32LE(highMask, meta.highMask);
  image.writeUInt32LE(highMask >>> 1, meta.lowMask);
  image.writeUInt32LE(expectedEntries + count, meta.elements);
  image.writeUInt32LE(charKey, meta.charKey);
  // Bucket b is page b + spares[ceil(log2(b + 1))]: ours all lie behind the meta page.
  for (let doubling = 0; doubling <= bucketBits; doubling++) image.writeUInt32LE(1, meta.spares + doubling * 4);
}

/**
 * Berkeley DB's order of keys on a page: by bytes; of two keys of which one begins the other, the longer
 * first, or the shorter where either is kept on overflow pages.
 */
function compareKeys(entries: Entries, a: number, b: number): number {
  const bytes = entries.bytes;
  const aStart = entries.keyStart(a);
  const bStart = entries.keyStart(b);
  const aLength = entries.keyEnd(a) - aStart;
  const bLength = entries.keyEnd(b) - bStart;
  const common = Math.min(aLength, bLength);
  for (let index = 0; index < common; index++) {
    const difference = (bytes[aStart + index] as number) - (bytes[bStart + index] as number);
    if (difference !== 0) return difference;
  }
  return Math.max(aLength, bLength) > onPageLimit ? aLength - bLength : bLength - aLength;
}
