import type { Database } from "better-sqlite3";
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
import { formatId } from "../id.ts";
import { chunkCrc, envelopeCrc } from "./checksum.ts";
import { DueScan } from "./due-scan.ts";
import { assertRising, OrderError } from "./order.ts";
import { isDamage, rowOf } from "./queue-reads.ts";
import { prepare, type Statements } from "./statements.ts";

/**
 * Every operation on an open queue file, as SQL. Called inside a transaction
 * that its caller begins and ends. What an operation means is said by
 * memory-engine.ts in plain code; the two are held equal by the conformance suite.
 *
 * Invariants
 *  1. A row has an owner if and only if its state is active, and a batch only while its accepter owns it; or it was accepted as held.
 *  2. `tally` has the count of the other states, changed in the same transaction (flushTally).
 *  3. A row's crc is that of its envelope at all times.
 *  4. A row whose small columns fail their checksum is changed by nobody, but set aside or removed: a change would make the
 *     checksum right again. `damaged` is told of what SQLite or we find wrong with the file.
 */
export class QueueFile {
  readonly #owner: string;
  readonly #sql: Statements;
  /** Also for what only reads on the same connection: what is written here, it has to see. */
  readonly due: DueScan;
  readonly #tally = [0, 0, 0, 0];
  readonly #damaged: (what: string) => void;

  constructor(db: Database, owner: string, damaged: (what: string) => void) {
    this.#owner = owner;
    this.#damaged = damaged;
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
    // Not of a damaged row's, which may be anything.
    if (is in this.#tally) this.#tally[is] = (this.#tally[is] ?? 0) + by;
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
    return rowOf([id, gone, 0, 0, 1, 0, crc, envelope, "", 1]);
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
    const finished = this.#sql.finish.get(id, this.#owner);
    if (finished === undefined) return false;
    const [body, intact] = finished;
    if (intact !== 1) this.#damaged(`the row of ${formatId(id)} fails its checksum`);
    else if (body !== null) this.#deleteBody(body);
    return true;
  }

  #rewrite(id: number, change: Extract<Change, { kind: "defer" | "progress" }>): boolean {
    const crc = envelopeCrc(id, change.envelope);
    const flags = change.warned ? flag.warned : 0;
    if (change.kind === "progress") {
      const changes = this.#sql.progress.run(crc, change.envelope, flags, id, this.#owner).changes;
      return changes > 0 || this.#isUnfit(id);
    }
    const { envelope, recipients, due, destination } = change;
    this.#sql.moveBody.run(id, this.#owner);
    const is = this.#sql.defer.get(crc, envelope, recipients, flags, due, destination, id, this.#owner);
    if (is === undefined) return this.#isUnfit(id);
    this.#count(is, 1);
    this.due.touched(due, recipients);
    return true;
  }

  /** A row that was not changed, because it is not ours any more, or because it is damaged: then it is set aside. Always false. */
  #isUnfit(id: number): false {
    const found = this.#sql.states.get(id);
    if (found && found[2] !== 1) this.#setAside(id);
    return false;
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
        if (!this.#setAside(id)) throw new MisledError(`${formatId(id)} is listed as due, and cannot be`);
        return undefined;
      }
      if (row.state !== state.deferred) throw new MisledError(`${formatId(id)} is listed as due, and is not deferred`);
      this.#sql.own.run(this.#owner, id);
      this.#count(state.deferred, -1);
      return row;
    } catch (error) {
      if (!isDamage(error) && !(error instanceof MisledError)) throw error;
      // Not even to be marked: it is left where it is, and stepped over until the file is mended.
      this.#damaged(error instanceof Error ? error.message : String(error));
      this.due.unreadable.add(id);
      return undefined;
    }
  }

  #operate({ action, selection, within, now }: OpOf<"operate">): Page<number> {
    const paged = "limit" in selection;
    const ids = paged ? this.#sql.idsAfter.all(selection.after, selection.limit) : selection.ids;
    if (paged) assertRising(selection.after, ids);
    const changed = ids.filter((id) => this.#change(id, action, now, within));
    return { changed, next: paged && ids.length === selection.limit ? ids.at(-1) : undefined };
  }

  #change(id: number, action: OperatorAction, now: number, within: readonly number[] | undefined): boolean {
    const found = this.#sql.states.get(id);
    if (!found) return false;
    const [is, flags, intact] = found;
    if (within && !within.includes(is)) return false;
    if (intact !== 1 && action !== "remove") return false;
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
    const [is, body, intact] = deleted;
    this.#count(is, -1);
    if (intact !== 1) this.#damaged(`the row of ${formatId(id)} fails its checksum`);
    else if (body !== null) this.#deleteBody(body);
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
    if (
      paged &&
      last &&
      (last[0] < selection.after.due || (last[0] === selection.after.due && last[1] <= selection.after.id))
    )
      throw new OrderError("the index of due messages");
    const next = paged && last && rows.length === selection.limit ? { due: last[0], id: last[1] } : undefined;
    return { changed, next };
  }

  #release({ owner, limit }: OpOf<"release">): Result {
    const ids = this.#sql.ownedBy.all(owner, limit);
    const corrupt: number[] = [];
    let count = 0;
    for (const id of ids) {
      const is = this.#sql.disown.get(id);
      if (is !== undefined) {
        this.#count(is, 1);
        count++;
      } else if (this.#setAside(id)) corrupt.push(id);
      else this.#damaged(`${formatId(id)} is listed as ${owner}'s, and is not there`);
    }
    if (ids.length > 0) this.due.touched(0);
    const more = ids.length === limit && count + corrupt.length > 0;
    if (!more) {
      for (const body of this.#sql.unfinishedOf.all(owner)) {
        this.#sql.endBody.run(body);
        this.#deleteBody(body);
      }
      this.#sql.dropHeldBefore.run(owner, Number.MAX_SAFE_INTEGER);
    }
    return { count, corrupt, more };
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
    if (!found || (found[0] === state.corrupt && found[2] === 1)) return false;
    this.#sql.setAside.run(id);
    this.#count(found[0], -1);
    this.#count(state.corrupt, 1);
    return true;
  }
}

/** Two places of the file contradict each other. */
class MisledError extends Error {}

/** Not a state of the file: the message is gone, and left a trace. */
const gone = -1;
const none: readonly InsertResult[] = [];
