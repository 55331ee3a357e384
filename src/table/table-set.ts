import { bytesOf, Maps, type TableSlot } from "./maps.ts";
import { openTable, parseReference, type Reference } from "./open.ts";
import { type FileSnapshot, type Table, type TableContext, TableError, type TableType } from "./table.ts";
import { tableTypes } from "./types.ts";

/**
 * All tables of one configuration: each is opened once for everyone who
 * names it, exchanged when its file changes, and compared with its source.
 *
 * A table's file changes by replace(): the new bytes are opened, and take the
 * old ones' place if they are sound; otherwise the old table stays in force
 * and the operator is told. A look-up sees the one or the other, whole.
 *
 * An index that is older than its source is used, and reported once: at
 * once where it was so when the table was first opened, and after a grace
 * otherwise, since somebody may be about to run postmap. When it has been mended and becomes stale again, it is reported again.
 */
export interface TableSetOptions {
  /** The type of a reference without one: default_database_type. */
  readonly defaultType: string;
  /** The whole of a file, as TableContext.read has it: as root at start, or whoever may. */
  read(path: string): Promise<FileSnapshot>;
  /** When a source was last changed, in milliseconds since the epoch; undefined where there is none. */
  modified(path: string): Promise<number | undefined>;
  warn(text: string): void;
  readonly types?: readonly TableType[];
  /** What tables want of the world beside files. */
  readonly world?: Pick<TableContext, "env" | "random" | "given" | "network" | "parameter">;
}

/** How long a source may be newer than its index, while running, before it is reported. */
export const staleGrace_ms: number = 10_000;

/** A table that cannot be used as things are. */
export interface TableProblem {
  /** "hash:/etc/postfix/sasl_passwd" */
  readonly reference: string;
  readonly error: TableError;
}

interface OpenSlot {
  readonly slot: TableSlot;
  readonly reference: Reference;
  readonly foldCase: boolean;
  readonly type: TableType | undefined;
  readonly files: { readonly index?: string; readonly source?: string };
  /** Counts the attempts to open it: only the latest one is heard. */
  attempt: number;
}

/** What is known of an index and its source. */
interface Freshness {
  readonly index: string;
  readonly source: string;
  index_ms: number | undefined;
  source_ms: number | undefined;
  /** When it was first seen to be stale; -Infinity at start; undefined while it is not. */
  since_ms: number | undefined;
  reported: boolean;
}

export class TableSet {
  readonly #options: TableSetOptions;
  readonly #types: readonly TableType[];
  /** By case folding and reference. */
  readonly #slots = new Map<string, Promise<OpenSlot>>();
  readonly #opened: OpenSlot[] = [];
  /** Files of parameters in which a password stands. */
  readonly #secret = new Set<string>();
  /** By index. */
  readonly #freshness = new Map<string, Freshness>();

  constructor(options: TableSetOptions) {
    this.#options = options;
    this.#types = options.types ?? tableTypes;
  }

  /**
   * The tables of one parameter, in their order. One that cannot be opened
   * answers every look-up with its TableError, and is among problems().
   * Throws TableError "config" where a reference is not `type:name`.
   */
  async maps(references: readonly string[], { foldCase }: { readonly foldCase: boolean }): Promise<Maps> {
    const slots: TableSlot[] = [];
    for (const text of references) slots.push(await this.#slot(text, foldCase));
    return new Maps(slots);
  }

  async #slot(text: string, foldCase: boolean): Promise<TableSlot> {
    const reference = parseReference(text, this.#options.defaultType);
    const key = `${foldCase ? "fold" : "keep"} ${reference.text}`;
    const opening = this.#slots.get(key) ?? this.#open(reference, foldCase);
    this.#slots.set(key, opening);
    return (await opening).slot;
  }

  /** A table that is part of another one is opened, followed and exchanged like any other. */
  async #part(text: string, foldCase: boolean): Promise<Table> {
    const slot = await this.#slot(text, foldCase);
    if (slot.current instanceof TableError) throw slot.current;
    return {
      patterns: slot.patterns,
      get(key) {
        if (slot.current instanceof TableError) throw slot.current;
        return slot.current.get(key);
      },
      find(key) {
        if (slot.current instanceof TableError) throw slot.current;
        return bytesOf(slot.current, key);
      },
      close: async () => {},
    };
  }

  /** The tables that cannot be used as things are. */
  problems(): TableProblem[] {
    const found: TableProblem[] = [];
    for (const { slot, reference } of this.#opened) {
      if (slot.current instanceof TableError) found.push({ reference: reference.text, error: slot.current });
    }
    return found;
  }

  /** The files whose new contents go to replace(): indexes, and sources that are read themselves. */
  contents(): string[] {
    return unique(this.#opened.map(({ files }) => files.index ?? files.source));
  }

  /** The files of parameters that hold a password. */
  secrets(): string[] {
    return [...this.#secret];
  }

  /** The sources whose times go to sourceChanged(): those that an index is made from. */
  sources(): string[] {
    return unique([...this.#freshness.values()].map(({ source }) => source));
  }

  /** Takes a file's new contents. True where every table that is read from it now uses them. */
  async replace(path: string, snapshot: FileSnapshot): Promise<boolean> {
    let used = true;
    for (const open of this.#opened) {
      if ((open.files.index ?? open.files.source) !== path) continue;
      if (!(await this.#reopen(open, snapshot))) used = false;
    }
    const freshness = this.#freshness.get(path);
    if (freshness && used) {
      freshness.index_ms = snapshot.mtime_ms;
      freshness.source_ms = await this.#options.modified(freshness.source);
    }
    return used;
  }

  /** Takes the time of a source's last change; undefined where it is gone. */
  sourceChanged(path: string, modified_ms: number | undefined): void {
    for (const each of this.#freshness.values()) if (each.source === path) each.source_ms = modified_ms;
  }

  /** Warnings that are due at `now_ms`; each once, until it has been mended. */
  stale(now_ms: number): string[] {
    const warnings: string[] = [];
    for (const each of this.#freshness.values()) {
      if (!isStale(each)) {
        each.since_ms = undefined;
        each.reported = false;
        continue;
      }
      each.since_ms ??= now_ms;
      if (each.reported || now_ms - each.since_ms < staleGrace_ms) continue;
      each.reported = true;
      warnings.push(`database ${each.index} is older than source file ${each.source}`);
    }
    return warnings;
  }

  /** When the next warning is due, if nothing changes until then. As of the last stale(). */
  nextStale_ms(): number | undefined {
    const due = [...this.#freshness.values()].flatMap(({ since_ms, reported }) =>
      since_ms === undefined || reported ? [] : since_ms + staleGrace_ms,
    );
    return due.length > 0 ? Math.min(...due) : undefined;
  }

  async close(): Promise<void> {
    for (const { slot } of this.#opened) if (!(slot.current instanceof TableError)) await slot.current.close();
  }

  async #open(reference: Reference, foldCase: boolean): Promise<OpenSlot> {
    const read: FileSnapshot[] = [];
    const type = this.#types.find((each) => each.name === reference.type);
    const current = await this.#table(reference, foldCase, async (path) => {
      const snapshot = await this.#options.read(path);
      read.push(snapshot);
      return snapshot;
    });
    const ofTable = current instanceof TableError ? undefined : current.patterns;
    const slot: TableSlot = { reference: reference.text, patterns: ofTable ?? type?.patterns ?? false, current };
    const open = { slot, reference, foldCase, type, files: type?.files(reference.name) ?? {}, attempt: 0 };
    this.#opened.push(open);
    const [parameters] = read;
    if (open.files.source && parameters && type?.holdsPassword?.(parameters.bytes)) this.#secret.add(open.files.source);
    await this.#watchFreshness(open, read[0]);
    return open;
  }

  async #watchFreshness({ files }: OpenSlot, read: FileSnapshot | undefined): Promise<void> {
    const { index, source } = files;
    if (index === undefined || source === undefined || this.#freshness.has(index)) return;
    const freshness: Freshness = {
      index,
      source,
      index_ms: read?.mtime_ms,
      source_ms: await this.#options.modified(source),
      since_ms: undefined,
      reported: false,
    };
    if (isStale(freshness)) freshness.since_ms = Number.NEGATIVE_INFINITY;
    this.#freshness.set(index, freshness);
  }

  async #table(
    reference: Reference,
    foldCase: boolean,
    read: (path: string) => Promise<FileSnapshot>,
  ): Promise<TableSlot["current"]> {
    const context: TableContext = {
      ...this.#options.world,
      foldCase,
      read,
      warn: (text) => this.#options.warn(text),
      part: (text) => this.#part(text, foldCase),
    };
    try {
      return await openTable(reference, context, this.#types);
    } catch (error) {
      if (error instanceof TableError) return error;
      throw error;
    }
  }

  async #reopen(open: OpenSlot, snapshot: FileSnapshot): Promise<boolean> {
    const attempt = ++open.attempt;
    const made = await this.#table(open.reference, open.foldCase, async (path) =>
      path === (open.files.index ?? open.files.source) ? snapshot : this.#options.read(path),
    );
    if (attempt !== open.attempt) return true;
    const old = open.slot.current;
    if (made instanceof TableError && !(old instanceof TableError)) {
      this.#options.warn(`${open.reference.text}: new contents are not used, the old ones stay: ${made.message}`);
      return false;
    }
    open.slot.current = made;
    if (!(old instanceof TableError)) await old.close();
    return !(made instanceof TableError);
  }
}

const isStale = ({ index_ms, source_ms }: Freshness): boolean =>
  index_ms !== undefined && source_ms !== undefined && source_ms > index_ms;

const unique = (paths: readonly (string | undefined)[]): string[] => [
  ...new Set(paths.filter((path) => path !== undefined)),
];
