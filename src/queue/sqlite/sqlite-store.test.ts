import assert from "node:assert/strict";
import { chmod, copyFile, mkdtemp, open, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import Sqlite from "better-sqlite3";
import { type Log, memoryLog } from "../../log/log.ts";
import { type Files, realFiles } from "../../runtime/files.ts";
import { ManualClock } from "../../runtime/manual-clock.ts";
import type { Insert, Op } from "../engine.ts";
import type { EngineStore } from "../engine-store.ts";
import type { NewEnvelope } from "../message.ts";
import { openSqliteStore, queueFile, startSqliteWorker } from "../open.ts";
import { networkFileSystem } from "./file-system.ts";
import { openQueueReader } from "./reader.ts";
import { assertSqliteVersion, migrate, migrations } from "./schema.ts";

async function place(context: TestContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "postern-sqlite-"));
  context.after(() => rm(directory, { recursive: true }));
  return directory;
}

async function openStore(
  directory: string,
  owner = "a",
  log: Log = memoryLog(),
  files: Files = realFiles,
): Promise<EngineStore> {
  const runtime = { clock: new ManualClock(), files };
  const engine = await startSqliteWorker();
  return openSqliteStore(engine, { directory, owner, generation: 0, runtime, log, cache_bytes: 0 });
}

function envelope(sender: string): NewEnvelope {
  const address = "to@there.example";
  const rest = { notify: undefined, orcpt: undefined, status: "pending", reason: undefined, dsn: undefined } as const;
  return {
    sender,
    recipients: [{ address, original: address, ...rest }],
    size_bytes: 20,
    eightBit: false,
    smtputf8: false,
    envid: undefined,
    ret: undefined,
    origin: { service: "smtpd", client: "", helo: "", protocol: "", saslUsername: "" },
    headerEnd_bytes: 0,
  };
}

async function deferred(store: EngineStore, sender: string, body: string): Promise<string> {
  const id = store.nextId();
  await store.accept({ envelope: envelope(sender), body: Buffer.from(body), id, arrival_ms: 1 });
  await store.settle({ id, outcomes: [], nextAttempt_ms: 10, destination: "smtp:x", notifications: [] });
  return id;
}

/** Turns one bit in the first place where the file has these bytes. */
async function flip(path: string, text: string): Promise<void> {
  const bytes = await readFile(path);
  const at = bytes.indexOf(text);
  assert.ok(at >= 0, `"${text}" is in the file`);
  const file = await open(path, "r+");
  await file.write(Buffer.from([(bytes[at] ?? 0) ^ 1]), 0, 1, at);
  await file.close();
}

test("the queue's files are their owner's alone", async (context) => {
  const directory = await place(context);
  const store = await openStore(directory);
  await deferred(store, "a@x.example", "body\r\n");
  for (const suffix of ["", "-wal", "-shm"]) {
    assert.equal((await stat(queueFile(directory) + suffix)).mode & 0o777, 0o600, suffix);
  }
  await store.close();
});

test("closing the queue is not a failure of it", async (context) => {
  const store = await openStore(await place(context));
  let failed = false;
  void store.failed.then(() => {
    failed = true;
  });
  await store.close();
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(failed, false);
});

test("a damaged envelope is set aside when it is claimed, and reported; the others are claimed", async (context) => {
  const directory = await place(context);
  const log = memoryLog();
  const first = await openStore(directory);
  const bad = await deferred(first, "damaged@x.example", "body\r\n");
  const good = await deferred(first, "intact@x.example", "body\r\n");
  await first.close();
  await flip(queueFile(directory), "damaged@x");
  const store = await openStore(directory, "b", log);
  assert.deepEqual(
    (await store.claim(10, 10)).map(({ id }) => id),
    [good],
  );
  assert.deepEqual(await store.counts(), { active: 1, deferred: 0, hold: 0, corrupt: 1 });
  assert.equal(log.lines.length, 1);
  assert.ok(
    log.lines[0]?.includes(`warning: ${bad}: message set aside as corrupt and kept in the queue: its envelope`),
  );
  const listed = await store.list(undefined, 10);
  assert.deepEqual(
    listed.map(({ queue, envelope: { id } }) => [queue, id]),
    [
      ["corrupt", bad],
      ["active", good],
    ],
  );
  assert.equal(await store.remove([bad]), 1);
  await store.close();
});

test("a damaged envelope is set aside when it is listed", async (context) => {
  const directory = await place(context);
  const log = memoryLog();
  const first = await openStore(directory);
  const bad = await deferred(first, "damaged@x.example", "body\r\n");
  await first.close();
  await flip(queueFile(directory), "damaged@x");
  const store = await openStore(directory, "b", log);
  assert.equal((await store.list(undefined, 10))[0]?.queue, "corrupt");
  assert.deepEqual(await store.claim(10, 10), []);
  assert.deepEqual(await store.counts(), { active: 0, deferred: 0, hold: 0, corrupt: 1 });
  assert.ok(log.lines.some((line) => line.includes(bad)));
  await store.close();
});

test("a damaged body is never delivered: its message is set aside, and settled no more", async (context) => {
  const directory = await place(context);
  const log = memoryLog();
  const first = await openStore(directory);
  const bad = await deferred(first, "a@x.example", "damaged body\r\n");
  await first.close();
  await flip(queueFile(directory), "damaged body");
  const store = await openStore(directory, "b", log);
  assert.deepEqual(
    (await store.claim(10, 10)).map(({ id }) => id),
    [bad],
  );
  await assert.rejects(store.body(bad).chunk(0), { kind: "corrupt" });
  const outcomes = [{ index: 0, status: "sent", reason: "", dsn: "2.0.0" }] as const;
  const settled = await store.settle({ id: bad, outcomes, nextAttempt_ms: 1, destination: "", notifications: [] });
  assert.equal(settled.applied, false);
  assert.deepEqual(await store.counts(), { active: 0, deferred: 0, hold: 0, corrupt: 1 });
  assert.ok(log.lines[0]?.includes(`${bad}: message set aside as corrupt and kept in the queue: part 1 of its body`));
  await store.close();
});

test("flipping any byte of the file loses no message silently", async (context) => {
  const directory = await place(context);
  const first = await openStore(directory);
  const ids: string[] = [];
  for (let i = 0; i < 40; i++)
    ids.push(await deferred(first, `sender${i}@x.example`, `body ${i} ${"x".repeat(500)}\r\n`));
  await first.close();
  const path = queueFile(directory);
  const intact = await readFile(path);
  for (let round = 0; round < 30; round++) {
    const bytes = Buffer.from(intact);
    const at = Math.floor(((round + 0.37) / 30) * bytes.length);
    bytes[at] = (bytes[at] ?? 0) ^ 0x10;
    await writeFile(path, bytes);
    const log = memoryLog();
    const outcome = await readEverything(directory, log);
    const silent =
      outcome === "refused"
        ? []
        : ids.filter((id, index) => outcome.get(id) !== `body ${index}` && !reported(log, outcome, id));
    assert.deepEqual(silent, [], `byte ${at}`);
  }
});

const reported = (log: { readonly lines: string[] }, found: ReadonlyMap<string, string>, id: string): boolean =>
  log.lines.some((line) => line.includes(id)) || found.get(id) === "error" || found.get("claim") === "error";

/** What a relay would find; "refused": the file is not opened, which is said. */
async function readEverything(directory: string, log: Log): Promise<"refused" | Map<string, string>> {
  let store: EngineStore;
  try {
    store = await openStore(directory, "b", log);
  } catch {
    return "refused";
  }
  const found = new Map<string, string>();
  try {
    for (const { id } of await store.claim(1_000, 100)) {
      const chunk = await store
        .body(id)
        .chunk(0)
        .catch(() => "error x");
      found.set(id, String(chunk).split(" x")[0] ?? "");
    }
    for (const { envelope, queue } of await store.list(undefined, 100))
      if (queue !== "active") found.set(envelope.id, "error");
  } catch {
    found.set("claim", "error");
  }
  await store.close().catch(() => {});
  return found;
}

test("a file that is not a queue is left alone, and named", async (context) => {
  const directory = await place(context);
  await writeFile(
    queueFile(directory),
    "This is a letter, and long enough to be taken for a database, were it one. ".repeat(20),
  );
  await assert.rejects(openStore(directory), /cannot open the mail queue .*queue\.db: file is not a database/);
  await rm(queueFile(directory));
  const other = new Sqlite(queueFile(directory));
  other.exec("CREATE TABLE song (title TEXT)");
  other.close();
  await assert.rejects(openStore(directory), /is a database, but not a mail queue/);
});

test("a queue of an earlier version is not misread from outside: who looks at it is told to start the relay", async (context) => {
  const directory = await place(context);
  await (await openStore(directory)).close();
  const db = new Sqlite(queueFile(directory));
  db.pragma(`user_version = ${migrations.length - 1}`);
  db.close();
  assert.throws(() => openQueueReader(queueFile(directory)), /made by an earlier Postern: the next start makes it/);
});

test("a queue made by a newer version is left alone", async (context) => {
  const directory = await place(context);
  await (await openStore(directory)).close();
  const db = new Sqlite(queueFile(directory));
  db.exec("CREATE TABLE invention (id INTEGER)");
  db.pragma(`user_version = ${migrations.length + 1}`);
  db.close();
  await assert.rejects(openStore(directory), /made by a newer Postern .* install that version/);
});

test("an older queue becomes a newer one with its mail in it, step by step", async (context) => {
  const directory = await place(context);
  const store = await openStore(directory);
  const id = await deferred(store, "a@x.example", "body\r\n");
  await store.close();
  const newer = [
    ...migrations,
    "ALTER TABLE message ADD COLUMN priority INTEGER NOT NULL DEFAULT 7",
    "CREATE TABLE extra (id INTEGER)",
  ];
  const db = new Sqlite(queueFile(directory));
  migrate(db, newer);
  migrate(db, newer);
  assert.equal(db.pragma("user_version", { simple: true }), newer.length);
  assert.deepEqual(db.prepare("SELECT id, priority FROM message").all(), [
    { id: Number.parseInt(id, 16), priority: 7 },
  ]);
  db.close();
});

test("a migration that fails leaves the queue as it was", async (context) => {
  const directory = await place(context);
  await (await openStore(directory)).close();
  const db = new Sqlite(queueFile(directory));
  assert.throws(() =>
    migrate(db, [...migrations, "CREATE TABLE extra (id INTEGER); CREATE TABLE message (id INTEGER)"]),
  );
  assert.equal(db.pragma("user_version", { simple: true }), migrations.length);
  assert.equal(db.prepare("SELECT count(*) FROM sqlite_schema WHERE name = 'extra'").pluck().get(), 0);
  db.close();
});

test("an old SQLite is refused, with what to do", () => {
  for (const version of ["3.51.3", "3.51.10", "3.54.1", "4.0.0"]) assertSqliteVersion(version);
  for (const version of ["3.51.2", "3.9.9", "2.8.17"])
    assert.throws(() => assertSqliteVersion(version), /needs 3\.51\.3 or newer: .*npm ci/);
});

test("a queue on a network file system is refused", async (context) => {
  const directory = await place(context);
  const on = (type: number): Files => ({ ...realFiles, space: async () => ({ free_bytes: 1, free_inodes: 1, type }) });
  await assert.rejects(
    openStore(directory, "a", memoryLog(), on(0x6969)),
    /on a network file system \(NFS\).*set queue_directory to a local disk/,
  );
  for (const type of [0xff534d42, -11317950, 0x01021997]) assert.ok(await networkFileSystem(on(type), directory));
  for (const type of [0xef53, 0x58465342, 0x9123683e, 0x01021994, 0x794c7630])
    assert.equal(await networkFileSystem(on(type), directory), undefined);
});

test("of FUSE file systems, the distant ones are refused", async (context) => {
  const directory = await place(context);
  const table = `21 1 8:1 / / rw - ext4 /dev/sda1 rw\n22 21 0:40 / ${directory} rw - KIND x:/ rw\n`;
  const source = join(directory, "mountinfo");
  const mounted = async (kind: string): Promise<string | undefined> => {
    await writeFile(source, table.replace("KIND", kind));
    return networkFileSystem(
      {
        ...realFiles,
        space: async () => ({ free_bytes: 1, free_inodes: 1, type: 0x65735546 }),
        open: (path, flags) => realFiles.open(path === "/proc/self/mountinfo" ? source : path, flags),
      },
      directory,
    );
  };
  assert.equal(await mounted("fuse.sshfs"), "fuse.sshfs");
  assert.equal(await mounted("fuseblk"), undefined);
  assert.equal(await mounted("fuse.fuse-overlayfs"), undefined);
});

test("a reader sees the queue while a store has it open, and when none has; before there is one, it is empty", async (context) => {
  const directory = await place(context);
  assert.deepEqual(openQueueReader(join(directory, "nowhere", "queue.db")).list(undefined, 10), []);
  const store = await openStore(directory);
  const reader = openQueueReader(queueFile(directory));
  const id = await deferred(store, "a@x.example", "body\r\n");
  assert.deepEqual(
    reader.list(undefined, 10).map(({ envelope }) => envelope.id),
    [id],
  );
  assert.equal(reader.find(id)?.queue, "deferred");
  assert.equal(reader.find("1"), undefined);
  assert.deepEqual(reader.counts(), { active: 0, deferred: 1, hold: 0, corrupt: 0 });
  assert.equal(String(await reader.body(id).chunk(0)), "body\r\n");
  reader.close();
  await store.close();
  const after = openQueueReader(queueFile(directory));
  assert.deepEqual(
    after.list(undefined, 10).map(({ envelope }) => envelope.id),
    [id],
  );
  after.close();
});

test("a directory that cannot be written is named", {
  skip: process.getuid?.() === 0 && "root can write everywhere",
}, async (context) => {
  const directory = await place(context);
  await chmod(directory, 0o500);
  await assert.rejects(openStore(directory), /cannot open the mail queue/);
  await chmod(directory, 0o700);
});

test("what a predecessor had in the log is in the file when a store is open: nothing new stands behind it", async (context) => {
  const directory = await place(context);
  const crashed = await place(context);
  const store = await openStore(directory);
  const id = await deferred(store, "sender@here.example", "the body");
  for (const name of ["queue.db", "queue.db-wal"]) await copyFile(join(directory, name), join(crashed, name));
  await store.close();
  assert.ok((await stat(join(crashed, "queue.db-wal"))).size > 0);
  const next = await openStore(crashed, "b");
  assert.equal((await stat(join(crashed, "queue.db-wal"))).size, 0);
  assert.deepEqual(
    (await next.claim(10, 5)).map((each) => each.id),
    [id],
  );
  await next.close();
});

test("a reader that stays holds the log back; when it goes, the log becomes small again", async (context) => {
  const directory = await place(context);
  const runtime = { clock: new ManualClock(), files: realFiles };
  const checkpoint_bytes = 256 * 1024;
  const rest = { owner: "a", generation: 0, runtime, log: memoryLog(), checkpoint_bytes };
  const store = await openSqliteStore(await startSqliteWorker(), { directory, ...rest });
  const reader = new Sqlite(queueFile(directory), { readonly: true });
  reader.exec("BEGIN");
  reader.prepare("SELECT count(*) FROM message").get();
  const log_bytes = async (): Promise<number> => (await stat(`${queueFile(directory)}-wal`)).size;
  for (let i = 0; i < 100; i++) await deferred(store, `s${i}@here.example`, "x".repeat(50_000));
  assert.ok((await log_bytes()) > 16 * checkpoint_bytes);
  reader.close();
  for (let i = 0; i < 30; i++) await deferred(store, `t${i}@here.example`, "x".repeat(50_000));
  assert.ok((await log_bytes()) <= 8 * checkpoint_bytes, `${await log_bytes()}`);
  await store.close();
});

test("of messages that belong together none is stored when the body of one is incomplete", async (context) => {
  const directory = await place(context);
  const runtime = { clock: new ManualClock(), files: realFiles };
  const engine = await startSqliteWorker();
  const store = await openSqliteStore(engine, { directory, owner: "a", generation: 0, runtime, log: memoryLog() });
  const of = (id: number, body: Insert["body"]): Insert => ({
    ...{ id, held: false, source: undefined, envelope: Buffer.from("[]"), recipients: 0, body },
  });
  const insert = of(2, Buffer.from("whole"));
  const lacking = of(4, { body: 8, chunks: 1 });
  const accept = (first: Insert, other: Insert): Op => ({ kind: "accept", insert: first, others: [other] });
  assert.deepEqual(await engine.commit(1, [accept(insert, lacking), accept(lacking, insert)]), [
    "incomplete",
    "incomplete",
  ]);
  assert.deepEqual(await store.counts(), { active: 0, deferred: 0, hold: 0, corrupt: 0 });
  await store.close();
});

test("the end of the queue's thread is a failed store", async (context) => {
  const directory = await place(context);
  const engine = await startSqliteWorker();
  const runtime = { clock: new ManualClock(), files: realFiles };
  const store = await openSqliteStore(engine, { directory, owner: "a", generation: 0, runtime, log: memoryLog() });
  const outcome = assert.rejects(deferred(store, "a@x.example", "body\r\n"), { kind: "failed" });
  await engine.kill();
  await outcome;
  assert.match((await store.failed).message, /thread/);
  await store.close();
});
