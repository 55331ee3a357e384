import type { Database } from "better-sqlite3";
import { state } from "../engine.ts";
import { formatId } from "../id.ts";
import { chunkCrc, envelopeCrc } from "./checksum.ts";
import { assertRising, OrderError } from "./order.ts";
import { isDamage } from "./queue-reads.ts";
import { openReadOnly } from "./reader.ts";
import { assertQueue, isIntact, SchemaError } from "./schema.ts";

/** Something that is not as it should be, and the queue id of the message that it is about, if it is about one. */
export interface Flaw {
  /** note: it is known, and dealt with. */
  readonly kind: "damage" | "note";
  readonly text: string;
  readonly id: string | undefined;
}

/**
 * Reads a whole queue file: SQLite's own structures, and all rows and bodies with their checksums, in pages. While a relay writes
 * to it (`running`) no transaction is long, and what only holds at rest is left out. Changes nothing. A queue that has not been made yet has no flaws.
 */
export function* inspectFile(path: string, running: boolean): Generator<Flaw, void> {
  let db: Database | undefined;
  try {
    db = openReadOnly(path);
    if (!db || assertQueue(db) === 0) return;
    yield* structure(db, running);
    yield* rows(db, running);
    yield* listed(db);
    yield* bodies(db);
  } catch (error) {
    if (!isDamage(error) && !(error instanceof SchemaError)) throw error;
    yield damage(error instanceof Error ? error.message : String(error));
  } finally {
    db?.close();
  }
}

function damage(text: string, id?: number): Flaw {
  return { kind: "damage", text, id: id === undefined ? undefined : formatId(id) };
}

const tables = ["message", "chunk", "unfinished", "trace", "tally", "held"];

function* structure(db: Database, running: boolean): Generator<Flaw, void> {
  for (const part of running ? tables.map((table) => `('${table}')`) : [""]) {
    const found = db.prepare<[], string>(`PRAGMA integrity_check${part}`).pluck().all();
    for (const text of found) if (text !== "ok") yield damage(text);
  }
}

type Row = [id: number, is: number, owner: string | null, crc: number, envelope: Buffer, intact: number];

function* rows(db: Database, running: boolean): Generator<Flaw, void> {
  const counts = [0, 0, 0, 0];
  const page = db
    .prepare<[number], Row>(
      `SELECT id, state, owner, crc, envelope, ${isIntact} FROM message WHERE id > ? ORDER BY id LIMIT ${rowsAtOnce}`,
    )
    .raw();
  for (let after: number | undefined = 0; after !== undefined; ) {
    const found = page.all(after);
    assertRising(
      after,
      found.map(([id]) => id),
    );
    for (const row of found) {
      const [id, is] = row;
      if (is in counts) counts[is] = (counts[is] ?? 0) + 1;
      if (is === state.corrupt) yield { kind: "note", text: "it has been set aside as corrupt", id: formatId(id) };
      const text = flawOf(row);
      if (text) yield damage(text, id);
    }
    after = found.at(-1)?.[0];
  }
  if (running) return;
  for (const [is, count] of db.prepare<[], [number, number]>("SELECT state, count FROM tally").raw().all()) {
    if (counts[is] !== count) yield damage(`${count} messages should be in state ${is}, and ${counts[is]} are`);
  }
}

/** What an index lists has to be there. SQLite does not look for that in an index of some rows only. */
function* listed(db: Database): Generator<Flaw, void> {
  const there = db.prepare<[number], number>("SELECT 1 FROM message WHERE id = ?").pluck();
  const due = db
    .prepare<[number, number], [due: number, id: number]>(
      `SELECT due, id FROM message INDEXED BY message_due WHERE state = ${state.deferred} AND (due, id) > (?, ?) ORDER BY due, id LIMIT ${rowsAtOnce}`,
    )
    .raw();
  for (let after: [number, number] | undefined = [-1, 0]; after !== undefined; ) {
    const found = due.all(...after);
    const last = found.at(-1);
    if (last && (last[0] < after[0] || (last[0] === after[0] && last[1] <= after[1])))
      throw new OrderError("the index of due messages");
    // Asked again, should it have been removed meanwhile.
    for (const [time, id] of found)
      if (!there.get(id) && due.get(time, id - 1)?.[1] === id)
        yield damage("it is listed as deferred, and is not there", id);
    after = last;
  }
}

function flawOf([id, is, owner, crc, envelope, intact]: Row): string | undefined {
  if (is === state.corrupt) return undefined;
  if (envelopeCrc(id, envelope) !== crc) return "its envelope fails its checksum";
  if (intact !== 1) return "its row fails its checksum";
  if ((is === state.active) !== (owner !== null)) return "its state and its owner contradict each other";
  return undefined;
}

/** Bodies in pieces. What is in a message's own row was read with it, and is checked here. */
function* bodies(db: Database): Generator<Flaw, void> {
  const inline = db
    .prepare<[number], [number, number | null, Buffer | null, number, number, number | null]>(
      `SELECT id, body_crc, inline, chunks, (SELECT count(*) FROM chunk WHERE id = message.body)
         + (SELECT count(*) FROM chunk WHERE body = message.body AND seq > 0), body
       FROM message WHERE id > ? AND state <> ${state.corrupt} ORDER BY id LIMIT ${chunksAtOnce}`,
    )
    .raw();
  for (let after: number | undefined = 0; after !== undefined; ) {
    const found = inline.all(after);
    for (const [id, crc, data, chunks, there, body] of found) {
      if (data && chunkCrc(id, 0, data) !== crc) yield damage("its body fails its checksum", id);
      else if (body !== null && there !== chunks)
        yield damage(`${chunks - there} of the ${chunks} parts of its body are not there`, id);
    }
    after = found.at(-1)?.[0];
  }
  const pieces = db
    .prepare<[number], [number, number, number, number, Buffer]>(
      `SELECT id, body, seq, crc, data FROM chunk WHERE id > ? ORDER BY id LIMIT ${chunksAtOnce}`,
    )
    .raw();
  const owner = db.prepare<[number], number>("SELECT id FROM message WHERE body = ?").pluck();
  for (let after: number | undefined = 0; after !== undefined; ) {
    const found = pieces.all(after);
    assertRising(
      after,
      found.map(([id]) => id),
    );
    for (const [, body, seq, crc, data] of found) {
      if (chunkCrc(body, seq, data) === crc) continue;
      yield damage(`part ${seq + 1} of its body fails its checksum`, owner.get(body));
    }
    after = found.at(-1)?.[0];
  }
}

const rowsAtOnce = 200;
/** Of 64 KiB each. */
const chunksAtOnce = 32;
