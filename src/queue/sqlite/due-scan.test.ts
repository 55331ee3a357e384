import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import Sqlite from "better-sqlite3";
import { DueScan } from "./due-scan.ts";
import { migrate } from "./schema.ts";

function file(context: TestContext) {
  const db = new Sqlite(":memory:");
  context.after(() => db.close());
  migrate(db);
  const insert = db.prepare(
    "INSERT INTO message (id, state, flags, due, destination, chunks, crc, envelope) VALUES (?, 1, 0, ?, ?, 0, 0, x'')",
  );
  const fill = db.transaction((from: number, count: number, due: number, destination: string) => {
    for (let id = from; id < from + count; id++) insert.run(id, due, destination);
  });
  return { db, fill };
}

test("a scan is bounded, asks to be called again, and then goes on where it was", (context) => {
  const { db, fill } = file(context);
  fill(1, 50_000, 10, "smtp:dead");
  fill(50_001, 3, 20, "smtp:live");
  const scan = new DueScan(db);
  const calls: boolean[] = [];
  for (;;) {
    const { found, more } = scan.find(100, 10, ["smtp:dead"]);
    calls.push(more);
    if (more) continue;
    assert.deepEqual(
      found.map(({ id }) => id),
      [50_001, 50_002, 50_003],
    );
    break;
  }
  assert.deepEqual(calls, [true, true, false]);
  assert.deepEqual(scan.find(100, 10, ["smtp:dead"]).more, false);
});

test("what is found beyond the bound is found, though some was found before it", (context) => {
  const { db, fill } = file(context);
  fill(1, 1, 1, "smtp:live");
  fill(2, 25_000, 10, "smtp:dead");
  fill(30_000, 1, 20, "smtp:live");
  const scan = new DueScan(db);
  const found: number[] = [];
  for (let more = true; more; ) {
    const step = scan.find(100, 10, ["smtp:dead"]);
    more = step.more;
    for (const { id } of step.found) {
      found.push(id);
      db.prepare("DELETE FROM message WHERE id = ?").run(id);
    }
  }
  assert.deepEqual(found, [1, 30_000]);
});

test("a destination that is no longer excluded is found again", (context) => {
  const { db, fill } = file(context);
  fill(1, 10, 10, "smtp:dead");
  const scan = new DueScan(db);
  assert.deepEqual(scan.find(100, 5, ["smtp:dead", "smtp:other"]).found, []);
  assert.equal(scan.find(100, 5, ["smtp:other"]).found.length, 5);
});

test("what is put behind a scan is found by the next one", (context) => {
  const { db, fill } = file(context);
  fill(1, 10, 10, "smtp:dead");
  const scan = new DueScan(db);
  assert.deepEqual(scan.find(100, 5, ["smtp:dead"]).found, []);
  fill(50, 1, 5, "smtp:live");
  scan.touched(5);
  assert.deepEqual(scan.find(100, 5, ["smtp:dead"]).found, [{ due: 5, id: 50 }]);
});
