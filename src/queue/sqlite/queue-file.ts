import type { Database, Statement } from "better-sqlite3";
import {
  type Change,
  type DuePosition,
  flag,
  type Insert,
  type InsertResult,
  type Op,
  type OperatorAction,
  type OpOf,
  type Page,
  type Result,
  type Row,
  state,
} from "../engine.ts";
import { chunkCrc, envelopeCrc } from "./checksum.ts";
import { DueScan } from "./due-scan.ts";
import { isDamage, type RawRow, rowColumns, rowOf } from "./queue-reads.ts";

/**
 * Every operation on an open queue file, as SQL. Called inside a transaction
 * that its caller begins and ends. What an operation means is said by
 * memory-engine.ts in plain code; the two are held equal by the conformance suite.
 *
 * Invariants
 *  1. A row has an owner if and only if its state is active, and a batch only while its accepter owns it; or it was accepted as held.
 *  2. `tally` has the count of the other states, changed in the same transaction (flushTally).
 *  3. A row's crc is that of its envelope at all times.
 */
export class QueueFile {
  readonly #owner: string;
  readonly #sql: Statements;
  /** Also for what only reads on the same connection: what is written here, it has to see. */
  readonly due: DueScan;
  readonly #tally = [0, 0, 0, 0];

  constructor(db: Database, owner: string) {
    this.#owner = owner;
    this.#sql = prepare(db);
    this.due = new DueScan(db);
  }

  apply(batch: number, op: Op): Result {
    switch (op.kind) {
      case "accept":
        return op.others ? this.#insertAll(op.insert, op.others, batch) : this.#insert(op.insert, batch);
      case "settle":
        return this.#settle(op);
      case "chunk":
        if (op.seq === 0) this.#sql.beginBody.run(op.body, this.#owner);
        this.#sql.insertChunk.run(op.id, op.body, op.seq, chunkCrc(op.body, op.seq, op.data), op.data);
        return undefined;
      case "discard":
        this.#sql.endBody.run(op.body);
        this.#deleteBody(op.body);
        return undefined;
      case "claim":
        return this.#claim(op);
      case "operate":
        return this.#operate(op);
      case "flush":
        return this.#flush(op);
      case "release":
        return this.#release(op);
      case "forget":
        return this.#forget(op);
      case "setAside":
        return this.#setAside(op.id);
      case "sweep":
        return this.#sql.sweep.run(op.before_ms, op.limit).changes;
      default:
        return op satisfies never;
    }
  }

  /** Before the commit. Most batches change no count: as much comes as goes. */
  flushTally(): void {
    for (let is = state.deferred; is <= state.corrupt; is++) {
      const by = this.#tally[is] ?? 0;
      if (by !== 0) this.#sql.tally.run(by, is);
    }
    this.#tally.fill(0);
  }

  /** After a rollback. */
  rolledBack(): void {
    this.#tally.fill(0);
    this.due.rewind();
  }

  #count(is: number, by: number): void {
    this.#tally[is] = (this.#tally[is] ?? 0) + by;
  }

  /** All or none: whether all of them can be is known before the first is. */
  #insertAll(insert: Insert, others: readonly Insert[], batch: number): InsertResult {
    const known = insert.source === undefined ? undefined : this.#known(insert.source);
    if (known) return known;
    for (const { body } of [insert, ...others]) {
      if (!(body instanceof Uint8Array) && this.#chunksOf(body.body) !== body.chunks) return "incomplete";
    }
    for (const each of others) this.#insert(each, batch);
    return this.#insert(insert, batch);
  }

  #insert({ id, held, source, envelope, recipients, body }: Insert, batch: number | null): InsertResult {
    if (source !== undefined) {
      const known = this.#known(source);
      if (known) return known;
    }
    const inline = body instanceof Uint8Array && body.length > 0 ? body : undefined;
    const chunks = body instanceof Uint8Array ? Math.min(body.length, 1) : body.chunks;
    if (!(body instanceof Uint8Array) && this.#endBody(body.body) !== chunks) return "incomplete";
    const crc = inline ? chunkCrc(id, 0, inline) : null;
    // A held one stays for long: its body goes where those of deferred messages are.
    if (held && inline) this.#sql.insertChunk.run(id, id, 0, crc, inline);
    const elsewhere = body instanceof Uint8Array ? (held ? id : null) : body.body;
    this.#sql.insert.run(
      id,
      held ? state.hold : state.active,
      held ? null : this.#owner,
      batch,
      source ?? null,
      chunks,
      elsewhere,
      envelopeCrc(id, envelope),
      envelope,
      elsewhere === null ? crc : null,
      elsewhere === null ? (inline ?? null) : null,
      recipients,
    );
    if (held) this.#held(id, batch);
    return "stored";
  }

  /** Nobody's; but who accepted it is noted, in case that batch is refused and reappears. */
  #held(id: number, batch: number | null): void {
    this.#count(state.hold, 1);
    if (batch === null) return;
    this.#sql.dropHeldBefore.run(this.#owner, batch);
    this.#sql.noteHeld.run(this.#owner, batch, id);
  }

  /** A message, or the trace of one, that came from this source. */
  #known(source: string): Row | undefined {
    const row = this.#sql.bySource.get(source);
    if (row) return rowOf(row);
    const trace = this.#sql.trace.get(source);
    if (!trace) return undefined;
    const [id, crc, envelope] = trace;
    return rowOf([id, gone, 0, 0, 1, 0, crc, envelope]);
  }

  /** The body is a message's now. The number of its chunks that are there. */
  #endBody(body: number): number {
    this.#sql.endBody.run(body);
    return this.#chunksOf(body);
  }

  #chunksOf(body: number): number {
    return this.#sql.countChunks.get(body, body) ?? 0;
  }

  #settle({ id, change, notifications }: OpOf<"settle">): Result {
    const applied = change.kind === "finish" ? this.#finish(id, change) : this.#rewrite(id, change);
    if (!applied) return false;
    return notifications.length === 0 ? none : notifications.map((each) => this.#insertNotification(each));
  }

  /** Its cause must not go without it. */
  #insertNotification(insert: Insert): InsertResult {
    const result = this.#insert(insert, null);
    if (result === "incomplete") throw new Error("part of a notification's body is not there");
    return result;
  }

  #finish(id: number, { gone_ms, trace }: Extract<Change, { kind: "finish" }>): boolean {
    if (trace) this.#sql.leaveTrace.run(gone_ms, envelopeCrc(id, trace), trace, id, this.#owner);
    const body = this.#sql.finish.get(id, this.#owner);
    if (body === undefined) return false;
    if (body !== null) this.#deleteBody(body);
    return true;
  }

  #rewrite(id: number, change: Extract<Change, { kind: "defer" | "progress" }>): boolean {
    const crc = envelopeCrc(id, change.envelope);
    const flags = change.warned ? flag.warned : 0;
    if (change.kind === "progress") {
      return this.#sql.progress.run(crc, change.envelope, flags, id, this.#owner).changes > 0;
    }
    const { envelope, recipients, due, destination } = change;
    this.#sql.moveBody.run(id, this.#owner);
    const is = this.#sql.defer.get(crc, envelope, recipients, flags, due, destination, id, this.#owner);
    if (is === undefined) return false;
    this.#count(is, 1);
    this.due.touched(due, recipients);
    return true;
  }

  #deleteBody(body: number): void {
    this.#sql.deleteFirstChunk.run(body);
    this.#sql.deleteLaterChunks.run(body);
  }

  #claim({ now, limit, excluding, upTo, most }: OpOf<"claim">): Result {
    const { found, more } = this.due.find(now, limit, excluding, { upTo, most });
    const rows: Row[] = [];
    const corrupt: number[] = [];
    for (const { id } of found) {
      const row = this.#claimRow(id);
      if (row) rows.push(row);
      else corrupt.push(id);
    }
    return { rows, corrupt, more };
  }

  /** undefined: it cannot be read, and was set aside. */
  #claimRow(id: number): Row | undefined {
    try {
      const raw = this.#sql.row.get(id);
      const row = raw && rowOf(raw);
      if (row?.envelope === undefined) {
        this.#setAside(id);
        return undefined;
      }
      this.#sql.own.run(this.#owner, id);
      this.#count(state.deferred, -1);
      return row;
    } catch (error) {
      if (!isDamage(error)) throw error;
      // Not even to be marked: it is left where it is, and stepped over until the file is mended.
      this.due.unreadable.add(id);
      return undefined;
    }
  }

  #operate({ action, selection, within, now }: OpOf<"operate">): Page<number> {
    const paged = "limit" in selection;
    const ids = paged ? this.#sql.idsAfter.all(selection.after, selection.limit) : selection.ids;
    const changed = ids.filter((id) => this.#change(id, action, now, within));
    return { changed, next: paged && ids.length === selection.limit ? ids.at(-1) : undefined };
  }

  #change(id: number, action: OperatorAction, now: number, within: readonly number[] | undefined): boolean {
    const found = this.#sql.states.get(id);
    if (!found) return false;
    const [is, flags] = found;
    if (within && !within.includes(is)) return false;
    switch (action) {
      case "remove":
        this.#sql.leaveLastTrace.run(now, id);
        this.#delete(id);
        return true;
      case "hold":
        if (is === state.active && !(flags & flag.hold)) return this.#setFlags(id, flags | flag.hold);
        return is === state.deferred && this.#move(id, is, state.hold);
      case "unhold":
        if (is === state.active && flags & flag.hold) return this.#setFlags(id, flags & ~flag.hold);
        return is === state.hold && this.#makeDue(id, is, undefined);
      case "requeue":
        return (is === state.hold || is === state.deferred) && this.#makeDue(id, is, "");
      case "expire":
        return is !== state.corrupt && !(flags & flag.expired) && this.#setFlags(id, flags | flag.expired);
      default:
        return action satisfies never;
    }
  }

  #setFlags(id: number, flags: number): true {
    this.#sql.setFlags.run(flags, id);
    return true;
  }

  #move(id: number, from: number, to: number): true {
    this.#sql.setState.run(to, id);
    this.#count(from, -1);
    this.#count(to, 1);
    return true;
  }

  #makeDue(id: number, from: number, destination: string | undefined): true {
    this.#move(id, from, state.deferred);
    this.#sql.setDue.run(0, destination ?? null, id);
    this.due.touched(0);
    return true;
  }

  #delete(id: number): boolean {
    const deleted = this.#sql.delete.get(id);
    if (!deleted) return false;
    const [is, body] = deleted;
    this.#count(is, -1);
    if (body !== null) this.#deleteBody(body);
    return true;
  }

  #flush({ destination, selection }: OpOf<"flush">): Page<DuePosition> {
    const paged = "limit" in selection;
    const rows = paged
      ? this.#sql.dueAfter.all(selection.after.due, selection.after.id, selection.limit)
      : selection.ids.flatMap((id) => this.#sql.dueOf.all(id));
    const changed: number[] = [];
    for (const [, id, of] of rows) {
      if (destination !== undefined && of !== destination) continue;
      this.#sql.setDue.run(0, null, id);
      changed.push(id);
    }
    if (changed.length > 0) this.due.touched(0);
    const last = rows.at(-1);
    const next = paged && last && rows.length === selection.limit ? { due: last[0], id: last[1] } : undefined;
    return { changed, next };
  }

  #release({ owner, limit }: OpOf<"release">): Result {
    const ids = this.#sql.ownedBy.all(owner, limit);
    for (const id of ids) this.#count(this.#sql.disown.get(id) ?? state.deferred, 1);
    if (ids.length > 0) this.due.touched(0);
    const more = ids.length === limit;
    if (!more) {
      for (const body of this.#sql.unfinishedOf.all(owner)) {
        this.#sql.endBody.run(body);
        this.#deleteBody(body);
      }
      this.#sql.dropHeldBefore.run(owner, Number.MAX_SAFE_INTEGER);
    }
    return { count: ids.length, more };
  }

  #forget({ owner, batches }: OpOf<"forget">): number {
    const ids = batches.flatMap((batch) => [
      ...this.#sql.ofBatch.all(owner, batch),
      ...this.#sql.heldOfBatch.all(owner, batch),
    ]);
    return ids.filter((id) => this.#delete(id)).length;
  }

  #setAside(id: number): boolean {
    const found = this.#sql.states.get(id);
    if (!found || found[0] === state.corrupt) return false;
    this.#sql.setAside.run(id);
    this.#count(found[0], -1);
    this.#count(state.corrupt, 1);
    return true;
  }
}

/** Not a state of the file: the message is gone, and left a trace. */
const gone = -1;
const none: readonly InsertResult[] = [];

type Statements = ReturnType<typeof prepare>;

function prepare(db: Database) {
  const run = <Bound extends unknown[]>(sql: string): Statement<Bound> => db.prepare<Bound>(sql);
  const raw = <Bound extends unknown[], Found>(sql: string) => db.prepare<Bound, Found>(sql).raw();
  const one = <Bound extends unknown[], Found>(sql: string) => db.prepare<Bound, Found>(sql).pluck();
  type Blob = Uint8Array | null;
  return {
    insert: run<
      [
        number,
        number,
        string | null,
        number | null,
        string | null,
        number,
        number | null,
        number,
        Blob,
        number | null,
        Blob,
        number,
      ]
    >(
      `INSERT INTO message (id, state, flags, owner, batch, due, destination, source, chunks, body, crc, envelope, body_crc, inline, recipients)
       VALUES (?, ?, 0, ?, ?, 0, '', ?, ?, ?, ?, ?, ?, ?, ?)`,
    ),
    bySource: raw<[string], RawRow>(`SELECT ${rowColumns} FROM message WHERE source = ?`),
    trace: raw<[string], [number, number, Buffer]>("SELECT id, crc, envelope FROM trace WHERE source = ?"),
    row: raw<[number], RawRow>(`SELECT ${rowColumns} FROM message WHERE id = ?`),
    states: raw<[number], [state: number, flags: number]>("SELECT state, flags FROM message WHERE id = ?"),

    finish: one<[number, string], number | null>("DELETE FROM message WHERE id = ? AND owner = ? RETURNING body"),
    delete: raw<[number], [number, number | null]>("DELETE FROM message WHERE id = ? RETURNING state, body"),
    leaveTrace: run<[number, number, Blob, number, string]>(
      `INSERT OR REPLACE INTO trace (source, gone_ms, id, crc, envelope)
       SELECT source, ?, id, ?, ? FROM message WHERE id = ? AND owner = ? AND source IS NOT NULL`,
    ),
    leaveLastTrace: run<[number, number]>(
      `INSERT OR REPLACE INTO trace (source, gone_ms, id, crc, envelope)
       SELECT source, ?, id, crc, envelope FROM message WHERE id = ? AND source IS NOT NULL`,
    ),
    sweep: run<[number, number]>(
      "DELETE FROM trace WHERE rowid IN (SELECT rowid FROM trace WHERE gone_ms < ? ORDER BY gone_ms LIMIT ?)",
    ),

    progress: run<[number, Blob, number, number, string]>(
      "UPDATE message SET crc = ?, envelope = ?, flags = flags | ? WHERE id = ? AND owner = ?",
    ),
    moveBody: run<[number, string]>(
      `INSERT INTO chunk (id, body, seq, crc, data)
       SELECT id, id, 0, body_crc, inline FROM message WHERE id = ? AND owner = ? AND inline IS NOT NULL`,
    ),
    defer: one<[number, Blob, number, number, number, string, number, string], number>(
      `UPDATE message SET state = iif(flags & ${flag.hold}, ${state.hold}, ${state.deferred}), crc = ?, envelope = ?, recipients = ?,
         flags = (flags & ~${flag.hold}) | ?, owner = NULL, batch = NULL, due = ?, destination = ?,
         body = coalesce(body, iif(inline IS NULL, NULL, id)), body_crc = NULL, inline = NULL
       WHERE id = ? AND owner = ? RETURNING state`,
    ),
    own: run<[string, number]>(`UPDATE message SET state = ${state.active}, owner = ?, batch = NULL WHERE id = ?`),
    disown: one<[number], number>(
      `UPDATE message SET state = iif(flags & ${flag.hold}, ${state.hold}, ${state.deferred}), flags = flags & ~${flag.hold},
         owner = NULL, batch = NULL, due = 0, destination = '' WHERE id = ? RETURNING state`,
    ),
    ownedBy: one<[string, number], number>("SELECT id FROM message WHERE owner = ? LIMIT ?"),
    ofBatch: one<[string, number], number>("SELECT id FROM message WHERE owner = ? AND batch = ?"),
    noteHeld: run<[string, number, number]>("INSERT INTO held (owner, batch, id) VALUES (?, ?, ?)"),
    heldOfBatch: one<[string, number], number>("SELECT id FROM held WHERE owner = ? AND batch = ?"),
    dropHeldBefore: run<[string, number]>("DELETE FROM held WHERE owner = ? AND batch < ?"),
    setAside: run<[number]>(`UPDATE message SET state = ${state.corrupt}, owner = NULL, batch = NULL WHERE id = ?`),
    setFlags: run<[number, number]>("UPDATE message SET flags = ? WHERE id = ?"),
    setState: run<[number, number]>("UPDATE message SET state = ? WHERE id = ?"),
    setDue: run<[number, string | null, number]>(
      "UPDATE message SET due = ?, destination = coalesce(?, destination) WHERE id = ?",
    ),
    idsAfter: one<[number, number], number>("SELECT id FROM message WHERE id > ? ORDER BY id LIMIT ?"),
    dueAfter: raw<[number, number, number], [number, number, string]>(
      `SELECT due, id, destination FROM message INDEXED BY message_due
       WHERE state = 1 AND (due, id) > (?, ?) ORDER BY due, id LIMIT ?`,
    ),
    dueOf: raw<[number], [number, number, string]>(
      "SELECT due, id, destination FROM message WHERE id = ? AND state = 1 AND due > 0",
    ),

    insertChunk: run<[number, number, number, number | null, Blob]>(
      "INSERT INTO chunk (id, body, seq, crc, data) VALUES (?, ?, ?, ?, ?)",
    ),
    countChunks: one<[number, number], number>(
      "SELECT (SELECT count(*) FROM chunk WHERE id = ?) + (SELECT count(*) FROM chunk WHERE body = ? AND seq > 0)",
    ),
    deleteFirstChunk: run<[number]>("DELETE FROM chunk WHERE id = ?"),
    deleteLaterChunks: run<[number]>("DELETE FROM chunk WHERE body = ? AND seq > 0"),
    beginBody: run<[number, string]>("INSERT OR IGNORE INTO unfinished (body, owner) VALUES (?, ?)"),
    endBody: run<[number]>("DELETE FROM unfinished WHERE body = ?"),
    unfinishedOf: one<[string], number>("SELECT body FROM unfinished WHERE owner = ?"),
    tally: run<[number, number]>("UPDATE tally SET count = count + ? WHERE state = ?"),
  };
}
