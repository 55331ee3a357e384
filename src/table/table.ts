import type { Random } from "../runtime/random.ts";
import type { Runtime } from "../runtime/runtime.ts";

/**
 * A lookup table answers a key with a value, with "absent", or by throwing a
 * TableError when it cannot tell. Callers treat "cannot tell" as a temporary
 * failure, never as "absent": mail must not take another route because a
 * database was down for a minute.
 */
export interface Table {
  /** Where it depends on the table and not on its type alone, as TableType.patterns. */
  readonly patterns?: boolean;
  /** Answers at once where it can: most tables are in memory, and look-ups are on the path of every message. */
  get(key: string): string | undefined | Promise<string | undefined>;
  /** The same for a key that need not be text, as it is: not folded, and the value as it is stored. Absent: get() has to do. */
  find?(key: Buffer): Buffer | undefined | Promise<Buffer | undefined>;
  /** Every entry, for `postmap -s`; absent where the type cannot list. */
  entries?(): Iterable<readonly [key: string, value: string]>;
  close(): Promise<void>;
}

/** How one type of table, named in main.cf as `type:name`, is opened. */
export interface TableType {
  readonly name: string;
  /** Keys are patterns: shortened keys (`@domain`, no extension, parent domains) are never asked. */
  readonly patterns: boolean;
  /** The files that a table of this type and name is read from; the index, and the source it is made from. */
  files(name: string): { readonly index?: string; readonly source?: string };
  open(name: string, context: TableContext): Promise<Table>;
  /** Does a file of parameters hold a password? Absent: files of this type hold none, beside what is looked up. */
  holdsPassword?(bytes: Buffer): boolean;
}

export interface TableContext {
  readonly foldCase: boolean;
  /**
   * The whole of a file that files() named. At start it is read as root; later the master sends new bytes.
   * Throws TableError: a missing or unreadable file is "config", one that is being rewritten "retry".
   */
  read(path: string): Promise<FileSnapshot>;
  warn(text: string): void;
  /** Opens a table that is part of this one, by its "type:name"; whoever opens tables says how. */
  part?(reference: string): Promise<Table>;
  /** The expanded value of a parameter that main.cf gives: for tables whose parameters are there, as NAME_parameter. */
  parameter?(name: string): string | undefined;
  /** What environ: shows. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly random?: Random;
  /** Sources of tables of type given, by name. */
  readonly given?: Readonly<Record<string, string>>;
  /** What tables that ask a server are reached with. */
  readonly network?: Pick<Runtime, "net" | "names" | "clock">;
}

export interface FileSnapshot {
  readonly bytes: Buffer;
  readonly mtime_ms: number;
}

export class TableError extends Error {
  readonly kind: "retry" | "config";

  constructor(kind: "retry" | "config", message: string) {
    super(message);
    this.kind = kind;
  }
}

export { foldKey } from "./fold.ts";
