/**
 * The layout of an LMDB file (0.9, data version 1) of a 64-bit little-endian machine, as far as reader and writer share it.
 *
 * A file is a row of pages of one size. Pages 0 and 1 are meta pages; the one with the higher transaction number is
 * in force, and names the root of the main database, a B+tree. Keys are in the order of their bytes, a shorter one first.
 *
 * Page header, 16 bytes: page number (8), unused (2), kind (2), then the end of the offsets and the lowest
 * node (2 each), or on the first of a value's overflow pages their number (4). Behind it one 2-byte offset a node, in the order of the keys.
 *
 * Node: two 16-bit halves of a number (low, high), flags (2), key length (2), key; on a leaf the number is the value's length and the value
 * follows, or with `bigData` the number of its first overflow page (8). On a branch it is a page's
 * number, with the flags as its third part; the first node's key is empty and stands for everything lower than the second.
 */
export const lmdbMagic = 0xbeefc0de;
export const dataVersion = 1;
/** LMDB's own limit, with the NUL behind a key. */
export const maxKey = 511;
export const maxDepth = 32;

export const pageKind = { branch: 0x01, leaf: 0x02, overflow: 0x04, meta: 0x08, leaf2: 0x20 } as const;
export const header = { pageNumber: 0, kind: 10, lower: 12, upper: 14, overflowPages: 12, size: 16 } as const;
export const node = { low: 0, high: 2, flags: 4, keyLength: 6, size: 8, pageNumberSize: 8 } as const;
export const nodeFlag = { bigData: 0x01 } as const;

/** Offsets in a meta page. A database's are relative to its beginning; the first is that of free pages. */
export const meta = {
  magic: 16,
  version: 20,
  mapSize: 32,
  free: 40,
  main: 88,
  lastPage: 136,
  transaction: 144,
  size: 152,
} as const;
export const database = {
  /** Of the free database: the page size. */
  pad: 0,
  flags: 4,
  depth: 6,
  branchPages: 8,
  leafPages: 16,
  overflowPages: 24,
  entries: 32,
  root: 40,
} as const;
/** Of the main database, which kinds of keys and values need another order or layout: reverse, duplicates, integers. */
export const otherLayouts = 0x7e;
