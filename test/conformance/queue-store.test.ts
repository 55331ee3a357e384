import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { memoryLog } from "../../src/log/log.ts";
import type { EngineStore } from "../../src/queue/engine-store.ts";
import { MemoryQueue } from "../../src/queue/memory-engine.ts";
import { openMemoryStore, openSqliteStore, startSqliteWorker } from "../../src/queue/open.ts";
import { realFiles } from "../../src/runtime/files.ts";
import { ManualClock } from "../../src/runtime/manual-clock.ts";
import { type Bed, queueStoreConformance } from "./queue-store.ts";
import { queueStoreModel } from "./queue-store-model.ts";

async function memoryBed(): Promise<Bed> {
  const [clock, log, queue] = [new ManualClock(), memoryLog(), new MemoryQueue()];
  return {
    clock,
    log,
    open: (owner, options) => openMemoryStore({ owner, clock, log, queue, ...options }),
    end: async () => {},
  };
}

async function sqliteBed(): Promise<Bed> {
  const [clock, log] = [new ManualClock(), memoryLog()];
  const directory = await mkdtemp(join(tmpdir(), "postern-queue-"));
  const stores: EngineStore[] = [];
  return {
    clock,
    log,
    async open(owner, options) {
      const runtime = { clock, files: realFiles };
      const engine = await startSqliteWorker();
      const store = await openSqliteStore(engine, { directory, owner, generation: 0, runtime, log, ...options });
      stores.push(store);
      return store;
    },
    async end() {
      for (const store of stores) await store.close();
      await rm(directory, { recursive: true });
    },
  };
}

for (const [name, bed] of [
  ["memory", memoryBed],
  ["SQLite", sqliteBed],
] as const) {
  queueStoreConformance(name, bed);
  queueStoreModel(name, bed);
}
