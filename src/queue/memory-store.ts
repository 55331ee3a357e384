import type { Log } from "../log/log.ts";
import type { Clock } from "../runtime/clock.ts";
import type { BatchLimits } from "./coordinator.ts";
import type { Engine } from "./engine.ts";
import { EngineStore } from "./engine-store.ts";
import { MemoryEngine, MemoryQueue } from "./memory-engine.ts";
import type { RefusedBatch } from "./store.ts";

export interface MemoryStoreOptions {
  readonly owner: string;
  readonly generation?: number;
  readonly clock: Clock;
  readonly log: Log;
  /** What a predecessor left; several stores may share one. A fresh queue without it. */
  readonly queue?: MemoryQueue;
  /** Puts something between the coordinator and memory: an engine that fails, or is slow. */
  readonly wrap?: (engine: Engine) => Engine;
  readonly refused?: readonly RefusedBatch[];
  readonly limits?: BatchLimits;
  readonly cache_bytes?: number;
}

/** A queue in memory, for tests and simulation: the coordinator and the store are the real ones. */
export async function openMemoryStore(options: MemoryStoreOptions): Promise<EngineStore> {
  const { queue = new MemoryQueue(), wrap = (engine) => engine, refused = [], owner, generation = 0 } = options;
  const engine = wrap(new MemoryEngine(queue, owner));
  const store = new EngineStore(engine, { ...options, generation, largestId: queue.largestId });
  await store.forget(refused);
  await store.release(owner);
  return store;
}
