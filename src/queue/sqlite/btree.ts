import type { Pages } from "./pages.ts";

/**
 * Pages of an SQLite file as b-tree pages, and the records in them (https://sqlite.org/fileformat2.html, sections 1.6 and 2.1).
 * Whatever a page says is believed only as far as it is possible: what is not is left out, and counted.
 */
export interface TreePage {
  readonly kind: "table" | "index";
  readonly leaf: boolean;
  /** Offsets of the cells in the page. */
  readonly cells: readonly number[];
  /** Cells that cannot be where the page says. */
  readonly impossible: number;
  /** The last child of an inner page. */
  readonly last: number | undefined;
  readonly bytes: Buffer;
}

/** Text and blobs are Buffers; integers beyond 2^53 are NaN, which no column of a queue has. */
export type Value = number | Buffer | string | null;

export interface Cell {
  readonly rowid: number;
  readonly values: readonly Value[];
  /** Pages where the rest of it is. */
  readonly overflow: readonly number[];
}

const kinds: Readonly<Record<number, Pick<TreePage, "kind" | "leaf">>> = {
  2: { kind: "index", leaf: false },
  5: { kind: "table", leaf: false },
  10: { kind: "index", leaf: true },
  13: { kind: "table", leaf: true },
};

/** undefined: it is no b-tree page. */
export function treePage(bytes: Buffer, number: number): TreePage | undefined {
  const start = number === 1 ? 100 : 0;
  const known = kinds[bytes[start] ?? 0];
  if (!known) return undefined;
  const count = bytes.readUInt16BE(start + 3);
  const first = start + (known.leaf ? 8 : 12);
  if (first + 2 * count > bytes.length) return undefined;
  const cells: number[] = [];
  for (let at = first; at < first + 2 * count; at += 2) {
    const offset = bytes.readUInt16BE(at);
    if (offset >= first + 2 * count && offset < bytes.length - 3) cells.push(offset);
  }
  const last = known.leaf ? undefined : bytes.readUInt32BE(start + 8);
  return { ...known, cells, impossible: count - cells.length, last, bytes };
}

/** The child of an inner page's cell. */
export const childOf = ({ bytes }: TreePage, cell: number): number => bytes.readUInt32BE(cell);

/** The key of an inner table page's cell: the largest that its child has. NaN where it cannot be. */
export function keyOf({ bytes }: TreePage, cell: number): number {
  try {
    return varint(bytes, cell + 4)[0];
  } catch {
    return Number.NaN;
  }
}

/** The record in a cell, read together with its overflow pages; undefined where that is not possible. */
export async function readCell(pages: Pages, page: TreePage, offset: number): Promise<Cell | undefined> {
  try {
    const { kind, leaf, bytes } = page;
    const start = leaf ? offset : offset + 4;
    const [length, afterLength] = varint(bytes, start);
    const [rowid, begin] = kind === "table" ? varint(bytes, afterLength) : [0, afterLength];
    if (!(length >= 0) || length > pages.count * pages.pageSize_bytes) return undefined;
    const local = localLength(length, pages.pageSize_bytes, kind);
    if (begin + local + (local < length ? 4 : 0) > bytes.length) return undefined;
    const overflow: number[] = [];
    const payload =
      local === length
        ? bytes.subarray(begin, begin + length)
        : await readOverflow(pages, bytes, begin, { length, local }, overflow);
    const values = payload && readRecord(payload);
    return values && { rowid, values, overflow };
  } catch (error) {
    // Past the end of the page.
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

/** How much of a payload is in the page itself. */
function localLength(length: number, usable: number, kind: TreePage["kind"]): number {
  const most = kind === "table" ? usable - 35 : Math.floor(((usable - 12) * 64) / 255) - 23;
  if (length <= most) return length;
  const least = Math.floor(((usable - 12) * 32) / 255) - 23;
  const fitting = least + ((length - least) % (usable - 4));
  return fitting <= most ? fitting : least;
}

async function readOverflow(
  pages: Pages,
  bytes: Buffer,
  begin: number,
  { length, local }: { length: number; local: number },
  overflow: number[],
): Promise<Buffer | undefined> {
  const parts = [bytes.subarray(begin, begin + local)];
  let next = bytes.readUInt32BE(begin + local);
  for (let left = length - local; left > 0; ) {
    const page = next > 0 && next <= pages.count ? await pages.read(next) : undefined;
    if (!page) return undefined;
    overflow.push(next);
    const part = page.subarray(4, 4 + Math.min(left, page.length - 4));
    parts.push(part);
    left -= part.length;
    next = page.readUInt32BE(0);
  }
  return Buffer.concat(parts, length);
}

function readRecord(payload: Buffer): Value[] | undefined {
  const [header, begin] = varint(payload, 0);
  if (!(header >= begin) || header > payload.length) return undefined;
  const values: Value[] = [];
  let at = header;
  for (let type = begin; type < header; ) {
    const [serial, after] = varint(payload, type);
    type = after;
    const size = sizeOf(serial);
    if (size === undefined || at + size > payload.length) return undefined;
    values.push(decoded(serial, payload.subarray(at, at + size)));
    at += size;
  }
  return values;
}

const sizes = [0, 1, 2, 3, 4, 6, 8, 8, 0, 0];

function sizeOf(serial: number): number | undefined {
  if (serial >= 12) return Math.floor((serial - 12) / 2);
  return sizes[serial];
}

function decoded(serial: number, bytes: Buffer): Value {
  if (serial === 0) return null;
  if (serial >= 12) return serial % 2 === 0 ? bytes : bytes.toString();
  if (serial === 7) return bytes.readDoubleBE(0);
  if (serial >= 8) return serial - 8;
  if (serial < 6) return bytes.readIntBE(0, bytes.length);
  const value = Number(bytes.readBigInt64BE(0));
  return Number.isSafeInteger(value) ? value : Number.NaN;
}

/** A number of one to nine bytes, and where it ends. Beyond 2^53 it is NaN. */
function varint(bytes: Buffer, at: number): [value: number, end: number] {
  let value = 0;
  for (let i = 0; i < 8; i++) {
    const byte = bytes.readUInt8(at + i);
    value = value * 128 + (byte & 0x7f);
    if (byte < 0x80) return [Number.isSafeInteger(value) ? value : Number.NaN, at + i + 1];
  }
  bytes.readUInt8(at + 8);
  return [Number.NaN, at + 9];
}
