import { spawnSync } from "node:child_process";
import { chownSync, existsSync, statSync } from "node:fs";
import { memoryLog } from "../../src/log/log.ts";
import type { EngineStore } from "../../src/queue/engine-store.ts";
import { plainEnvelope } from "../../src/queue/message.fixture.ts";
import { openSqliteStore, queueFile, startSqliteWorker } from "../../src/queue/open.ts";
import { realRuntime } from "../../src/runtime/real.ts";

const atOnce = 500;
const size_bytes = 4096;
const owner = "fill-0";
const header = "From: sender@example.org\r\nTo: recipient@example.com\r\nSubject: waits\r\n\r\n";
const body = Buffer.alloc(size_bytes, "This message waits in the queue until its time has come.\r\n");
body.write(header, "latin1");

const envelope = plainEnvelope("sender@example.org", ["recipient@example.com"], size_bytes, {
  origin: { service: "smtpd", client: "localhost[127.0.0.1]", helo: "localhost", protocol: "ESMTP", saslUsername: "" },
  headerEnd_bytes: header.length,
});

/**
 * Deferred messages of 4 KiB, due at `due_ms`, for the queue of a relay that does not run: through the store, as a relay
 * would defer them for `reason`. The files belong to whom the directory belongs to.
 */
export async function fillQueue(
  directory: string,
  count: number,
  due_ms: number,
  reason = "connect to 127.0.0.1[127.0.0.1]:25: Connection refused",
): Promise<void> {
  const runtime = realRuntime();
  const engine = await startSqliteWorker();
  const store = await openSqliteStore(engine, { directory, owner, generation: 0, runtime, log: memoryLog() });
  try {
    for (let done = 0; done < count; done += atOnce) {
      const some = Array.from({ length: Math.min(atOnce, count - done) }, () => addOne(store, due_ms, reason));
      await Promise.all(some);
    }
    const { deferred } = await store.counts();
    if (deferred < count) throw new Error(`${deferred} of ${count} messages are in the queue`);
  } finally {
    await store.close();
  }
  const { uid, gid } = statSync(directory);
  const file = queueFile(directory);
  for (const path of [file, `${file}-wal`, `${file}-shm`]) if (existsSync(path)) chownSync(path, uid, gid);
  // Gigabytes that the kernel still has to write would slow down each sync of what is measured next.
  spawnSync("sync");
}

async function addOne(store: EngineStore, due_ms: number, reason: string): Promise<void> {
  const id = store.nextId();
  await store.accept({ envelope, body: Buffer.from(body), id, arrival_ms: Date.now() });
  const outcomes = [{ index: 0, status: "pending", reason, dsn: "4.4.1" }] as const;
  await store.settle({ id, outcomes, nextAttempt_ms: due_ms, destination: "smtp:slow", notifications: [] });
}
