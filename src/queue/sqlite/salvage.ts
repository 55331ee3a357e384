import type { Database } from "better-sqlite3";
import Sqlite from "better-sqlite3";
import { state } from "../engine.ts";
import { decodeEnvelope } from "../envelope-codec.ts";
import { formatId } from "../id.ts";
import type { Value } from "./btree.ts";
import { chunkCrc, envelopeCrc, guardOf } from "./checksum.ts";
import type { Pages } from "./pages.ts";
import { migrate, pageSize_bytes } from "./schema.ts";
import { type FoundRecord, TreeWalk } from "./tree-walk.ts";

/** What became of one message of a damaged queue, other than that it was saved as it was. */
export type Fate = "held" | "setAside" | "lost";

export interface SalvageCounts {
  /** Messages in the new file, as they were. */
  saved: number;
  /** Put on hold: whole, but whether it had been dealt with already cannot be told. */
  held: number;
  /** In the new file as corrupt. */
  setAside: number;
  /** It was there, and nothing of it can be delivered. */
  lost: number;
  problems: number;
}

export interface Salvaged {
  readonly counts: SalvageCounts;
  /** What was wrong with the file, the first of it. */
  readonly problems: readonly string[];
}

/**
 * Writes what can be read of a damaged queue into a new file, which does not exist yet. A message is taken as it was
 * only if its row, its envelope and all of its body pass their checksums, and its page is certainly in use. `tell` is
 * called for every other one. Blocks while it writes.
 */
export async function salvage(
  pages: Pages,
  path: string,
  tell: (id: string, fate: Fate, why: string) => void,
): Promise<Salvaged> {
  const db = new Sqlite(path);
  try {
    db.pragma(`page_size = ${pageSize_bytes}`);
    // Nobody reads the file before it is complete and synced.
    db.pragma("journal_mode = OFF");
    db.pragma("synchronous = OFF");
    db.pragma("cache_size = -32768");
    migrate(db);
    const roots = db.prepare<[], [string, number]>("SELECT name, rootpage FROM sqlite_schema WHERE rootpage > 0").raw();
    const likely = new Map(roots.all());
    const walk = new TreeWalk(pages);
    db.exec("BEGIN");
    const salvager = new Salvager(db);
    for await (const record of walk.records(likely)) salvager.take(record);
    if (walk.isWhole("message_due") && walk.isWhole("message_owned")) salvager.doubtUnlisted();
    const counts = salvager.finish(tell);
    db.exec("COMMIT");
    return { counts: { ...counts, problems: walk.problemCount }, problems: walk.problems };
  } finally {
    db.close();
  }
}

interface MessageRow {
  readonly id: number;
  readonly state: number;
  readonly flags: number;
  readonly owner: string | null;
  readonly batch: number | null;
  readonly due: number;
  readonly destination: string;
  readonly source: string | null;
  readonly chunks: number;
  readonly body: number | null;
  readonly crc: number;
  readonly envelope: Buffer;
  readonly recipients: number;
  readonly body_crc: number | null;
  readonly inline: Buffer | null;
}

/** What is taken, best last: of two rows of one message the better is kept. */
const rank = { corrupt: 1, doubtful: 2, intact: 3 } as const;

class Salvager {
  readonly #db: Database;
  readonly #sql: ReturnType<typeof prepare>;
  readonly #counts: SalvageCounts = { saved: 0, held: 0, setAside: 0, lost: 0, problems: 0 };

  constructor(db: Database) {
    this.#db = db;
    db.exec(`CREATE TEMP TABLE doubt (id INTEGER PRIMARY KEY, rank INTEGER NOT NULL, why TEXT NOT NULL);
      CREATE TEMP TABLE known (id INTEGER PRIMARY KEY);
      CREATE TEMP TABLE listed (id INTEGER PRIMARY KEY);`);
    this.#sql = prepare(db);
  }

  /** A record, told by its shape and its checksum: a page may be reached from the wrong place. */
  take({ of, rowid, values, doubtful }: FoundRecord): void {
    const [first, second, third, fourth, fifth] = values;
    if (of.startsWith("message_")) {
      const id = values.at(-1);
      if (!isId(id) || doubtful) return;
      this.#sql.know.run(id);
      if (of !== "message_source") this.#sql.list.run(id);
    } else if (of === "held") {
      if (typeof first === "string" && isCount(second) && isId(third)) this.#sql.held.run(first, second, third);
    } else if (!Number.isSafeInteger(rowid)) return;
    else if (first === null && values.length >= 14) this.#message(rowid, values, doubtful);
    else if (first === null && values.length === 5) this.#chunk(rowid, values);
    else if (typeof first === "string" && values.length === 5) {
      if (!isCount(second) || !isId(third) || !Buffer.isBuffer(fifth) || envelopeCrc(third, fifth) !== fourth) return;
      this.#sql.trace.run(first, second, third, fourth, fifth);
    } else if (first === null && values.length === 2 && typeof second === "string" && !doubtful)
      this.#sql.unfinished.run(rowid, second);
  }

  #chunk(id: number, [, body, seq, crc, data]: readonly Value[]): void {
    if (!isId(body) || !isCount(seq) || !Buffer.isBuffer(data) || chunkCrc(body, seq, data) !== crc) return;
    this.#sql.chunk.run(id, body, seq, crc, data);
  }

  #message(id: number, values: readonly Value[], doubtful: boolean): void {
    if (!isId(id)) return;
    this.#sql.know.run(id);
    const { row, why } = judged(id, values, doubtful);
    const before = this.#sql.rankOf.get(id) ?? 0;
    const now = why === undefined ? rank.intact : row.state === state.corrupt ? rank.corrupt : rank.doubtful;
    const there = this.#sql.isThere.get(id) === 1;
    if (there && (before === 0 || before >= now)) return;
    if (there) this.#sql.forget.run(id);
    if (why === undefined) this.#sql.trust.run(id);
    else this.#sql.doubt.run(id, now, why);
    // Where two have the same source, one of them is a remainder.
    const source = row.source !== null && this.#sql.isTaken.get(row.source) === 1 ? null : row.source;
    this.#sql.insert.run({ ...row, source });
    // Its batch may have been refused, and be forgotten yet.
    if (row.owner !== null && row.batch !== null && row.state !== state.active)
      this.#sql.held.run(row.owner, row.batch, id);
  }

  /** What is active or deferred is in an index, too. What is not is a remainder of a message that is gone. */
  doubtUnlisted(): void {
    for (const id of this.#sql.unlisted.all()) {
      this.#sql.doubt.run(id, rank.doubtful, mayBeGone);
      this.#sql.hold.run(id);
    }
  }

  /** When all was taken: what is incomplete is set aside, what nobody needs goes. */
  finish(tell: (id: string, fate: Fate, why: string) => void): SalvageCounts {
    this.#settleDoubts();
    for (const [id, chunks, found] of this.#sql.incomplete.all())
      this.#setAside(id, `${chunks - found} of the ${chunks} parts of its body cannot be read`);
    this.#db.exec(`UPDATE message SET owner = NULL, batch = NULL WHERE state <> ${state.active}`);
    this.#tellFates(tell);
    this.#db.exec(`DELETE FROM chunk WHERE body NOT IN
        (SELECT body FROM message WHERE body IS NOT NULL UNION SELECT body FROM unfinished);
      DELETE FROM held WHERE id NOT IN (SELECT id FROM message);
      UPDATE tally SET count = (SELECT count(*) FROM message WHERE message.state = tally.state);`);
    return this.#counts;
  }

  #setAside(id: number, why: string): void {
    this.#sql.doubt.run(id, rank.corrupt, why);
    this.#sql.setAside.run(id);
  }

  /** One whose small columns are wrong is whole if its body is as long as its envelope says. */
  #settleDoubts(): void {
    for (const unsure of this.#sql.unsure.all()) {
      const [id, envelope, body, inline] = this.#sql.unsureRow.get(unsure) ?? [unsure, Buffer.alloc(0), null, null];
      const whole = inline === null ? this.#wholeBody(id, body, envelope) : sizeIn(id, envelope) === inline.length;
      if (!whole) this.#setAside(id, "its row fails its checksum, and its body is not found whole");
    }
  }

  #wholeBody(id: number, body: number | null, envelope: Buffer): boolean {
    const size = sizeIn(id, envelope);
    if (size === 0) return true;
    for (const each of new Set([body ?? id, id])) {
      const [chunks, bytes] = this.#sql.bodySize.get(each, each) ?? [0, 0];
      if (bytes !== size) continue;
      this.#sql.setBody.run(chunks, each, id);
      return true;
    }
    return false;
  }

  #tellFates(tell: (id: string, fate: Fate, why: string) => void): void {
    const counts = this.#counts;
    for (const [id, grade, why] of this.#sql.doubts.iterate()) {
      const fate = grade === rank.corrupt ? "setAside" : "held";
      counts[fate]++;
      tell(formatId(id), fate, why);
    }
    for (const [id, why] of this.#sql.missing.iterate()) {
      counts.lost++;
      tell(formatId(id), "lost", why);
    }
    counts.saved = (this.#sql.count.get() ?? 0) - counts.held - counts.setAside;
  }
}

const mayBeGone = "it may have been delivered or removed before";

/** A message's row as it may be kept, and why it may not be kept as it was. */
function judged(id: number, values: readonly Value[], doubtful: boolean): { row: MessageRow; why: string | undefined } {
  const [, is, flags, owner, batch, due, destination, source, chunks, body, crc, envelope] = values;
  const { recipients, guard, body_crc, inline } = laterColumns(values);
  const small = [is, flags, due, chunks].every((each) => typeof each === "number" && each >= 0);
  const numbers = [chunks, is, flags, due] as [number, number, number, number];
  const placed = body === null || isId(body);
  const guarded = guard === undefined || guard === guardOf(id, (body ?? null) as number | null, numbers);
  const intact = small && placed && guarded && (is as number) <= state.corrupt;
  const row: MessageRow = {
    id,
    state: intact ? (is as number) : state.hold,
    flags: intact ? (flags as number) : 0,
    owner: typeof owner === "string" ? owner : null,
    batch: isCount(batch) ? batch : null,
    due: intact ? (due as number) : 0,
    destination: typeof destination === "string" ? destination : "",
    source: typeof source === "string" ? source : null,
    chunks: isCount(chunks) ? chunks : 0,
    body: placed ? (body as number | null) : null,
    crc: typeof crc === "number" ? crc : 0,
    envelope: Buffer.isBuffer(envelope) ? envelope : Buffer.alloc(0),
    recipients: isCount(recipients) ? recipients : 1,
    body_crc: typeof body_crc === "number" ? body_crc : null,
    inline: Buffer.isBuffer(inline) ? inline : null,
  };
  const aside = (why: string) => ({ row: { ...row, state: state.corrupt }, why });
  if (envelopeCrc(id, row.envelope) !== row.crc) return aside("its envelope fails its checksum");
  if (row.inline && chunkCrc(id, 0, row.inline) !== row.body_crc) return aside("its body fails its checksum");
  if (!intact) return { row, why: "its row fails its checksum" };
  if (row.state === state.corrupt) return { row, why: "it had been set aside before" };
  if (row.body === null && row.inline === null && row.chunks > 0) return aside("its body is not there");
  if (row.state === state.active && row.owner === null)
    return { row: { ...row, state: state.hold }, why: "it was nobody's" };
  return doubtful ? { row: { ...row, state: state.hold }, why: mayBeGone } : { row, why: undefined };
}

/** Those whose place depends on the version of the layout (schema.ts). A row may be older than its file. */
function laterColumns(values: readonly Value[]): {
  readonly recipients: Value | undefined;
  /** undefined: there was none yet. */
  readonly guard: Value | undefined;
  readonly body_crc: Value | undefined;
  readonly inline: Value | undefined;
} {
  const [first, second, third, fourth] = values.slice(12);
  return values.length >= 16
    ? { recipients: first, guard: second, body_crc: third, inline: fourth }
    : { recipients: third, guard: undefined, body_crc: first, inline: second };
}

function sizeIn(id: number, envelope: Buffer): number {
  try {
    return decodeEnvelope(formatId(id), envelope.toString(), { held: true, expired: false, warned: false }).size_bytes;
  } catch {
    return -1;
  }
}

const isCount = (value: Value | undefined): value is number => Number.isSafeInteger(value) && Number(value) >= 0;
const isId = (value: Value | undefined): value is number => isCount(value) && value > 0;

function prepare(db: Database) {
  const raw = <Bound extends unknown[], Found>(sql: string) => db.prepare<Bound, Found>(sql).raw();
  const one = <Bound extends unknown[], Found>(sql: string) => db.prepare<Bound, Found>(sql).pluck();
  const chunksFound =
    "(SELECT count(*) FROM chunk WHERE id = message.body) + (SELECT count(*) FROM chunk WHERE body = message.body AND seq > 0)";
  return {
    insert: db.prepare<[MessageRow]>(
      `INSERT INTO message (id, state, flags, owner, batch, due, destination, source, chunks, body, crc, envelope, recipients, body_crc, inline)
       VALUES (@id, @state, @flags, @owner, @batch, @due, @destination, @source, @chunks, @body, @crc, @envelope, @recipients, @body_crc, @inline)`,
    ),
    forget: db.prepare<[number]>("DELETE FROM message WHERE id = ?"),
    isThere: one<[number], number>("SELECT 1 FROM message WHERE id = ?"),
    isTaken: one<[string], number>("SELECT 1 FROM message WHERE source = ?"),
    chunk: db.prepare("INSERT OR IGNORE INTO chunk (id, body, seq, crc, data) VALUES (?, ?, ?, ?, ?)"),
    trace: db.prepare("INSERT OR IGNORE INTO trace (source, gone_ms, id, crc, envelope) VALUES (?, ?, ?, ?, ?)"),
    unfinished: db.prepare("INSERT OR IGNORE INTO unfinished (body, owner) VALUES (?, ?)"),
    held: db.prepare("INSERT OR IGNORE INTO held (owner, batch, id) VALUES (?, ?, ?)"),
    know: db.prepare<[number]>("INSERT OR IGNORE INTO known (id) VALUES (?)"),
    list: db.prepare<[number]>("INSERT OR IGNORE INTO listed (id) VALUES (?)"),
    unlisted: one<[], number>(
      `SELECT id FROM message WHERE state IN (${state.active}, ${state.deferred}) AND id NOT IN (SELECT id FROM listed)`,
    ),
    hold: db.prepare<[number]>(`UPDATE message SET state = ${state.hold} WHERE id = ?`),
    doubt: db.prepare<[number, number, string]>(
      "INSERT INTO doubt (id, rank, why) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET rank = excluded.rank, why = excluded.why",
    ),
    trust: db.prepare<[number]>("DELETE FROM doubt WHERE id = ?"),
    rankOf: one<[number], number>("SELECT rank FROM doubt WHERE id = ?"),
    unsure: one<[], number>("SELECT id FROM doubt WHERE why = 'its row fails its checksum'"),
    unsureRow: raw<[number], [number, Buffer, number | null, Buffer | null]>(
      "SELECT id, envelope, body, inline FROM message WHERE id = ?",
    ),
    bodySize: raw<[number, number], [number, number]>(
      `SELECT count(*), ifnull(sum(length(data)), 0) FROM
         (SELECT data FROM chunk WHERE id = ? AND seq = 0 UNION ALL SELECT data FROM chunk WHERE body = ? AND seq > 0)`,
    ),
    setBody: db.prepare<[number, number, number]>("UPDATE message SET chunks = ?, body = ? WHERE id = ?"),
    setAside: db.prepare<[number]>(`UPDATE message SET state = ${state.corrupt} WHERE id = ?`),
    incomplete: raw<[], [number, number, number]>(
      `SELECT id, chunks, found FROM (SELECT id, chunks, ${chunksFound} AS found FROM message WHERE body IS NOT NULL AND state <> ${state.corrupt})
       WHERE chunks <> found`,
    ),
    doubts: raw<[], [number, number, string]>(
      "SELECT id, rank, why FROM doubt WHERE why <> 'it had been set aside before' ORDER BY id",
    ),
    missing: raw<[], [number, string]>(
      `SELECT id, 'its envelope cannot be read' FROM known WHERE id NOT IN (SELECT id FROM message)
       UNION ALL SELECT id, 'its envelope cannot be read' FROM chunk WHERE id = body
         AND id NOT IN (SELECT body FROM message WHERE body IS NOT NULL UNION SELECT body FROM unfinished UNION SELECT id FROM known)
         AND NOT EXISTS (SELECT 1 FROM chunk AS rest WHERE rest.body = chunk.body AND rest.seq > 0)`,
    ),
    count: one<[], number>("SELECT count(*) FROM message"),
  };
}
