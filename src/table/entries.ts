import { hashOf } from "./berkeley/pages.ts";
import { TableError } from "./table.ts";

/**
 * Keys and values in memory, in the order they came: what an index is built
 * from, and what tables read whole are asked through. All bytes lie in
 * one buffer and everything about an entry in typed arrays: a million entries
 * cost their bytes and 40 more each, and no objects.
 *
 * A key occurs once. Where the trailing NUL of Postfix's indexes is wanted it is part of the key and of the value.
 */
export class Entries {
  #bytes: Buffer;
  #used = 0;
  #count = 0;
  #live = 0;
  #columns: Columns;
  /** Entry number + 1 by hash, open addressing; 0 is free. Entries that were deleted keep their place. */
  #slots: Uint32Array;

  constructor(expected = 64) {
    const capacity = 2 ** Math.ceil(Math.log2(Math.max(expected, 64)));
    this.#bytes = Buffer.allocUnsafeSlow(capacity * 64);
    this.#columns = columns(capacity);
    this.#slots = new Uint32Array(capacity * 2);
  }

  /** The number of entries that are there. */
  get size(): number {
    return this.#live;
  }

  /** The number of entry numbers given out; deleted ones included. */
  get numbers(): number {
    return this.#count;
  }

  get bytes(): Buffer {
    return this.#bytes;
  }

  has(entry: number): boolean {
    return entry < this.#count && this.#columns.gone[entry] === 0;
  }

  keyStart(entry: number): number {
    return this.#columns.keyStart[entry] as number;
  }

  keyEnd(entry: number): number {
    return (this.#columns.keyStart[entry] as number) + (this.#columns.keyLength[entry] as number);
  }

  valueStart(entry: number): number {
    return this.#columns.valueStart[entry] as number;
  }

  valueEnd(entry: number): number {
    return (this.#columns.valueStart[entry] as number) + (this.#columns.valueLength[entry] as number);
  }

  hash(entry: number): number {
    return this.#columns.hash[entry] as number;
  }

  key(entry: number): Buffer {
    return this.#bytes.subarray(this.keyStart(entry), this.keyEnd(entry));
  }

  value(entry: number): Buffer {
    return this.#bytes.subarray(this.valueStart(entry), this.valueEnd(entry));
  }

  /** The entry's number, or -1. */
  find(key: Uint8Array, start = 0, end = key.length): number {
    const entry = (this.#slots[this.#place(key, start, end, hashOf(key, start, end))] as number) - 1;
    return entry >= 0 && this.#columns.gone[entry] === 0 ? entry : -1;
  }

  /** Adds an entry, both halves with a NUL behind them if `nul`. False where the key was there already: then its value is replaced if `replace`, and left otherwise. */
  add(key: Uint8Array, value: Uint8Array, nul: boolean, replace: boolean): boolean {
    return this.addRange(key, 0, key.length, value, 0, value.length, nul, replace);
  }

  /** The same with parts of larger buffers: no object is made for an entry. */
  addRange(
    key: Uint8Array,
    keyStart: number,
    keyEnd: number,
    value: Uint8Array,
    valueStart: number,
    valueEnd: number,
    nul: boolean,
    replace: boolean,
  ): boolean {
    const at = this.#append(key, keyStart, keyEnd, nul);
    const keyLength = this.#used - at;
    const hash = hashOf(this.#bytes, at, this.#used);
    const place = this.#place(this.#bytes, at, this.#used, hash);
    const found = (this.#slots[place] as number) - 1;
    if (found >= 0) {
      this.#used = at;
      return this.#again(found, value, valueStart, valueEnd, nul, replace);
    }
    const entry = this.#count++;
    if (entry >= this.#columns.hash.length) this.#columns = widened(this.#columns);
    this.#slots[place] = entry + 1;
    this.#columns.keyStart[entry] = at;
    this.#columns.keyLength[entry] = keyLength;
    this.#columns.hash[entry] = hash;
    this.#setValue(entry, value, valueStart, valueEnd, nul);
    this.#live++;
    if (this.#count * 2 > this.#slots.length) this.#rehash();
    return true;
  }

  /** False where there is no such key. */
  delete(key: Uint8Array): boolean {
    const entry = this.find(key);
    if (entry < 0) return false;
    this.#columns.gone[entry] = 1;
    this.#live--;
    return true;
  }

  #again(entry: number, value: Uint8Array, start: number, end: number, nul: boolean, replace: boolean): boolean {
    const gone = this.#columns.gone[entry] === 1;
    if (gone || replace) this.#setValue(entry, value, start, end, nul);
    if (gone) {
      this.#columns.gone[entry] = 0;
      this.#live++;
    }
    return gone;
  }

  #setValue(entry: number, value: Uint8Array, start: number, end: number, nul: boolean): void {
    const at = this.#append(value, start, end, nul);
    this.#columns.valueStart[entry] = at;
    this.#columns.valueLength[entry] = this.#used - at;
  }

  #append(from: Uint8Array, start: number, end: number, nul: boolean): number {
    const at = this.#used;
    const length = end - start;
    this.#reserve(length + 1);
    const bytes = this.#bytes;
    if (length < 64) for (let index = 0; index < length; index++) bytes[at + index] = from[start + index] as number;
    else bytes.set(from.subarray(start, end), at);
    this.#used += length;
    if (nul) bytes[this.#used++] = 0;
    return at;
  }

  #reserve(length: number): void {
    const needed = this.#used + length;
    if (needed <= this.#bytes.length) return;
    if (needed >= 2 ** 32) throw new TableError("config", "a table can hold 4 GiB of keys and values");
    const larger = Buffer.allocUnsafeSlow(Math.min(Math.max(this.#bytes.length * 2, needed), 2 ** 32 - 1));
    this.#bytes.copy(larger, 0, 0, this.#used);
    this.#bytes = larger;
  }

  /** The slot that has this key, or the free one where it belongs. */
  #place(key: Uint8Array, start: number, end: number, hash: number): number {
    const { keyStart, keyLength, hash: hashes } = this.#columns;
    const length = end - start;
    const mask = this.#slots.length - 1;
    for (let place = (hash ^ (hash >>> 15)) & mask; ; place = (place + 1) & mask) {
      const entry = (this.#slots[place] as number) - 1;
      if (entry < 0) return place;
      if (hashes[entry] !== hash || keyLength[entry] !== length) continue;
      if (equal(key, start, this.#bytes, keyStart[entry] as number, length)) return place;
    }
  }

  #rehash(): void {
    const slots = new Uint32Array(this.#slots.length * 2);
    const mask = slots.length - 1;
    const hashes = this.#columns.hash;
    for (let entry = 0; entry < this.#count; entry++) {
      const hash = hashes[entry] as number;
      let place = (hash ^ (hash >>> 15)) & mask;
      while (slots[place] !== 0) place = (place + 1) & mask;
      slots[place] = entry + 1;
    }
    this.#slots = slots;
  }
}

interface Columns {
  readonly keyStart: Uint32Array;
  readonly keyLength: Uint32Array;
  readonly valueStart: Uint32Array;
  readonly valueLength: Uint32Array;
  readonly hash: Uint32Array;
  readonly gone: Uint8Array;
}

function columns(capacity: number, from?: Columns): Columns {
  const column = (old: Uint32Array | undefined): Uint32Array => {
    const made = new Uint32Array(capacity);
    if (old) made.set(old);
    return made;
  };
  const gone = new Uint8Array(capacity);
  if (from) gone.set(from.gone);
  return {
    keyStart: column(from?.keyStart),
    keyLength: column(from?.keyLength),
    valueStart: column(from?.valueStart),
    valueLength: column(from?.valueLength),
    hash: column(from?.hash),
    gone,
  };
}

const widened = (from: Columns): Columns => columns(from.hash.length * 2, from);

/** Are `length` bytes the same? */
export function equal(a: Uint8Array, aStart: number, b: Uint8Array, bStart: number, length: number): boolean {
  for (let index = length - 1; index >= 0; index--) if (a[aStart + index] !== b[bStart + index]) return false;
  return true;
}
