/**
 * The pages of a Berkeley DB hash file (format versions 7 to 9; version 9 is
 * what libdb 4.6 to 5.3 write), as far as reader and writer share them.
 *
 * A file is a row of pages of one size. Page 0 is the meta page. Every bucket
 * has a page of its own, found by arithmetic from the meta page's `spares`;
 * when it is full, further pages are chained to it. An item over a quarter of a
 * page is kept in a chain of overflow pages.
 *
 * Page header, 26 bytes: log sequence number (8), page number, previous,
 * next (4 each), number of items, lowest offset used (2 each), level, type (1
 * each). Behind it one 2-byte offset an item; the items grow from the end of
 * the page towards it, keys and values taking turns. On an overflow page
 * "number of items" is a reference count and "lowest offset" the length.
 *
 * Numbers have the byte order of the machine that wrote them.
 */
export const hashMagic = 0x00061561;
export const btreeMagic = 0x00053162;
export const hashVersions: readonly number[] = [7, 8, 9];

export const pageType = { invalid: 0, hashUnsorted: 2, overflow: 7, hashMeta: 8, hash: 13 } as const;
export const itemType = { keyData: 1, duplicate: 2, offPage: 3, offDuplicate: 4 } as const;

/** Offsets in a page's header. */
export const header = {
  pageNumber: 8,
  previous: 12,
  next: 16,
  entries: 20,
  offset: 22,
  level: 24,
  type: 25,
  size: 26,
} as const;

/** Offsets in the meta page. */
export const meta = {
  magic: 12,
  version: 16,
  pageSize: 20,
  encryption: 24,
  type: 25,
  flags: 26,
  lastPage: 32,
  uid: 52,
  uidSize: 20,
  maxBucket: 72,
  highMask: 76,
  lowMask: 80,
  fillFactor: 84,
  elements: 88,
  charKey: 92,
  spares: 96,
  spareCount: 32,
  size: 512,
} as const;

/** In meta.flags: every page carries a checksum and has another header. */
export const checksummed = 1;

/** An item that is kept elsewhere: its type (1), unused (3), first overflow page (4), total length (4). */
export const offPageItem = { page: 4, length: 8, size: 12 } as const;

/** What a file's hash function makes of a fixed text is in its meta page, so that a foreign function is noticed. */
const charKeyText = Buffer.from("%$sniglet^&\0", "latin1");

/** Berkeley DB's default hash function since format version 5: Fowler, Noll and Vo's FNV-1, started at 0. */
export function hashOf(bytes: Uint8Array, start: number, end: number): number {
  let hash = 0;
  for (let at = start; at < end; at++) hash = Math.imul(hash, 16777619) ^ (bytes[at] as number);
  return hash >>> 0;
}

export const charKey: number = hashOf(charKeyText, 0, charKeyText.length);
