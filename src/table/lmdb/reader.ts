import type { IndexFile } from "../index-format.ts";
import { TableError } from "../table.ts";
import {
  database,
  dataVersion,
  header,
  lmdbMagic,
  maxDepth,
  maxKey,
  meta,
  node,
  nodeFlag,
  otherLayouts,
  pageKind,
} from "./format.ts";

/**
 * Reads the main database of an LMDB file that is in memory. Opening looks at
 * the meta pages only; pages and nodes are checked when they are used. A
 * look-up goes down at most as many pages as the tree says it is deep; listing visits
 * each page at most once. So a hostile file costs at most time linear in its size, and no byte outside it is read.
 *
 * Fails with TableError: "retry" where the file may be half written or is
 * damaged, "config" where it is of a kind that cannot be read here. A key longer than LMDB can have is not there.
 */
export class LmdbFile implements IndexFile {
  readonly #bytes: Buffer;
  readonly #numbers: DataView;
  readonly #pageSize: number;
  readonly #pages: number;
  readonly #depth: number;
  readonly #root: number;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
    this.#numbers = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#pageSize = 4096;
    this.#pages = 0;
    this.#depth = 0;
    this.#root = 0;
    if (bytes.length === 0) return;
    if (bytes.length < meta.size) throw damaged("too short");
    this.#checkMeta(0);
    this.#pageSize = this.#u32(meta.free + database.pad);
    const size = this.#pageSize;
    if (size < 512 || size > 32768 || (size & (size - 1)) !== 0) throw damaged("bad page size");
    this.#pages = Math.floor(bytes.length / size);
    if (this.#pages < 2) throw damaged("too short");
    this.#checkMeta(size);
    const newer = this.#numbers.getBigUint64(size + meta.transaction, true);
    const at = newer > this.#numbers.getBigUint64(meta.transaction, true) ? size : 0;
    if (this.#u32(at + meta.free + database.pad) !== size) throw damaged("bad page size");
    const main = at + meta.main;
    if ((this.#u16(main + database.flags) & otherLayouts) !== 0) {
      throw new TableError("config", "an LMDB file with another order of keys, or several values for a key");
    }
    this.#depth = this.#u16(main + database.depth);
    if (this.#depth === 0) return;
    if (this.#depth > maxDepth) throw damaged("too deep");
    if (this.#u64(at + meta.lastPage) >= this.#pages) throw damaged("incomplete, or being written");
    this.#root = this.#u64(main + database.root);
  }

  find(key: Uint8Array, start = 0, end = key.length): Buffer | undefined {
    if (this.#depth === 0 || start === end || end - start > maxKey) return undefined;
    let page = this.#root;
    for (let level = 1; level < this.#depth; level++) {
      const base = this.#page(page, pageKind.branch);
      page = this.#child(base, Math.max(this.#lastNotAbove(base, 1, key, start, end), 0));
    }
    const base = this.#page(page, pageKind.leaf);
    const index = this.#lastNotAbove(base, 0, key, start, end);
    if (index < 0) return undefined;
    const at = this.#node(base, index);
    return this.#compare(at, key, start, end) === 0 ? this.#value(base, at) : undefined;
  }

  *entries(): Generator<readonly [key: Buffer, value: Buffer]> {
    if (this.#depth > 0) yield* this.#below(this.#root, this.#depth, new Uint8Array(this.#pages));
  }

  *#below(page: number, depth: number, seen: Uint8Array): Generator<readonly [key: Buffer, value: Buffer]> {
    const base = this.#page(page, depth > 1 ? pageKind.branch : pageKind.leaf);
    if (seen[page]) throw damaged("a page that is in two places");
    seen[page] = 1;
    const count = this.#nodes(base);
    for (let index = 0; index < count; index++) {
      if (depth > 1) yield* this.#below(this.#child(base, index), depth - 1, seen);
      else {
        const at = this.#node(base, index);
        const key = at + node.size;
        yield [this.#bytes.subarray(key, key + this.#u16(at + node.keyLength)), this.#value(base, at)];
      }
    }
  }

  #checkMeta(base: number): void {
    if (base + meta.size > this.#bytes.length) throw damaged("too short");
    if (this.#u32(base + meta.magic) !== lmdbMagic) throw damaged("bad magic number");
    const version = this.#u32(base + meta.version);
    if (version !== dataVersion)
      throw new TableError("config", `LMDB file of version ${version}; version 1 can be read`);
  }

  /** Where the page begins. */
  #page(page: number, kind: number): number {
    if (page < 2 || page >= this.#pages) throw damaged("a page beyond the end");
    const base = page * this.#pageSize;
    const found =
      this.#u16(base + header.kind) & (pageKind.branch | pageKind.leaf | pageKind.overflow | pageKind.leaf2);
    if (found !== kind || this.#u64(base + header.pageNumber) !== page) throw damaged("a page is missing");
    return base;
  }

  #nodes(base: number): number {
    const lower = this.#u16(base + header.lower);
    if (lower < header.size || lower > this.#pageSize) throw damaged("bad number of nodes");
    return (lower - header.size) >>> 1;
  }

  /** Where the node begins; it and its key are on the page. */
  #node(base: number, index: number): number {
    const offset = this.#u16(base + header.size + index * 2);
    if (offset < header.size || offset + node.size > this.#pageSize) throw damaged("a node out of place");
    const at = base + offset;
    if (offset + node.size + this.#u16(at + node.keyLength) > this.#pageSize) throw damaged("a node out of place");
    return at;
  }

  /** The last node, from `first` on, whose key is not above this one; `first - 1` where there is none. */
  #lastNotAbove(base: number, first: number, key: Uint8Array, start: number, end: number): number {
    let [low, high] = [first, this.#nodes(base) - 1];
    while (low <= high) {
      const middle = (low + high) >>> 1;
      if (this.#compare(this.#node(base, middle), key, start, end) <= 0) low = middle + 1;
      else high = middle - 1;
    }
    return high;
  }

  /** The node's key against this one: less than, equal to, or greater than 0. */
  #compare(at: number, key: Uint8Array, start: number, end: number): number {
    const bytes = this.#bytes;
    const length = this.#u16(at + node.keyLength);
    const common = Math.min(length, end - start);
    const from = at + node.size;
    for (let index = 0; index < common; index++) {
      const difference = (bytes[from + index] as number) - (key[start + index] as number);
      if (difference !== 0) return difference;
    }
    return length - (end - start);
  }

  #child(base: number, index: number): number {
    if (index >= this.#nodes(base)) throw damaged("a branch without nodes");
    const at = this.#node(base, index);
    return this.#u32(at) + this.#u16(at + node.flags) * 2 ** 32;
  }

  #value(base: number, at: number): Buffer {
    const flags = this.#u16(at + node.flags);
    const length = this.#u32(at);
    const start = at + node.size + this.#u16(at + node.keyLength);
    if (flags === 0) {
      if (start + length > base + this.#pageSize) throw damaged("a value out of place");
      return this.#bytes.subarray(start, start + length);
    }
    if (flags !== nodeFlag.bigData) throw new TableError("config", "an LMDB file with several values for a key");
    if (start + node.pageNumberSize > base + this.#pageSize) throw damaged("a value out of place");
    const first = this.#page(this.#u64(start), pageKind.overflow) + header.size;
    if (first + length > this.#bytes.length) throw damaged("a value beyond the end");
    return this.#bytes.subarray(first, first + length);
  }

  #u16(at: number): number {
    return this.#numbers.getUint16(at, true);
  }

  #u32(at: number): number {
    return this.#numbers.getUint32(at, true);
  }

  /** Inexact beyond 2^53, where it is beyond every file's end as well. */
  #u64(at: number): number {
    return this.#u32(at) + this.#u32(at + 4) * 2 ** 32;
  }
}

const damaged = (what: string): TableError => new TableError("retry", `not a complete LMDB file: ${what}`);
