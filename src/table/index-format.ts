import type { Entries } from "./entries.ts";

/** The format of the file that a type keeps its index in. */
export interface IndexFormat {
  /** What the index is called, behind its source's name: ".db". */
  readonly suffix: string;
  /** postmap(1) stores keys and values with a NUL behind them, where neither -n nor -N is given. */
  readonly nul: boolean;
  /** Entries can be listed, added and deleted: -s, -i, -d. Otherwise the index is only ever made as a whole. */
  readonly changeable: boolean;
  /** An index of no bytes is taken for what an interrupted postmap left; it is reported. Otherwise it is a table without entries. */
  readonly reportsEmpty: boolean;
  /** The table's name in messages about its keys: "/etc/x.db". */
  shown(name: string): string;
  /** The table, in messages about a key that comes twice. */
  shownTwice(name: string): string;
  /** An index that is in memory. Throws TableError: "retry" where it may be half written or is damaged. */
  open(bytes: Buffer): IndexFile;
  /** The bytes of an index of these entries. Throws TableError "config" where they do not fit the format. `random` gives random bytes. */
  image(entries: Entries, random: (count: number) => Buffer): Buffer;
}

/** An index in memory. Every look-up may throw TableError where it meets damage. */
export interface IndexFile {
  /** The value as it is stored, of the key that is `key[start..end)`, as it is stored. */
  find(key: Uint8Array, start?: number, end?: number): Buffer | undefined;
  entries(): Iterable<readonly [key: Buffer, value: Buffer]>;
}
