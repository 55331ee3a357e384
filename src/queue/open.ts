import type { Log } from "../log/log.ts";
import { errorCode, openFlags } from "../runtime/files.ts";
import type { Runtime } from "../runtime/runtime.ts";
import type { BatchLimits } from "./coordinator.ts";
import type { Engine } from "./engine.ts";
import { EngineStore } from "./engine-store.ts";
import { networkFileSystem } from "./sqlite/file-system.ts";
import type { OpenOptions } from "./sqlite/protocol.ts";
import { SqliteEngine } from "./sqlite/sqlite-engine.ts";
import type { RefusedBatch } from "./store.ts";

export { openMemoryStore } from "./memory-store.ts";

/**
 * Opening the default queue takes two steps, because a relay drops its
 * privileges in between: startSqliteWorker() loads all code; openSqliteStore()
 * touches the disk, as the user that the files belong to.
 */
export function startSqliteWorker(): Promise<SqliteEngine> {
  return SqliteEngine.start();
}

/** The queue file of a queue's directory. */
export function queueFile(directory: string): string {
  return `${directory}/queue.db`;
}

export interface SqliteStoreOptions {
  /** Exists, and is writable; `$queue_directory/postern`. The queue is its file `queue.db`. */
  readonly directory: string;
  readonly owner: string;
  readonly generation: number;
  readonly runtime: Pick<Runtime, "clock" | "files">;
  readonly log: Log;
  /** What predecessors reported as their `refusedBatches`: removed before anything is claimed. */
  readonly refused?: readonly RefusedBatch[];
  readonly limits?: BatchLimits;
  /** Of bodies, of SQLite's pages, and of the log between checkpoints. */
  readonly cache_bytes?: number;
  readonly pageCache_bytes?: number;
  readonly checkpoint_bytes?: number;
  readonly traces_s?: number;
}

/** An engine whose file is not open yet; it resolves to the largest id in it. */
export interface OpenableEngine extends Engine {
  open(options: OpenOptions): Promise<number>;
}

/** Cannot be opened; the message says why and what to do. */
export class QueueOpenError extends Error {}

/**
 * Opens the queue, making it if there is none. What an earlier process of the same owner had in work is
 * deferred, and due at once; bodies that it did not complete are swept. Throws QueueOpenError.
 */
export async function openSqliteStore(engine: OpenableEngine, options: SqliteStoreOptions): Promise<EngineStore> {
  const { directory, owner, refused = [], runtime } = options;
  const path = queueFile(directory);
  try {
    await assertLocal(runtime, directory);
    await createPrivate(runtime, directory, path);
    const largestId = await engine.open({
      path,
      owner,
      pageCache_bytes: options.pageCache_bytes ?? 16 * 1024 * 1024,
      checkpoint_bytes: options.checkpoint_bytes ?? 16 * 1024 * 1024,
    });
    const store = new EngineStore(engine, { ...options, clock: runtime.clock, largestId });
    await store.forget(refused);
    await store.release(owner);
    return store;
  } catch (error) {
    await engine.close();
    if (error instanceof QueueOpenError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new QueueOpenError(`cannot open the mail queue ${path}: ${reason}`, { cause: error });
  }
}

async function assertLocal({ files }: Pick<Runtime, "files">, directory: string): Promise<void> {
  const network = await networkFileSystem(files, directory);
  if (network === undefined) return;
  throw new QueueOpenError(
    `the mail queue ${directory} is on a network file system (${network}), where neither locks nor syncs can be relied on: set queue_directory to a local disk`,
  );
}

/** A new file is its owner's alone; SQLite gives its log and its index the same permissions. */
async function createPrivate({ files }: Pick<Runtime, "files">, directory: string, path: string): Promise<void> {
  const { readWrite, create, exclusive, noFollow } = openFlags;
  try {
    const file = await files.open(path, readWrite | create | exclusive | noFollow, 0o600);
    await file.close();
    await files.syncDirectory(directory);
  } catch (error) {
    if (errorCode(error) !== "EEXIST") throw error;
  }
}
