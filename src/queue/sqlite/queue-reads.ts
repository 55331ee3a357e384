import type { Database, Statement } from "better-sqlite3";
import { type Read, type ReadKind, type ReadResultOf, type Row, state } from "../engine.ts";
import { chunkCrc, envelopeCrc } from "./checksum.ts";
import { DueScan } from "./due-scan.ts";
import { assertRising, OrderError } from "./order.ts";
import { isIntact } from "./schema.ts";

/** A row of `message` without its body, as its statement gives it. */
export type RawRow = [
  id: number,
  state: number,
  flags: number,
  due: number,
  sourced: number,
  chunks: number,
  crc: number,
  envelope: Buffer,
  destination: string,
  intact: number,
];

export const rowColumns = `id, state, flags, due, source IS NOT NULL, chunks, crc, envelope, destination, ${isIntact}`;

/** The envelope is left out where the row fails a checksum. */
export function rowOf([id, is, flags, due, sourced, chunks, crc, envelope, destination, guarded]: RawRow): Row {
  const intact = guarded === 1 && Buffer.isBuffer(envelope) && envelopeCrc(id, envelope) === crc;
  return {
    id,
    state: is,
    flags,
    due,
    sourced: sourced === 1,
    chunks,
    envelope: intact ? envelope.toString() : undefined,
    destination,
  };
}

type BodyRow = [chunks: number, body: number | null, crc: number | null, inline: Buffer | null, intact: number];

/** SQLite found its own structures damaged, or the disk does not give back what it has. */
export function isDamage(error: unknown): boolean {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  // For what its first page or its list of tables says, SQLite has no code of its own.
  if (code === "SQLITE_ERROR")
    return /^unsupported file format|^no such (?:table|column|index)/.test(error instanceof Error ? error.message : "");
  return code.startsWith("SQLITE_CORRUPT") || code === "SQLITE_NOTADB" || unreadable.has(code);
}

const unreadable: ReadonlySet<string> = new Set(["SQLITE_IOERR_READ", "SQLITE_IOERR_SHORT_READ", "SQLITE_IOERR_DATA"]);

/**
 * What is read from a queue file, by the queue's own thread and by commands
 * that look at it from outside. Each read is short; nothing holds a transaction open.
 */
export class QueueReads {
  readonly #page: Statement<[number, number], RawRow>;
  readonly #nextIds: Statement<[number, number], number>;
  readonly #body: Statement<[number], BodyRow>;
  readonly #firstChunk: Statement<[number], [crc: number, data: Buffer]>;
  readonly #laterChunk: Statement<[number, number], [crc: number, data: Buffer]>;
  readonly #tally: Statement<[], [state: number, count: number]>;
  readonly #active: Statement<[], number>;
  readonly #owners: Statement<[], string>;
  readonly #reusable: Statement<[], number>;
  readonly #due: DueScan;

  constructor(db: Database, due = new DueScan(db)) {
    this.#page = db
      .prepare<[number, number], RawRow>(`SELECT ${rowColumns} FROM message WHERE id > ? ORDER BY id LIMIT ?`)
      .raw();
    this.#nextIds = db
      .prepare<[number, number], number>("SELECT id FROM message WHERE id > ? ORDER BY id LIMIT ?")
      .pluck();
    this.#body = db
      .prepare<[number], BodyRow>(`SELECT chunks, body, body_crc, inline, ${isIntact} FROM message WHERE id = ?`)
      .raw();
    this.#firstChunk = db.prepare<[number], [number, Buffer]>("SELECT crc, data FROM chunk WHERE id = ?").raw();
    this.#laterChunk = db
      .prepare<[number, number], [number, Buffer]>("SELECT crc, data FROM chunk WHERE body = ? AND seq = ? AND seq > 0")
      .raw();
    this.#tally = db.prepare<[], [number, number]>("SELECT state, count FROM tally").raw();
    this.#active = db.prepare<[], number>("SELECT count(*) FROM message WHERE owner IS NOT NULL").pluck();
    this.#owners = db
      .prepare<[], string>(
        `WITH RECURSIVE each (owner) AS (
           SELECT min(owner) FROM message WHERE owner IS NOT NULL
           UNION ALL SELECT (SELECT min(owner) FROM message WHERE owner > each.owner) FROM each WHERE each.owner IS NOT NULL)
         SELECT owner FROM each WHERE owner IS NOT NULL UNION SELECT owner FROM unfinished UNION SELECT owner FROM held`,
      )
      .pluck();
    this.#reusable = db
      .prepare<[], number>("SELECT freelist_count * page_size FROM pragma_freelist_count, pragma_page_size")
      .pluck();
    this.#due = due;
  }

  /** What is free inside the file. */
  reusable_bytes(): number {
    return this.#reusable.get() ?? 0;
  }

  read(read: Read): ReadResultOf[ReadKind] {
    switch (read.kind) {
      case "chunk":
        return this.chunk(read.id, read.index);
      case "bodies":
        return this.#bodies(read.ids, read.most_bytes);
      case "list":
        return this.#list(read.after, read.limit);
      case "counts":
        return this.#counts();
      case "owners":
        return this.#owners.all();
      case "reusable":
        return this.reusable_bytes();
      case "nextDue":
        return this.#nextDue(read.excluding, read.upTo);
      default:
        return read satisfies never;
    }
  }

  #list(after: number, limit: number): Row[] {
    try {
      const rows = this.#page.all(after, limit).map(rowOf);
      assertRising(
        after,
        rows.map(({ id }) => id),
      );
      return rows;
    } catch (error) {
      if (!isDamage(error) || error instanceof OrderError) throw error;
      const ids = this.#nextIds.all(after, limit);
      assertRising(after, ids);
      return ids.map((id) => this.#damagedRow(id));
    }
  }

  /** One by one, so that a damaged page hides only its own. */
  #damagedRow(id: number): Row {
    try {
      const row = this.#page.get(id - 1, 1);
      if (row) return rowOf(row);
    } catch (error) {
      if (!isDamage(error)) throw error;
    }
    return {
      id,
      state: state.corrupt,
      flags: 0,
      due: 0,
      sourced: false,
      chunks: 0,
      envelope: undefined,
      destination: "",
    };
  }

  chunk(id: number, index: number): ReadResultOf["chunk"] {
    try {
      return this.#chunk(id, index);
    } catch (error) {
      if (isDamage(error)) return "corrupt";
      throw error;
    }
  }

  #chunk(id: number, index: number): ReadResultOf["chunk"] {
    const found = this.#body.get(id);
    if (!found) return undefined;
    const [chunks, body, inlineCrc, inline, intact] = found;
    if (intact !== 1) return "corrupt";
    if (index >= chunks) return undefined;
    if (body === null) return inline && chunkCrc(id, 0, inline) === inlineCrc ? inline : "corrupt";
    const chunk = index === 0 ? this.#firstChunk.get(body) : this.#laterChunk.get(body, index);
    if (!chunk) return "corrupt";
    const [crc, data] = chunk;
    return chunkCrc(body, index, data) === crc ? data : "corrupt";
  }

  #bodies(ids: readonly number[], most_bytes: number): ReadResultOf["bodies"] {
    const bodies: (Uint8Array | undefined)[] = [];
    for (let bytes = 0, at = 0; at < ids.length && bytes < most_bytes; at++) {
      const chunk = this.chunk(ids[at] as number, 0);
      const body = chunk === "corrupt" ? undefined : chunk;
      bodies.push(body);
      bytes += body?.length ?? 0;
    }
    return bodies;
  }

  #counts(): number[] {
    const counts = [this.#active.get() ?? 0, 0, 0, 0];
    for (const [is, count] of this.#tally.all()) if (is !== state.active) counts[is] = count;
    return counts;
  }

  #nextDue(excluding: readonly string[], upTo: number | undefined): ReadResultOf["nextDue"] {
    const { found, more } = this.#due.find(Number.MAX_SAFE_INTEGER, 1, excluding, { upTo });
    return { due: found[0]?.due, more };
  }
}
