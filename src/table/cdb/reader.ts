import { equal } from "../entries.ts";
import type { IndexFile } from "../index-format.ts";
import { TableError } from "../table.ts";
import { cdbHash, headerSize, pairSize, tableCount } from "./format.ts";

/**
 * Reads a constant database that is in memory. Opening looks at the header
 * only: every hash table must lie within the file, behind the header. Records
 * are checked when they are used. A look-up tries each slot of one table at
 * most once, so that a hostile file costs time linear in its size at most, and no byte outside it is read.
 */
export class CdbFile implements IndexFile {
  readonly #bytes: Buffer;
  readonly #numbers: DataView;
  /** Where the records end: at the first of the hash tables. */
  readonly #recordsEnd: number;

  constructor(bytes: Buffer) {
    if (bytes.length < headerSize) throw damaged(bytes.length === 0 ? "empty" : "too short");
    this.#bytes = bytes;
    this.#numbers = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    let recordsEnd = bytes.length;
    for (let table = 0; table < tableCount; table++) {
      const start = this.#u32(table * pairSize);
      const slots = this.#u32(table * pairSize + 4);
      if (slots === 0) continue;
      if (start < headerSize || start + slots * pairSize > bytes.length) throw damaged("a hash table is missing");
      if (start < recordsEnd) recordsEnd = start;
    }
    this.#recordsEnd = recordsEnd;
  }

  find(key: Uint8Array, start = 0, end = key.length): Buffer | undefined {
    const hash = cdbHash(key, start, end);
    const table = (hash & 0xff) * pairSize;
    const first = this.#u32(table);
    const slots = this.#u32(table + 4);
    if (slots === 0) return undefined;
    let slot = (hash >>> 8) % slots;
    for (let tried = 0; tried < slots; tried++) {
      const at = first + slot * pairSize;
      const record = this.#u32(at + 4);
      if (record === 0) return undefined;
      if (this.#u32(at) === hash) {
        const value = this.#valueAt(record, key, start, end);
        if (value) return value;
      }
      if (++slot === slots) slot = 0;
    }
    return undefined;
  }

  *entries(): Generator<readonly [key: Buffer, value: Buffer]> {
    for (let at = headerSize; at < this.#recordsEnd; ) {
      const [keyStart, keyEnd, valueEnd] = this.#record(at);
      yield [this.#bytes.subarray(keyStart, keyEnd), this.#bytes.subarray(keyEnd, valueEnd)];
      at = valueEnd;
    }
  }

  /** The record's value, where its key is this one. */
  #valueAt(record: number, key: Uint8Array, start: number, end: number): Buffer | undefined {
    const [keyStart, keyEnd, valueEnd] = this.#record(record);
    if (keyEnd - keyStart !== end - start) return undefined;
    if (!equal(key, start, this.#bytes, keyStart, end - start)) return undefined;
    return this.#bytes.subarray(keyEnd, valueEnd);
  }

  #record(at: number): readonly [keyStart: number, keyEnd: number, valueEnd: number] {
    const keyStart = at + pairSize;
    if (at < headerSize || keyStart > this.#recordsEnd) throw damaged("a record out of place");
    const keyEnd = keyStart + this.#u32(at);
    const valueEnd = keyEnd + this.#u32(at + 4);
    if (valueEnd > this.#recordsEnd) throw damaged("a record out of place");
    return [keyStart, keyEnd, valueEnd];
  }

  #u32(at: number): number {
    return this.#numbers.getUint32(at, true);
  }
}

const damaged = (what: string): TableError => new TableError("retry", `not a complete constant database: ${what}`);
