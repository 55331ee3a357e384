import type { Entries } from "../entries.ts";
import { inKeyOrder } from "../key-order.ts";
import { TableError } from "../table.ts";
import { aligned, branchItem, btreeMeta, btreePage, leafItem } from "./btree-pages.ts";
import { btreeMagic, header, itemType, meta, offPageItem, pageType } from "./pages.ts";

/**
 * Writes a Berkeley DB btree file (version 9, little-endian, 4096-byte pages) as an image in memory: leaves in the order
 * of their keys, then the branches above them, level by level. The root is page 1, as Berkeley DB has it. A branch
 * holds as much of a key as tells it from the key before.
 */
const pageSize = 4096;
const pageSpace = pageSize - header.size;
/** Longer items go to overflow pages: Berkeley DB's limit for two keys a page. */
const onPageLimit = 1007;
const rootPage = 1;

/** The bytes of the file. `uid`: 20 bytes that no other file has. */
export function btreeFile(entries: Entries, uid: Buffer): Buffer {
  const tree = new Tree(entries);
  let children = tree.leaves(inKeyOrder(entries));
  for (let level = 2; children.length > 1; level++) children = tree.branches(children, level);
  return tree.finish(uid);
}

/** A page, and where in the entries' bytes the part of a key is that tells it from the page before. */
interface Child {
  readonly page: number;
  readonly start: number;
  readonly end: number;
}

const itemSize = (length: number): number =>
  length > onPageLimit ? offPageItem.size : aligned(leafItem.bytes + length);

const branchSize = ({ start, end }: Child): number =>
  aligned(branchItem.bytes + (end - start > onPageLimit ? offPageItem.size : end - start));

class Tree {
  readonly #entries: Entries;
  #image = Buffer.alloc(8 * pageSize);
  /** Page 1 is kept for the root. */
  #pages = 2;
  /** The page that is being filled: its items, its lowest offset. */
  #page = 0;
  #count = 0;
  #low = pageSize;

  constructor(entries: Entries) {
    this.#entries = entries;
  }

  leaves(order: Uint32Array): Child[] {
    const entries = this.#entries;
    const made: Child[] = [{ page: this.#begin(btreePage.leaf, 1, 0, this.#fitsOnePage()), start: 0, end: 0 }];
    let before = -1;
    for (const entry of order) {
      const [start, end] = [entries.keyStart(entry), entries.keyEnd(entry)];
      const [valueStart, valueEnd] = [entries.valueStart(entry), entries.valueEnd(entry)];
      if (!this.#fits(itemSize(end - start) + itemSize(valueEnd - valueStart), 2)) {
        const full = this.#page;
        const page = this.#begin(btreePage.leaf, 1, full);
        this.#image.writeUInt32LE(page, full * pageSize + header.next);
        made.push({ page, start, end: this.#distinct(before, entry) });
      }
      this.#leafItem(start, end);
      this.#leafItem(valueStart, valueEnd);
      before = entry;
    }
    return made;
  }

  /** The level above these pages. No branch has one child only: the last one takes one from its neighbour. */
  branches(children: readonly Child[], level: number): Child[] {
    const groups: Child[][] = [];
    let room = 0;
    for (const child of children) {
      const size = branchSize(child) + 2;
      const last = groups.at(-1);
      if (last && room >= size) last.push(child);
      else {
        groups.push([child]);
        room = pageSpace;
      }
      room -= size;
    }
    const [last, before] = [groups.at(-1), groups.at(-2)];
    if (last?.length === 1 && before) last.unshift(before.pop() as Child);
    return groups.map((group) => this.#branch(group, level, groups.length === 1));
  }

  finish(uid: Buffer): Buffer {
    const image = this.#image;
    writeLogNumber(image, 0);
    image.writeUInt32LE(btreeMagic, meta.magic);
    image.writeUInt32LE(9, meta.version);
    image.writeUInt32LE(pageSize, meta.pageSize);
    image[meta.type] = btreePage.meta;
    image.writeUInt32LE(this.#pages - 1, meta.lastPage);
    uid.copy(image, meta.uid, 0, meta.uidSize);
    image.writeUInt32LE(2, btreeMeta.leastKeys);
    image.writeUInt32LE(0x20, btreeMeta.padding);
    image.writeUInt32LE(rootPage, btreeMeta.root);
    return image.subarray(0, this.#pages * pageSize);
  }

  #branch(group: readonly Child[], level: number, alone: boolean): Child {
    const page = this.#begin(btreePage.branch, level, 0, alone);
    for (const child of group) this.#branchItem(child);
    return { ...(group[0] as Child), page };
  }

  #fitsOnePage(): boolean {
    const entries = this.#entries;
    let total = 0;
    for (let entry = 0; entry < entries.numbers && total <= pageSpace; entry++) {
      if (!entries.has(entry)) continue;
      total += 4 + itemSize(entries.keyEnd(entry) - entries.keyStart(entry));
      total += itemSize(entries.valueEnd(entry) - entries.valueStart(entry));
    }
    return total <= pageSpace;
  }

  #fits(size: number, items: number): boolean {
    return header.size + (this.#count + items) * 2 + size <= this.#low;
  }

  /** Where the part of this entry's key ends that tells it from the one before. */
  #distinct(before: number, entry: number): number {
    const { bytes } = this.#entries;
    let [a, b] = [this.#entries.keyStart(before), this.#entries.keyStart(entry)];
    const end = this.#entries.keyEnd(before);
    while (a < end && bytes[a] === bytes[b]) {
      a++;
      b++;
    }
    return b + 1;
  }

  #leafItem(start: number, end: number): void {
    const at = this.#addItem(itemSize(end - start));
    if (end - start > onPageLimit) {
      this.#image[at + leafItem.type] = itemType.offPage;
      this.#overflow(at, start, end);
    } else {
      this.#image.writeUInt16LE(end - start, at);
      this.#image[at + leafItem.type] = itemType.keyData;
      this.#copy(at + leafItem.bytes, start, end);
    }
  }

  #branchItem(child: Child): void {
    const { page, start, end } = child;
    const at = this.#addItem(branchSize(child));
    const large = end - start > onPageLimit;
    this.#image.writeUInt16LE(large ? offPageItem.size : end - start, at);
    this.#image[at + branchItem.type] = large ? itemType.offPage : itemType.keyData;
    this.#image.writeUInt32LE(page, at + branchItem.child);
    if (large) {
      this.#image[at + branchItem.bytes + leafItem.type] = itemType.offPage;
      this.#overflow(at + branchItem.bytes, start, end);
    } else this.#copy(at + branchItem.bytes, start, end);
  }

  /** Makes room for an item on the page; where it begins. */
  #addItem(size: number): number {
    const base = this.#page * pageSize;
    this.#low -= size;
    this.#image.writeUInt16LE(this.#low, base + header.size + this.#count * 2);
    this.#count++;
    this.#image.writeUInt16LE(this.#count, base + header.entries);
    this.#image.writeUInt16LE(this.#low, base + header.offset);
    return base + this.#low;
  }

  #copy(at: number, start: number, end: number): void {
    const from = this.#entries.bytes;
    const image = this.#image;
    if (end - start > 48) from.copy(image, at, start, end);
    else for (let index = start; index < end; index++) image[at + index - start] = from[index] as number;
  }

  /** The bytes on pages of their own, named by the item at `item`. */
  #overflow(item: number, start: number, end: number): void {
    let previous = 0;
    for (let at = start; at < end; at += pageSpace) {
      const page = this.#addPage(pageType.overflow, 0, previous);
      if (previous) this.#image.writeUInt32LE(page, previous * pageSize + header.next);
      else this.#image.writeUInt32LE(page, item + offPageItem.page);
      const until = Math.min(at + pageSpace, end);
      this.#image.writeUInt16LE(1, page * pageSize + header.entries);
      this.#image.writeUInt16LE(until - at, page * pageSize + header.offset);
      this.#copy(page * pageSize + header.size, at, until);
      previous = page;
    }
    this.#image.writeUInt32LE(end - start, item + offPageItem.length);
  }

  /** Begins a page to be filled with items, the root's where it is alone on its level; its number. */
  #begin(type: number, level: number, previous: number, alone = false): number {
    this.#page = alone ? rootPage : this.#addPage(type, level, previous);
    if (alone) this.#dress(rootPage, type, level, 0);
    this.#count = 0;
    this.#low = pageSize;
    this.#image.writeUInt16LE(pageSize, this.#page * pageSize + header.offset);
    return this.#page;
  }

  #addPage(type: number, level: number, previous: number): number {
    const page = this.#pages++;
    const needed = this.#pages * pageSize;
    if (needed >= 2 ** 32) throw new TableError("config", "an index can hold 4 GiB");
    if (needed > this.#image.length) {
      const larger = Buffer.alloc(Math.min(this.#image.length * 2, 2 ** 32 - pageSize));
      this.#image.copy(larger);
      this.#image = larger;
    }
    this.#dress(page, type, level, previous);
    return page;
  }

  #dress(page: number, type: number, level: number, previous: number): void {
    const base = page * pageSize;
    writeLogNumber(this.#image, base);
    this.#image.writeUInt32LE(page, base + header.pageNumber);
    this.#image.writeUInt32LE(previous, base + header.previous);
    this.#image[base + header.level] = level;
    this.#image[base + header.type] = type;
  }
}

/** "Never logged", as Berkeley DB notes it: file 0, offset 1. */
function writeLogNumber(image: Buffer, base: number): void {
  image.writeUInt32LE(1, base + 4);
}
