import { equal } from "../entries.ts";
import { TableError } from "../table.ts";
import { type BerkeleyFile, damagedFile, type FileKind, openFile, overflowItem } from "./file.ts";
import type { Numbers } from "./numbers.ts";
import { charKey, hashMagic, hashOf, hashVersions, header, itemType, meta, offPageItem, pageType } from "./pages.ts";

/**
 * Reads a Berkeley DB hash file that is in memory. A look-up goes to the
 * key's bucket; nothing is decoded beforehand.
 *
 * Opening walks over all page headers once, and what it promises is what
 * look-ups rely on: every bucket's page is there and says so, chains of
 * bucket pages have no cycles and share no page. So a hostile file costs
 * at most time linear in its size, and no byte outside it is read. Items
 * and overflow chains are checked when they are used.
 *
 * Fails with TableError: "retry" where the file may be half written or
 * is damaged, "config" where it is of a kind that cannot be read here.
 */
export class HashFile {
  readonly #file: BerkeleyFile;
  readonly #bytes: Buffer;
  readonly #numbers: Numbers;
  readonly #pageSize: number;
  readonly #pages: number;
  readonly #maxBucket: number;
  readonly #highMask: number;
  readonly #lowMask: number;
  readonly #spares: Uint32Array;

  constructor(bytes: Buffer) {
    const file = openFile(bytes, kind);
    const { numbers, pageSize, pages } = file;
    if (numbers.u32(bytes, meta.charKey) !== charKey) {
      throw new TableError("config", "Berkeley DB file made with another hash function");
    }
    this.#file = file;
    this.#bytes = bytes;
    this.#numbers = numbers;
    this.#pageSize = pageSize;
    this.#pages = pages;
    this.#maxBucket = numbers.u32(bytes, meta.maxBucket);
    this.#highMask = numbers.u32(bytes, meta.highMask);
    this.#lowMask = numbers.u32(bytes, meta.lowMask);
    this.#spares = new Uint32Array(meta.spareCount);
    for (let at = 0; at < meta.spareCount; at++) this.#spares[at] = numbers.u32(bytes, meta.spares + at * 4);
    this.#checkBuckets();
  }

  /** The value as it is stored, of the key that is `key[start..end)`, as it is stored. */
  find(key: Uint8Array, start = 0, end = key.length): Buffer | undefined {
    const hash = hashOf(key, start, end);
    const high = (hash & this.#highMask) >>> 0;
    const bucket = high > this.#maxBucket ? (hash & this.#lowMask) >>> 0 : high;
    for (let page = this.#bucketPage(bucket); page !== 0; page = this.#nextPage(page)) {
      const index = this.#findOnPage(page, key, start, end);
      if (index >= 0) return this.#item(page, index + 1);
    }
    return undefined;
  }

  /** Every entry as it is stored, in the order in which Berkeley DB lists them. */
  *entries(): Generator<readonly [key: Buffer, value: Buffer]> {
    for (let bucket = 0; bucket <= this.#maxBucket; bucket++) {
      for (let page = this.#bucketPage(bucket); page !== 0; page = this.#nextPage(page)) {
        const count = this.#itemCount(page);
        for (let index = 0; index < count; index += 2) yield [this.#item(page, index), this.#item(page, index + 1)];
      }
    }
  }

  #checkBuckets(): void {
    if (!isMask(this.#highMask) || this.#lowMask !== this.#highMask >>> 1) throw damaged("bad bucket masks");
    if (this.#maxBucket > this.#highMask || this.#maxBucket < this.#lowMask) throw damaged("bad number of buckets");
    if (this.#maxBucket >= this.#pages) throw damaged("more buckets than pages");
    const seen = new Uint8Array(this.#pages);
    for (let bucket = 0; bucket <= this.#maxBucket; bucket++) {
      let page = this.#bucketPage(bucket);
      if (page === 0) throw damaged("a bucket without a page");
      for (; page !== 0; page = this.#nextPage(page)) {
        if (page >= this.#pages) throw damaged("a page beyond the end");
        if (seen[page]) throw damaged("a page that is in two chains");
        seen[page] = 1;
        this.#checkPage(page, bucket);
      }
    }
  }

  #checkPage(page: number, bucket: number): void {
    const base = page * this.#pageSize;
    const type = this.#bytes[base + header.type];
    const right = this.#numbers.u32(this.#bytes, base + header.pageNumber) === page;
    const hash = type === pageType.hash || type === pageType.hashUnsorted;
    if ((!right || !hash) && !this.#isUntouched(base, bucket)) throw damaged("a bucket page is missing");
    this.#itemCount(page);
  }

  /**
   * Buckets that a file begins with have blank pages, all but the last, until something is put into them: there are
   * two, or more where a fill factor was asked for. Blank pages of other buckets have not been written yet.
   */
  #isUntouched(base: number, bucket: number): boolean {
    const among = this.#maxBucket === 1 ? bucket === 0 : this.#numbers.u32(this.#bytes, meta.fillFactor) !== 0;
    return among && this.#bytes.subarray(base, base + header.size).every((byte) => byte === 0);
  }

  #itemCount(page: number): number {
    const count = this.#numbers.u16(this.#bytes, page * this.#pageSize + header.entries);
    if (count % 2 !== 0 || header.size + count * 2 > this.#pageSize) throw damaged("bad number of items");
    return count;
  }

  /** Beyond the last page where `spares` is nonsense. */
  #bucketPage(bucket: number): number {
    return bucket + (this.#spares[bucket === 0 ? 0 : 32 - Math.clz32(bucket)] as number);
  }

  #nextPage(page: number): number {
    return this.#numbers.u32(this.#bytes, page * this.#pageSize + header.next);
  }

  /** The item number of the key, or -1. One by one: right whatever the order on the page, and quick, since lengths differ. */
  #findOnPage(page: number, key: Uint8Array, start: number, end: number): number {
    const bytes = this.#bytes;
    const { u16 } = this.#numbers;
    const base = page * this.#pageSize;
    const length = end - start;
    const count = this.#itemCount(page);
    let above = this.#pageSize;
    for (let index = 0; index < count; index += 2) {
      const at = u16(bytes, base + header.size + index * 2);
      if (at >= above || at < header.size + count * 2) throw damaged("an item out of place");
      const type = bytes[base + at];
      if (type === itemType.keyData) {
        if (above - at - 1 === length && equal(key, start, bytes, base + at + 1, length)) return index;
      } else if (type === itemType.offPage) {
        if (this.#isOffPage(base + at, above - at, key, start, end)) return index;
      } else throw damaged("an item of unknown type");
      above = u16(bytes, base + header.size + (index + 1) * 2);
      if (above > at || above < header.size + count * 2) throw damaged("an item out of place");
    }
    return -1;
  }

  #isOffPage(at: number, size: number, key: Uint8Array, start: number, end: number): boolean {
    if (size !== offPageItem.size) throw damaged("an item out of place");
    if (this.#numbers.u32(this.#bytes, at + offPageItem.length) !== end - start) return false;
    return equal(key, start, overflowItem(this.#file, at), 0, end - start);
  }

  #item(page: number, index: number): Buffer {
    const { u16 } = this.#numbers;
    const base = page * this.#pageSize;
    const offsets = base + header.size;
    const at = u16(this.#bytes, offsets + index * 2);
    const above = index === 0 ? this.#pageSize : u16(this.#bytes, offsets + (index - 1) * 2);
    if (at < header.size || at >= above || above > this.#pageSize) throw damaged("an item out of place");
    const type = this.#bytes[base + at];
    if (type === itemType.keyData) return this.#bytes.subarray(base + at + 1, base + above);
    if (type === itemType.offPage && above - at === offPageItem.size) return overflowItem(this.#file, base + at);
    if (type === itemType.duplicate || type === itemType.offDuplicate) {
      throw new TableError("config", "has several values for a key, which cannot be used here");
    }
    throw damaged("an item of unknown type");
  }
}

const kind: FileKind = {
  name: "hash",
  magic: hashMagic,
  versions: hashVersions,
  versionWords: "versions 7 to 9",
  metaType: pageType.hashMeta,
};

const damaged = (what: string): TableError => damagedFile(kind, what);

const isMask = (number: number): boolean => number > 0 && Number.isInteger(Math.log2(number + 1));
