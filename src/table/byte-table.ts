import { isUtf8 } from "node:buffer";
import type { Entries } from "./entries.ts";
import { foldKey } from "./fold.ts";
import type { IndexFormat } from "./index-format.ts";
import type { Answer } from "./maps.ts";
import { type Table, type TableContext, TableError, type TableType } from "./table.ts";

/**
 * A table as bytes: keys are looked up as they are given, folded already, and
 * values come as they are stored. postmap(1) works on these, since what it
 * reads and prints need not be UTF-8; everybody else on the Table made of one.
 */
export interface ByteTable {
  /** Later only where a server is asked. */
  find(key: Buffer): Answer<Buffer | undefined>;
  /** Keys are patterns, and are not folded. Absent: as its type has it. */
  readonly patterns?: boolean;
  /** Absent where the type cannot list. */
  entries?(): Iterable<readonly [key: Buffer, value: Buffer]>;
  close?(): void;
}

/** The Table of a ByteTable. A value that is not UTF-8 is a TableError: as text it would be another one. */
export function textTable(table: ByteTable, reference: string, { foldCase }: Pick<TableContext, "foldCase">): Table {
  const { entries } = table;
  return {
    ...(table.patterns === undefined ? {} : { patterns: table.patterns }),
    get(key) {
      const value = table.find(Buffer.from(foldCase && !table.patterns ? foldKey(key) : key));
      if (value instanceof Promise) return value.then((found) => found && text(found, reference));
      return value === undefined ? undefined : text(value, reference);
    },
    find: (key) => table.find(key),
    ...(entries
      ? {
          *entries() {
            for (const [key, value] of entries.call(table)) {
              yield [text(key, reference), text(value, reference)] as const;
            }
          },
        }
      : {}),
    close: async () => table.close?.(),
  };
}

function text(bytes: Buffer, reference: string): string {
  if (!isUtf8(bytes)) throw new TableError("config", `${reference}: an entry is not UTF-8`);
  return bytes.toString();
}

/** Entries without trailing NULs, as a table. */
export function entriesTable(entries: Entries): ByteTable {
  return {
    find(key) {
      const entry = entries.find(key);
      return entry < 0 ? undefined : entries.value(entry);
    },
    *entries() {
      for (let entry = 0; entry < entries.numbers; entry++) {
        if (entries.has(entry)) yield [entries.key(entry), entries.value(entry)] as const;
      }
    },
  };
}

/** What postmap(1)'s options ask of a table that it opens, beside what everybody asks. */
export interface ByteOptions {
  /** Look keys up with the NUL behind them (-N), without (-n), or both ways. */
  readonly nul: "with" | "without" | "either";
  readonly utf8: boolean;
  /** What becomes of a key that comes twice, where a type reads a source itself. */
  readonly duplicates: "refuse" | "warn" | "ignore" | "replace";
  /** Opens a table that is part of this one, by its "type:name". It folds its keys itself. */
  readonly part?: (reference: string) => Promise<ByteTable>;
  /** What a value of a source becomes before it is stored (-F). Undefined leaves the entry out; reported already. */
  readonly convert?: (value: Buffer, where: string) => Promise<Buffer | undefined>;
}

export const usualBytes: ByteOptions = { nul: "either", utf8: true, duplicates: "refuse" };

/** A type whose tables are there as bytes, too. */
export interface ByteTableType extends TableType {
  /** The index that postmap(1) makes; absent where there is nothing to make. */
  readonly index?: IndexFormat;
  openBytes(name: string, context: TableContext, options: ByteOptions): Promise<ByteTable>;
}
