import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, rmSync, statfsSync, statSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as wait } from "node:timers/promises";
import { lacking } from "../../../test/lab/needs.ts";
import { memoryLog } from "../../log/log.ts";
import { realRuntime } from "../../runtime/real.ts";
import type { EngineStore } from "../engine-store.ts";
import { openSqliteStore, startSqliteWorker } from "../open.ts";

const skip = process.getuid?.() === 0 ? false : "needs root, to mount a small tmpfs";

/** A small file system, or undefined where mounting is not allowed. */
function smallDisk(size = "4m"): string | undefined {
  const directory = mkdtempSync(join(tmpdir(), "postern-full-"));
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${size}`, "tmpfs", directory], { stdio: "ignore" });
    return directory;
  } catch {
    rmSync(directory, { recursive: true });
    return undefined;
  }
}

/** Writes until there is no room left. */
function fill(path: string): void {
  const page = Buffer.alloc(4096);
  const fd = openSync(path, "w");
  try {
    for (;;) writeSync(fd, page);
  } catch (error) {
    assert.equal((error as NodeJS.ErrnoException).code, "ENOSPC");
  } finally {
    closeSync(fd);
  }
}

async function accept(store: EngineStore): Promise<string> {
  const id = store.nextId();
  const address = "to@there.example";
  const rest = { notify: undefined, orcpt: undefined, status: "pending", reason: undefined, dsn: undefined } as const;
  const envelope = {
    sender: "from@here.example",
    recipients: [{ address, original: address, ...rest }],
    size_bytes: 4096,
    eightBit: false,
    smtputf8: false,
    envid: undefined,
    ret: undefined,
    origin: { service: "smtpd", client: "", helo: "", protocol: "", saslUsername: "" },
    headerEnd_bytes: 0,
  } as const;
  await store.accept({ envelope, body: Buffer.alloc(4096, "x"), id, arrival_ms: 1 });
  return id;
}

test("a full disk refuses what comes, keeps what it has, and recovers when there is room", {
  skip,
}, async (context) => {
  const directory = smallDisk();
  if (!directory) return context.skip(lacking("mounting a tmpfs is not allowed here"));
  context.after(() => {
    execFileSync("umount", ["-l", directory]);
    rmSync(directory, { recursive: true });
  });
  const ballast = join(directory, "ballast");
  const open = async (owner: string): Promise<EngineStore> => {
    const engine = await startSqliteWorker();
    return openSqliteStore(engine, {
      directory,
      owner,
      generation: 0,
      runtime: realRuntime(),
      log: memoryLog(),
      cache_bytes: 0,
    });
  };
  const store = await open("a");
  const ids: string[] = [];
  for (let i = 0; i < 20; i++) ids.push(await accept(store));
  const { bavail, bsize } = statfsSync(directory);
  writeFileSync(ballast, Buffer.alloc(Math.max(0, bavail * bsize - 200_000)));

  const refused: unknown[] = [];
  for (let i = 0; i < 300 && refused.length < 3; i++)
    await accept(store).then(
      (id) => ids.push(id),
      (error) => refused.push(error),
    );
  assert.deepEqual(
    refused.map((error) => (error as { kind?: string }).kind),
    ["full", "full", "full"],
  );
  assert.equal((await store.counts()).active, ids.length);

  const settlement = { outcomes: [], nextAttempt_ms: 1, destination: "", notifications: [] };
  let settled = false;
  const settling = Promise.all(ids.map((id) => store.settle({ ...settlement, id }))).then(() => {
    settled = true;
  });
  await wait(100);
  context.diagnostic(`settled without room: ${settled}`);
  rmSync(ballast);
  await settling;
  ids.push(await accept(store));
  await store.close();

  const next = await open("b");
  await next.release("a");
  assert.deepEqual((await next.claim(1, 1_000)).map(({ id }) => id).toSorted(), ids.toSorted());
  await next.close();
});

test("a full disk stops nothing while the queue's file has free pages", { skip }, async (context) => {
  const directory = smallDisk("16m");
  if (!directory) return context.skip(lacking("mounting a tmpfs is not allowed here"));
  context.after(() => {
    execFileSync("umount", ["-l", directory]);
    rmSync(directory, { recursive: true });
  });
  const open = async (owner: string): Promise<EngineStore> => {
    const options = { directory, owner, generation: 0, runtime: realRuntime(), log: memoryLog() };
    return openSqliteStore(await startSqliteWorker(), options);
  };
  const outcomes = [{ index: 0, status: "sent", reason: "ok", dsn: "2.0.0" }] as const;
  const rest = { outcomes, nextAttempt_ms: 1, destination: "", notifications: [] };
  const before = await open("a");
  const ids = await Promise.all(Array.from({ length: 500 }, () => accept(before)));
  await Promise.all(ids.map((id) => before.settle({ ...rest, id })));
  await before.close();

  const store = await open("b");
  const { bavail, bsize } = statfsSync(directory);
  writeFileSync(join(directory, "ballast"), Buffer.alloc(bavail * bsize - 400_000));
  for (let i = 0; i < 100; i++) await store.settle({ ...rest, id: await accept(store) });
  assert.equal((await store.counts()).active, 0);
  await store.close();
});

test("a disk that others fill to the last byte stops no outcome, and takes mail again when it is gone", {
  skip,
}, async (context) => {
  const directory = smallDisk("16m");
  if (!directory) return context.skip(lacking("mounting a tmpfs is not allowed here"));
  context.after(() => {
    execFileSync("umount", ["-l", directory]);
    rmSync(directory, { recursive: true });
  });
  const options = { directory, owner: "a", generation: 0, runtime: realRuntime(), log: memoryLog() };
  const store = await openSqliteStore(await startSqliteWorker(), options);
  // All in the log, and beyond the end of the file.
  const ids = await Promise.all(Array.from({ length: 400 }, () => accept(store)));
  fill(join(directory, "ballast"));

  const outcomes = [{ index: 0, status: "sent", reason: "ok", dsn: "2.0.0" }] as const;
  const rest = { outcomes, nextAttempt_ms: 1, destination: "", notifications: [] };
  await Promise.all(ids.map((id) => store.settle({ ...rest, id })));
  assert.equal((await store.counts()).active, 0);

  const refused = await accept(store).then(
    () => undefined,
    (error) => (error as { kind?: string }).kind,
  );
  assert.ok(refused === undefined || refused === "full", `it was refused as ${refused}`);
  rmSync(join(directory, "ballast"));
  await accept(store);
  await store.close();
  assert.ok(statSync(join(directory, "reserve")).size >= 4 * 1024 * 1024, "there is a reserve again");
});

test("a queue that is begun on a nearly full disk says what it lacks, and takes mail when there is room", {
  skip,
}, async (context) => {
  const directory = smallDisk("16m");
  if (!directory) return context.skip(lacking("mounting a tmpfs is not allowed here"));
  context.after(() => {
    execFileSync("umount", ["-l", directory]);
    rmSync(directory, { recursive: true });
  });
  const { bavail, bsize } = statfsSync(directory);
  writeFileSync(join(directory, "ballast"), Buffer.alloc(bavail * bsize - 1_000_000));
  const log = memoryLog();
  const options = { directory, owner: "a", generation: 0, runtime: realRuntime(), log };
  const store = await openSqliteStore(await startSqliteWorker(), options);
  assert.match(log.lines.join("\n"), /no room for .*\/reserve.* refused with 452 until \d+ MiB are free\. Make room/);
  await assert.rejects(accept(store), { kind: "full" });
  rmSync(join(directory, "ballast"));
  await accept(store);
  await store.close();
});
