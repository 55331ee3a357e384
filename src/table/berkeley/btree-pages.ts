/**
 * What a Berkeley DB btree file (versions 8 and 9) has beside the pages that pages.ts describes.
 *
 * The meta page names the root. Leaves (level 1) are chained in the order of their keys and hold keys and values in turn.
 * Branches hold one item a child: the lowest key below it, or a part of it that is enough to tell it from the child before; the first one's is never looked at.
 *
 * Items are aligned to 4 bytes. On a leaf: length (2), type (1), bytes; or, for one kept on overflow pages, unused (2),
 * type (1), unused (1), first page (4), length (4). On a branch: length (2), type (1), unused (1), child (4), number of
 * records (4), and the key's bytes, or the 12 bytes that a leaf has for a key kept on overflow pages.
 */
export const btreeVersions: readonly number[] = [8, 9];

export const btreePage = { branch: 3, leaf: 5, meta: 9 } as const;

/** Offsets in the meta page, behind those that every type of file has. */
export const btreeMeta = { flags: 48, leastKeys: 76, padding: 84, root: 88 } as const;
/** In btreeMeta.flags: several values for a key, record numbers, sorted duplicates, a file of several databases. */
export const otherLayouts = 0x01 | 0x02 | 0x20 | 0x40;

export const leafItem = { type: 2, bytes: 3 } as const;
export const branchItem = { type: 2, child: 4, bytes: 12 } as const;
/** In an item's type: it was deleted, and only waits for its room to be used. */
export const deleted = 0x80;

export const aligned = (size: number): number => (size + 3) & ~3;
export const maxDepth = 32;
