import type { Entries } from "../entries.ts";
import { inKeyOrder } from "../key-order.ts";
import { TableError } from "../table.ts";
import { database, dataVersion, header, lmdbMagic, maxKey, meta, node, nodeFlag, pageKind } from "./format.ts";

/**
 * Writes an LMDB file (4096-byte pages) as an image in memory: leaves in the order of their keys, each followed by the
 * overflow pages of its values, then the branches above them, level by level.
 */
const pageSize = 4096;
/** A node that would be longer keeps its value on overflow pages: two of them fit on a page. */
const nodeLimit = (pageSize - header.size) / 2 - 2;
/** LMDB's words for a key that is too long or empty. */
const badKeySize = "MDB_BAD_VALSIZE: Unsupported size of key/DB name/data, or wrong DUPFIXED size";
/** The least that LMDB is told to map: what Postfix begins with. */
const leastMap = 16 * 1024 * 1024;
/** In each byte of a root's number: there is none. */
const noRoot = 0xff;

export function lmdbFile(entries: Entries): Buffer {
  const tree = new Tree(entries);
  let level = tree.leaves(inKeyOrder(entries));
  let depth = level.length > 0 ? 1 : 0;
  while (level.length > 1) {
    level = tree.branches(level);
    depth++;
  }
  return tree.finish(depth, level[0]?.page);
}

/** A page, and the entry with its lowest key. */
interface Child {
  readonly page: number;
  readonly entry: number;
}

class Tree {
  readonly #entries: Entries;
  #image: Buffer;
  #pages = 2;
  #branchPages = 0;
  #leafPages = 0;
  #overflowPages = 0;
  /** The page that is being filled: where it begins, its nodes, its lowest node. */
  #base = 0;
  #count = 0;
  #upper = pageSize;

  constructor(entries: Entries) {
    this.#entries = entries;
    this.#image = Buffer.alloc(8 * pageSize);
  }

  leaves(order: Uint32Array): Child[] {
    const made: Child[] = [];
    let full = true;
    for (const entry of order) {
      const keyLength = this.#keyLength(entry);
      if (keyLength === 0 || keyLength > maxKey) throw new TableError("config", badKeySize);
      const valueLength = this.#entries.valueEnd(entry) - this.#entries.valueStart(entry);
      const big = node.size + keyLength + valueLength > nodeLimit;
      const size = node.size + keyLength + (big ? node.pageNumberSize : valueLength);
      if (full || !this.#fits(size)) {
        made.push({ page: this.#begin(pageKind.leaf), entry });
        this.#leafPages++;
        full = false;
      }
      const at = this.#addNode(size, entry, keyLength);
      this.#image.writeUInt32LE(valueLength, at);
      const valueAt = at + node.size + keyLength;
      if (!big) this.#copy(valueAt, this.#entries.valueStart(entry), valueLength);
      else {
        this.#image.writeUInt16LE(nodeFlag.bigData, at + node.flags);
        const first = this.#overflow(entry, valueLength);
        this.#image.writeUInt32LE(first, valueAt);
      }
    }
    return made;
  }

  /** The level above these pages. No branch has one child only: the last one takes one from its neighbour. */
  branches(children: readonly Child[]): Child[] {
    const groups: Child[][] = [];
    let room = 0;
    for (const child of children) {
      const last = groups.at(-1);
      const size = even(node.size + this.#keyLength(child.entry)) + 2;
      if (last && room >= size) {
        last.push(child);
        room -= size;
      } else {
        groups.push([child]);
        room = pageSize - header.size - (node.size + 2);
      }
    }
    const [last, before] = [groups.at(-1), groups.at(-2)];
    if (last?.length === 1 && before) last.unshift(before.pop() as Child);
    return groups.map((group) => this.#branch(group));
  }

  finish(depth: number, root: number | undefined): Buffer {
    for (const page of [0, 1]) this.#writeMeta(page, depth, root);
    return this.#image.subarray(0, this.#pages * pageSize);
  }

  #branch(group: readonly Child[]): Child {
    const page = this.#begin(pageKind.branch);
    this.#branchPages++;
    for (const [index, child] of group.entries()) {
      const keyLength = index === 0 ? 0 : this.#keyLength(child.entry);
      const at = this.#addNode(node.size + keyLength, child.entry, keyLength);
      this.#image.writeUInt32LE(child.page, at);
    }
    return { page, entry: (group[0] as Child).entry };
  }

  #keyLength(entry: number): number {
    return this.#entries.keyEnd(entry) - this.#entries.keyStart(entry);
  }

  #fits(size: number): boolean {
    return header.size + (this.#count + 1) * 2 + even(size) <= this.#upper;
  }

  /** Begins a page to be filled with nodes; its number. */
  #begin(kind: number): number {
    const page = this.#addPages(1, kind);
    this.#base = page * pageSize;
    this.#count = 0;
    this.#upper = pageSize;
    this.#noteSpace();
    return page;
  }

  #noteSpace(): void {
    this.#image.writeUInt16LE(header.size + this.#count * 2, this.#base + header.lower);
    this.#image.writeUInt16LE(this.#upper, this.#base + header.upper);
  }

  /** Adds a node with the first bytes of the entry's key; where it begins. */
  #addNode(size: number, entry: number, keyLength: number): number {
    this.#upper -= even(size);
    const at = this.#base + this.#upper;
    this.#image.writeUInt16LE(this.#upper, this.#base + header.size + this.#count * 2);
    this.#count++;
    this.#noteSpace();
    this.#image.writeUInt16LE(keyLength, at + node.keyLength);
    this.#copy(at + node.size, this.#entries.keyStart(entry), keyLength);
    return at;
  }

  #copy(at: number, from: number, length: number): void {
    const [image, bytes] = [this.#image, this.#entries.bytes];
    if (length > 48) bytes.copy(image, at, from, from + length);
    else for (let index = 0; index < length; index++) image[at + index] = bytes[from + index] as number;
  }

  /** Its value on pages of its own, in a row; the first one's number. */
  #overflow(entry: number, length: number): number {
    const count = Math.ceil((header.size + length) / pageSize);
    const page = this.#addPages(count, pageKind.overflow);
    this.#overflowPages += count;
    this.#image.writeUInt32LE(count, page * pageSize + header.overflowPages);
    this.#copy(page * pageSize + header.size, this.#entries.valueStart(entry), length);
    return page;
  }

  #addPages(count: number, kind: number): number {
    const page = this.#pages;
    this.#pages += count;
    const needed = this.#pages * pageSize;
    if (needed >= 2 ** 32) throw new TableError("config", "an index can hold 4 GiB");
    if (needed > this.#image.length) {
      const larger = Buffer.alloc(Math.min(Math.max(this.#image.length * 2, needed), 2 ** 32 - pageSize));
      this.#image.copy(larger);
      this.#image = larger;
    }
    this.#image.writeUInt32LE(page, page * pageSize + header.pageNumber);
    this.#image.writeUInt16LE(kind, page * pageSize + header.kind);
    return page;
  }

  /** Page 0 is that of an empty file, as LMDB leaves it after the first transaction; page 1 is in force. */
  #writeMeta(page: number, depth: number, root: number | undefined): void {
    const image = this.#image;
    const base = page * pageSize;
    image.writeUInt32LE(page, base);
    image.writeUInt16LE(pageKind.meta, base + header.kind);
    image.writeUInt32LE(lmdbMagic, base + meta.magic);
    image.writeUInt32LE(dataVersion, base + meta.version);
    writeU64(image, Math.max(leastMap, 2 ** Math.ceil(Math.log2(this.#pages * pageSize))), base + meta.mapSize);
    image.writeUInt32LE(pageSize, base + meta.free + database.pad);
    image.writeUInt16LE(freeFlags, base + meta.free + database.flags);
    for (const each of [meta.free, meta.main])
      image.fill(noRoot, base + each + database.root, base + each + database.root + 8);
    writeU64(image, 1, base + meta.lastPage);
    if (page === 0) return;
    const main = base + meta.main;
    image.writeUInt16LE(depth, main + database.depth);
    writeU64(image, this.#branchPages, main + database.branchPages);
    writeU64(image, this.#leafPages, main + database.leafPages);
    writeU64(image, this.#overflowPages, main + database.overflowPages);
    writeU64(image, this.#entries.size, main + database.entries);
    if (root !== undefined) writeU64(image, root, main + database.root);
    writeU64(image, this.#pages - 1, base + meta.lastPage);
    writeU64(image, 1, base + meta.transaction);
  }
}

/** One file without a directory; keys of the free database are numbers. */
const freeFlags = 0x4008;

const even = (size: number): number => size + (size & 1);

function writeU64(image: Buffer, number: number, at: number): void {
  image.writeUInt32LE(number % 2 ** 32, at);
  image.writeUInt32LE(Math.floor(number / 2 ** 32), at + 4);
}
