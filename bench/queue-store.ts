import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { parseArgs } from "node:util";
import { memoryLog } from "../src/log/log.ts";
import type { EngineStore } from "../src/queue/engine-store.ts";
import { plainEnvelope } from "../src/queue/message.fixture.ts";
import { openMemoryStore, openSqliteStore, startSqliteWorker } from "../src/queue/open.ts";
import type { SqliteEngine } from "../src/queue/sqlite/sqlite-engine.ts";
import { realRuntime } from "../src/runtime/real.ts";

/**
 * The queue alone: so many producers, each of which accepts a message, reads
 * its body and settles it as sent, then begins again. Prints messages a
 * second, the sizes of batches, and where the CPU went.
 *
 *   node bench/queue-store.ts [--producers 20] [--size 4096] [--seconds 5] [--deferred 0] [--store sqlite|memory]
 *
 * `--deferred N` puts N deferred messages into the queue first.
 */
const { values } = parseArgs({
  options: {
    producers: { type: "string", default: "20" },
    size: { type: "string", default: "4096" },
    seconds: { type: "string", default: "5" },
    deferred: { type: "string", default: "0" },
    store: { type: "string", default: "sqlite" },
    directory: { type: "string", default: tmpdir() },
    checkpoint: { type: "string", default: "16777216" },
  },
});
const size_bytes = Number(values.size);
const runtime = realRuntime();
const envelope = plainEnvelope("sender@client.example", ["recipient@destination.example"], size_bytes, {
  origin: { service: "smtpd", client: "localhost[127.0.0.1]", helo: "localhost", protocol: "ESMTP", saslUsername: "" },
  headerEnd_bytes: 200,
});
const sent = [{ index: 0, status: "sent", reason: "250 2.0.0 Ok", dsn: "2.0.0" }] as const;

async function send(store: EngineStore): Promise<void> {
  const id = store.nextId();
  const arrival_ms = runtime.clock.now();
  await store.accept({ envelope, body: await body(store), id, arrival_ms });
  const reader = store.body(id);
  for (let index = 0; await reader.chunk(index); index++);
  await store.settle({ id, outcomes: sent, nextAttempt_ms: 0, destination: "", notifications: [] });
}

const chunk_bytes = 64 * 1024;

async function body(store: EngineStore) {
  if (size_bytes <= chunk_bytes) return Buffer.alloc(size_bytes, "x");
  const writer = store.beginBody();
  for (let at = 0; at < size_bytes; at += chunk_bytes) {
    await writer.append(Buffer.allocUnsafeSlow(Math.min(chunk_bytes, size_bytes - at)).fill("x"));
  }
  return writer;
}

async function fill(store: EngineStore, count: number): Promise<void> {
  const later = runtime.clock.now() + 86_400_000;
  for (let done = 0; done < count; done += 500) {
    await Promise.all(
      Array.from({ length: Math.min(500, count - done) }, async () => {
        const id = store.nextId();
        await store.accept({ envelope, body: Buffer.alloc(size_bytes, "x"), id, arrival_ms: later });
        await store.settle({ id, outcomes: [], nextAttempt_ms: later, destination: "smtp:slow", notifications: [] });
      }),
    );
  }
}

const directory = await mkdtemp(`${values.directory}/postern-bench-`);
const log = memoryLog();
let engine: SqliteEngine | undefined;
let store: EngineStore;
if (values.store === "memory") {
  store = await openMemoryStore({ owner: "bench", clock: runtime.clock, log });
} else {
  engine = await startSqliteWorker();
  const checkpoint_bytes = Number(values.checkpoint);
  store = await openSqliteStore(engine, { directory, owner: "bench", generation: 0, runtime, log, checkpoint_bytes });
}
try {
  await fill(store, Number(values.deferred));
  const before = { ...store.figures };
  const cpu = process.cpuUsage();
  const main = performance.eventLoopUtilization();
  const mainCpu = process.threadCpuUsage();
  const start = performance.now();
  const end = start + Number(values.seconds) * 1000;
  let messages = 0;
  await Promise.all(
    Array.from({ length: Number(values.producers) }, async () => {
      for (; performance.now() < end; messages++) await send(store);
    }),
  );
  const seconds = (performance.now() - start) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  const onMain = process.threadCpuUsage(mainCpu);
  const batches = store.figures.batches - before.batches;
  const ops = store.figures.ops - before.ops;
  const micros = (total: number): string => (total / messages).toFixed(1);
  console.log(`${(messages / seconds).toFixed(0)} messages/s, ${(batches / seconds).toFixed(0)} commits/s`);
  console.log(`${(ops / batches).toFixed(1)} operations a batch, ${store.figures.largest} at most`);
  console.log(
    `CPU a message: ${micros(user + system)} us in all, ${micros(onMain.user + onMain.system)} us on the main thread`,
  );
  console.log(`main thread busy ${(performance.eventLoopUtilization(main).utilization * 100).toFixed(0)} %`);
} finally {
  await store.close();
  await rm(directory, { recursive: true });
}
