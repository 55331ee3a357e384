import assert from "node:assert/strict";
import { test } from "node:test";
import { hashFile } from "./berkeley/hash-writer.ts";
import { Entries } from "./entries.ts";
import { type FileSnapshot, TableError } from "./table.ts";
import { staleGrace_ms, TableSet } from "./table-set.ts";

function index(value: string, mtime_ms: number): FileSnapshot {
  const entries = new Entries();
  entries.add(Buffer.from("key"), Buffer.from(value), true, false);
  return { bytes: hashFile(entries, Buffer.alloc(20)), mtime_ms };
}

function setOf(files: Map<string, FileSnapshot>): { set: TableSet; warnings: string[]; reads: string[] } {
  const warnings: string[] = [];
  const reads: string[] = [];
  const set = new TableSet({
    defaultType: "hash",
    warn: (text) => warnings.push(text),
    modified: async (path) => files.get(path)?.mtime_ms,
    async read(path) {
      reads.push(path);
      const found = files.get(path);
      if (!found) throw new TableError("config", `open database ${path}: No such file or directory`);
      return found;
    },
  });
  return { set, warnings, reads };
}

const source = (mtime_ms: number): FileSnapshot => ({ bytes: Buffer.alloc(0), mtime_ms });
const warning = "database /t.db is older than source file /t";

test("the first table that has a key answers, and one table is opened once", async () => {
  const { set, reads } = setOf(new Map([["/t.db", index("one", 1)]]));
  const maps = await set.maps(["inline:{other=x}", "/t", "static:last"], { foldCase: true });
  const again = await set.maps(["hash:/t"], { foldCase: true });
  assert.equal(maps.find("KEY"), "one");
  assert.equal(maps.find("none"), "last");
  assert.equal(again.slots[0], maps.slots[1]);
  assert.deepEqual(reads, ["/t.db"]);
  assert.deepEqual(set.contents(), ["/t.db"]);
  assert.deepEqual(set.sources(), ["/t"]);
});

test("a changed index is used from the next look-up on", async () => {
  const { set } = setOf(new Map([["/t.db", index("one", 1)]]));
  const maps = await set.maps(["hash:/t"], { foldCase: true });
  assert.equal(await set.replace("/t.db", index("two", 2)), true);
  assert.equal(maps.find("key"), "two");
});

test("an index that is not sound does not take the old one's place, and the operator is told", async () => {
  const { set, warnings } = setOf(new Map([["/t.db", index("one", 1)]]));
  const maps = await set.maps(["hash:/t"], { foldCase: true });
  assert.equal(await set.replace("/t.db", { bytes: Buffer.alloc(4096), mtime_ms: 2 }), false);
  assert.equal(maps.find("key"), "one");
  assert.match(warnings.join(), /^hash:\/t: new contents are not used, the old ones stay: open database \/t\.db: /);
});

test("a table that is missing cannot tell, is among the problems, and answers once it is there", async () => {
  const { set } = setOf(new Map());
  const maps = await set.maps(["hash:/t"], { foldCase: true });
  assert.throws(() => maps.find("key"), TableError);
  assert.deepEqual(
    set.problems().map(({ reference }) => reference),
    ["hash:/t"],
  );
  assert.equal(await set.replace("/t.db", index("one", 1)), true);
  assert.equal(maps.find("key"), "one");
  assert.deepEqual(set.problems(), []);
});

test("an index that is older than its source at start is reported at once, and once", async () => {
  const { set } = setOf(
    new Map([
      ["/t.db", index("one", 10)],
      ["/t", source(20)],
    ]),
  );
  await set.maps(["hash:/t"], { foldCase: true });
  assert.deepEqual(set.stale(1000), [warning]);
  assert.deepEqual(set.stale(1_000_000), []);
});

test("while running, a source newer than its index is reported after the grace, and again after it was mended", async () => {
  const files = new Map([
    ["/t.db", index("one", 10)],
    ["/t", source(5)],
  ]);
  const { set } = setOf(files);
  await set.maps(["hash:/t"], { foldCase: true });
  assert.deepEqual(set.stale(0), []);
  set.sourceChanged("/t", 20);
  assert.deepEqual(set.stale(1000), []);
  assert.deepEqual(set.stale(1000 + staleGrace_ms - 1), []);
  assert.equal(set.nextStale_ms(), 1000 + staleGrace_ms);
  assert.deepEqual(set.stale(1000 + staleGrace_ms), [warning]);
  assert.equal(set.nextStale_ms(), undefined);
  files.set("/t", source(20));
  await set.replace("/t.db", index("two", 30));
  assert.deepEqual(set.stale(50_000), []);
  set.sourceChanged("/t", 40);
  assert.deepEqual(set.stale(60_000), []);
  assert.deepEqual(set.stale(60_000 + staleGrace_ms), [warning]);
});

test("a source that postmap follows within the grace is not reported", async () => {
  const files = new Map([
    ["/t.db", index("one", 10)],
    ["/t", source(5)],
  ]);
  const { set } = setOf(files);
  await set.maps(["hash:/t"], { foldCase: true });
  set.sourceChanged("/t", 20);
  assert.deepEqual(set.stale(0), []);
  files.set("/t", source(20));
  await set.replace("/t.db", index("two", 21));
  assert.deepEqual(set.stale(staleGrace_ms * 2), []);
});

test("a source without an index file is exchanged like an index", async () => {
  const { set } = setOf(new Map([["/t", { bytes: Buffer.from("a 1\n"), mtime_ms: 1 }]]));
  const maps = await set.maps(["texthash:/t"], { foldCase: true });
  await set.replace("/t", { bytes: Buffer.from("a 2\n"), mtime_ms: 2 });
  assert.equal(maps.find("a"), "2");
  assert.deepEqual(set.sources(), []);
});
