import type { IndexFile } from "../index-format.ts";
import { TableError } from "../table.ts";
import {
  branchItem,
  btreeMeta,
  btreePage,
  btreeVersions,
  deleted,
  leafItem,
  maxDepth,
  otherLayouts,
} from "./btree-pages.ts";
import { type BerkeleyFile, damagedFile, type FileKind, openFile, overflowItem } from "./file.ts";
import type { Numbers } from "./numbers.ts";
import { btreeMagic, header, itemType, offPageItem } from "./pages.ts";

/**
 * Reads a Berkeley DB btree file that is in memory. Opening looks at the meta
 * page only; pages and items are checked when they are used. A look-up goes
 * down at most 32 pages, and listing visits each page at most once. So a hostile file costs
 * time linear in its size a look-up at most, and no byte outside it is read.
 *
 * Fails with TableError: "retry" where the file may be half written or
 * is damaged, "config" where it is of a kind that cannot be read here.
 */
export class BtreeFile implements IndexFile {
  readonly #file: BerkeleyFile;
  readonly #bytes: Buffer;
  readonly #numbers: Numbers;
  readonly #pageSize: number;
  readonly #pages: number;
  readonly #root: number;

  constructor(bytes: Buffer) {
    const file = openFile(bytes, kind);
    const { numbers, pageSize, pages } = file;
    if ((numbers.u32(bytes, btreeMeta.flags) & otherLayouts) !== 0) {
      throw new TableError(
        "config",
        "Berkeley DB file with record numbers, several databases, or several values for a key",
      );
    }
    this.#file = file;
    this.#bytes = bytes;
    this.#numbers = numbers;
    this.#pageSize = pageSize;
    this.#pages = pages;
    this.#root = numbers.u32(bytes, btreeMeta.root);
    this.#page(this.#root, this.#level(this.#root));
  }

  find(key: Uint8Array, start = 0, end = key.length): Buffer | undefined {
    const wanted = Buffer.from(key.buffer, key.byteOffset + start, end - start);
    let page = this.#root;
    for (let level = this.#level(page); level > 1; level--) {
      const base = this.#page(page, level);
      page = this.#child(base, Math.max(this.#lastNotAbove(base, 1, 1, wanted), 0));
    }
    const base = this.#page(page, 1);
    const index = this.#lastNotAbove(base, 0, 2, wanted);
    if (index < 0 || this.#isDeleted(base, index)) return undefined;
    return this.#leafBytes(base, index).equals(wanted) ? this.#leafBytes(base, index + 1) : undefined;
  }

  *entries(): Generator<readonly [key: Buffer, value: Buffer]> {
    yield* this.#below(this.#root, this.#level(this.#root), new Uint8Array(this.#pages));
  }

  *#below(page: number, level: number, seen: Uint8Array): Generator<readonly [key: Buffer, value: Buffer]> {
    const base = this.#page(page, level);
    if (seen[page]) throw damaged("a page that is in two places");
    seen[page] = 1;
    const count = this.#count(base);
    if (level > 1) {
      for (let index = 0; index < count; index++) yield* this.#below(this.#child(base, index), level - 1, seen);
      return;
    }
    for (let index = 0; index < count; index += 2) {
      if (!this.#isDeleted(base, index)) yield [this.#leafBytes(base, index), this.#leafBytes(base, index + 1)];
    }
  }

  #level(page: number): number {
    if (page === 0 || page >= this.#pages) throw damaged("a page beyond the end");
    const level = this.#bytes[page * this.#pageSize + header.level] as number;
    if (level < 1 || level > maxDepth) throw damaged("bad level");
    return level;
  }

  /** Where the page begins. */
  #page(page: number, level: number): number {
    if (this.#level(page) !== level) throw damaged("a page is missing");
    const base = page * this.#pageSize;
    const type = level > 1 ? btreePage.branch : btreePage.leaf;
    if (this.#bytes[base + header.type] !== type || this.#numbers.u32(this.#bytes, base + header.pageNumber) !== page) {
      throw damaged("a page is missing");
    }
    return base;
  }

  #count(base: number): number {
    const count = this.#numbers.u16(this.#bytes, base + header.entries);
    const leaf = this.#bytes[base + header.type] === btreePage.leaf;
    if (header.size + count * 2 > this.#pageSize || (leaf && count % 2 !== 0)) throw damaged("bad number of items");
    return count;
  }

  /** Where the item begins; `size` bytes of it are on the page. */
  #item(base: number, index: number, size: number): number {
    const offset = this.#numbers.u16(this.#bytes, base + header.size + index * 2);
    if (offset < header.size || offset + size > this.#pageSize) throw damaged("an item out of place");
    return base + offset;
  }

  /** The last of every `step` items, from `first` on, whose key is not above this one; `first - step` where there is none. */
  #lastNotAbove(base: number, first: number, step: number, key: Buffer): number {
    const leaf = step === 2;
    let [low, high] = [first / step, Math.ceil(this.#count(base) / step) - 1];
    while (low <= high) {
      const middle = (low + high) >>> 1;
      const found = leaf ? this.#leafBytes(base, middle * step) : this.#branchBytes(base, middle);
      if (found.compare(key) <= 0) low = middle + 1;
      else high = middle - 1;
    }
    return high * step;
  }

  #child(base: number, index: number): number {
    if (index >= this.#count(base)) throw damaged("a branch without items");
    return this.#numbers.u32(this.#bytes, this.#item(base, index, branchItem.bytes) + branchItem.child);
  }

  #isDeleted(base: number, index: number): boolean {
    return ((this.#bytes[this.#item(base, index, leafItem.bytes) + leafItem.type] as number) & deleted) !== 0;
  }

  #branchBytes(base: number, index: number): Buffer {
    const at = this.#item(base, index, branchItem.bytes);
    const length = this.#numbers.u16(this.#bytes, at);
    const start = at + branchItem.bytes;
    if (start + length > base + this.#pageSize) throw damaged("an item out of place");
    const type = this.#bytes[at + branchItem.type];
    if (type === itemType.keyData) return this.#bytes.subarray(start, start + length);
    if (type === itemType.offPage && length === offPageItem.size) return overflowItem(this.#file, start);
    throw damaged("an item of unknown type");
  }

  #leafBytes(base: number, index: number): Buffer {
    const at = this.#item(base, index, leafItem.bytes);
    const type = (this.#bytes[at + leafItem.type] as number) & ~deleted;
    if (type === itemType.offPage) return overflowItem(this.#file, this.#item(base, index, offPageItem.size));
    if (type === itemType.duplicate || type === itemType.offDuplicate) {
      throw new TableError("config", "has several values for a key, which cannot be used here");
    }
    const length = this.#numbers.u16(this.#bytes, at);
    const start = at + leafItem.bytes;
    if (type !== itemType.keyData) throw damaged("an item of unknown type");
    if (start + length > base + this.#pageSize) throw damaged("an item out of place");
    return this.#bytes.subarray(start, start + length);
  }
}

const kind: FileKind = {
  name: "btree",
  magic: btreeMagic,
  versions: btreeVersions,
  versionWords: "versions 8 and 9",
  metaType: btreePage.meta,
};

const damaged = (what: string): TableError => damagedFile(kind, what);
