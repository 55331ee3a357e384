import type { Database, Statement } from "better-sqlite3";
import { flag, state } from "../engine.ts";
import { type RawRow, rowColumns } from "./queue-reads.ts";
import { isIntact } from "./schema.ts";

export type Statements = ReturnType<typeof prepare>;

/** What is done to an open queue file, in SQL. Rows that are read out come in the form of queue-reads.ts. */
export function prepare(db: Database) {
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
    states: raw<[number], [state: number, flags: number, intact: number]>(
      `SELECT state, flags, ${isIntact} FROM message WHERE id = ?`,
    ),

    finish: raw<[number, string], [body: number | null, intact: number]>(
      `DELETE FROM message WHERE id = ? AND owner = ? RETURNING body, ${isIntact}`,
    ),
    delete: raw<[number], [state: number, body: number | null, intact: number]>(
      `DELETE FROM message WHERE id = ? RETURNING state, body, ${isIntact}`,
    ),
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
      `UPDATE message SET crc = ?, envelope = ?, flags = flags | ? WHERE id = ? AND owner = ? AND ${isIntact}`,
    ),
    moveBody: run<[number, string]>(
      `INSERT INTO chunk (id, body, seq, crc, data)
       SELECT id, id, 0, body_crc, inline FROM message WHERE id = ? AND owner = ? AND inline IS NOT NULL AND ${isIntact}`,
    ),
    defer: one<[number, Blob, number, number, number, string, number, string], number>(
      `UPDATE message SET state = iif(flags & ${flag.hold}, ${state.hold}, ${state.deferred}), crc = ?, envelope = ?, recipients = ?,
         flags = (flags & ~${flag.hold}) | ?, owner = NULL, batch = NULL, due = ?, destination = ?,
         body = coalesce(body, iif(inline IS NULL, NULL, id)), body_crc = NULL, inline = NULL
       WHERE id = ? AND owner = ? AND ${isIntact} RETURNING state`,
    ),
    own: run<[string, number]>(`UPDATE message SET state = ${state.active}, owner = ?, batch = NULL WHERE id = ?`),
    disown: one<[number], number>(
      `UPDATE message SET state = iif(flags & ${flag.hold}, ${state.hold}, ${state.deferred}), flags = flags & ~${flag.hold},
         owner = NULL, batch = NULL, due = 0, destination = '' WHERE id = ? AND ${isIntact} RETURNING state`,
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
      `UPDATE message SET due = ?, destination = coalesce(?, destination) WHERE id = ? AND ${isIntact}`,
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
