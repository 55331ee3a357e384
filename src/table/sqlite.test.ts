import assert from "node:assert/strict";
import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import Sqlite from "better-sqlite3";
import { cannotTell, testTables } from "./test-servers.ts";

const directory = mkdtempSync(join(tmpdir(), "sqlite-"));
after(() => rmSync(directory, { recursive: true, force: true }));

function database(name: string, value: string): string {
  const path = join(directory, name);
  const file = new Sqlite(path);
  file.exec("CREATE TABLE t (k TEXT, v TEXT)");
  file.prepare("INSERT INTO t VALUES ('key', ?)").run(value);
  file.close();
  return path;
}

async function tableOn(path: string, query = "SELECT v FROM t WHERE k='%s'") {
  const tables = testTables({ "/t.cf": `dbpath = ${path}\nquery = ${query}\n` });
  return { ...tables, maps: await tables.set.maps(["sqlite:/t.cf"], { foldCase: true }) };
}

test("a file that is replaced by another one is read from then on", async () => {
  const path = database("a.db", "old");
  const { maps, set } = await tableOn(path);
  assert.equal(await maps.find("key"), "old");
  renameSync(database("b.db", "new"), path);
  assert.equal(await maps.find("KEY"), "new");
  await set.close();
});

test("what is added while it is open is seen", async () => {
  const path = database("grows.db", "one");
  const { maps, set } = await tableOn(path);
  assert.equal(await maps.find("two"), undefined);
  new Sqlite(path).exec("INSERT INTO t VALUES ('two', '2')").close();
  assert.equal(await maps.find("two"), "2");
  await set.close();
});

test("a file that is missing stops the start; one that is none, or went away, cannot tell", async () => {
  const missing = await tableOn(join(directory, "nosuch.db"));
  assert.match(missing.set.problems()[0]?.error.message ?? "", /Can't open database: .*nosuch\.db/);
  const rubbish = join(directory, "rubbish.db");
  writeFileSync(rubbish, "this is no database, and never was".repeat(100));
  const { maps, set } = await tableOn(rubbish);
  await assert.rejects(async () => maps.find("key"), cannotTell(/not a database/));
  const gone = await tableOn(database("gone.db", "x"));
  rmSync(join(directory, "gone.db"));
  await assert.rejects(async () => gone.maps.find("key"), cannotTell(/ENOENT|no such file/));
  for (const each of [missing.set, set, gone.set]) await each.close();
});

test("nothing that a query says changes the file", async () => {
  const path = database("safe.db", "x");
  for (const query of ["DELETE FROM t", "INSERT INTO t VALUES ('%s', 'y') RETURNING v", "SELECT 1; DELETE FROM t"]) {
    const { maps, set } = await tableOn(path, query);
    await assert.rejects(async () => maps.find("key"), cannotTell(/no rows|readonly|more than one/));
    await set.close();
  }
  const { maps, set } = await tableOn(path);
  assert.equal(await maps.find("key"), "x");
  await set.close();
});

test("an answer without end is cut off", async () => {
  const { maps, set } = await tableOn(
    database("endless.db", "x"),
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) SELECT '%s' || i FROM n",
  );
  await assert.rejects(async () => maps.find("key"), cannotTell(/longer than/));
  await set.close();
});

test("a query that takes too long cannot tell", async () => {
  const { maps, set, clock } = await tableOn(
    database("slow.db", "x"),
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 300000) SELECT count(*) FROM n WHERE '%s'<>''",
  );
  const asked = assert.rejects(async () => maps.find("key"), cannotTell(/no answer in 30 seconds/));
  clock.advance(30_000);
  await asked;
  assert.equal(await maps.find("key"), "300000");
  await set.close();
});

test("an escape without quotes around it is reported", async () => {
  const { warnings, set } = await tableOn(database("warned.db", "x"), "SELECT v FROM t WHERE k=%s");
  assert.match(warnings.join(), /query >SELECT v FROM t WHERE k=%s< contains >%s< without the recommended '' quotes/);
  await set.close();
});
