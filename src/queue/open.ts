import type { Log } from "../log/log.ts";
import { errorCode, openFlags } from "../runtime/files.ts";
import type { Runtime } from "../runtime/runtime.ts";
import type { BatchLimits } from "./coordinator.ts";
import { firstLook, noteOf } from "./damage.ts";
import type { Engine } from "./engine.ts";
import { EngineStore } from "./engine-store.ts";
import { queueFile, repaired } from "./queue-files.ts";
import { finishRepair, isThere, RepairError, repairQueue } from "./repair.ts";
import { networkFileSystem } from "./sqlite/file-system.ts";
import type { OpenOptions } from "./sqlite/protocol.ts";
import { isDamage } from "./sqlite/queue-reads.ts";
import { SqliteEngine } from "./sqlite/sqlite-engine.ts";
import { QueueError, type RefusedBatch } from "./store.ts";

export { openMemoryStore } from "./memory-store.ts";
export { queueFile } from "./queue-files.ts";

/**
 * Opening the default queue takes two steps, because a relay drops its
 * privileges in between: startSqliteWorker() loads all code; openSqliteStore()
 * touches the disk, as the user that the files belong to.
 */
export function startSqliteWorker(): Promise<SqliteEngine> {
  return SqliteEngine.start();
}

export interface SqliteStoreOptions {
  /** Exists, and is writable; `$queue_directory/postern`. The queue is its file `queue.db`. */
  readonly directory: string;
  readonly owner: string;
  readonly generation: number;
  readonly runtime: Pick<Runtime, "clock" | "files">;
  readonly log: Log;
  /** Nobody else has the queue open, and nobody will before this call ends: then a damaged file is repaired. */
  readonly alone?: boolean;
  /** What predecessors reported as their `refusedBatches`: removed before anything is claimed. */
  readonly refused?: readonly RefusedBatch[];
  readonly limits?: BatchLimits;
  /** Of bodies, of SQLite's pages, and of the log between checkpoints. */
  readonly cache_bytes?: number;
  readonly pageCache_bytes?: number;
  readonly checkpoint_bytes?: number;
  readonly traces_s?: number;
  /** See EngineStoreOptions. */
  readonly noteRefused?: (batches: readonly RefusedBatch[]) => Promise<boolean>;
}

/** An engine whose file is not open yet; it resolves to the largest id in it. */
export interface OpenableEngine extends Engine {
  open(options: OpenOptions): Promise<number>;
  /** After open(): how much has to be free on the disk before new mail is taken; 0 or nothing where that is so. */
  readonly lackingRoom_bytes?: number;
}

/** Cannot be opened; the message says why and what to do. */
export class QueueOpenError extends Error {}

/**
 * Opens the queue, making it if there is none. What an earlier process of the same owner had in work is
 * deferred, and due at once; bodies that it did not complete are swept. A damaged file is repaired, where `alone`
 * allows that, and what came of it is logged. Throws QueueOpenError.
 */
export async function openSqliteStore(engine: OpenableEngine, options: SqliteStoreOptions): Promise<EngineStore> {
  const { directory, runtime } = options;
  const path = queueFile(directory);
  try {
    await assertLocal(runtime, directory);
    if (options.alone) await mendBefore(options);
    else if (await isThere(runtime.files, repaired(directory)))
      throw new QueueOpenError(
        `the repair of the mail queue ${path} was interrupted: start Postern, or run postern repair`,
      );
    await createPrivate(runtime, directory, path);
    return await open(engine, options).catch(async (error: unknown) => {
      if (!options.alone || !(await isMendable(options, error))) throw error;
      await repairQueue({ ...options, ...runtime }, textOf(error));
      return open(engine, options);
    });
  } catch (error) {
    await engine.close();
    if (error instanceof QueueOpenError) throw error;
    if (error instanceof RepairError) throw new QueueOpenError(error.message, { cause: error });
    throw new QueueOpenError(`cannot open the mail queue ${path}: ${textOf(error)}`, { cause: error });
  }
}

async function open(engine: OpenableEngine, options: SqliteStoreOptions): Promise<EngineStore> {
  const { directory, owner, refused = [], runtime } = options;
  const largestId = await engine.open({
    path: queueFile(directory),
    owner,
    pageCache_bytes: options.pageCache_bytes ?? 16 * 1024 * 1024,
    checkpoint_bytes: options.checkpoint_bytes ?? 16 * 1024 * 1024,
  });
  if (engine.lackingRoom_bytes) options.log.warning(withoutReserve(directory, engine.lackingRoom_bytes));
  const store = new EngineStore(engine, { ...options, clock: runtime.clock, largestId });
  // A failure that could not be noted is told by nothing else (Coordinator, invariant 5).
  const failure = await Promise.race([store.failed, store.forget(refused).then(() => store.release(owner))]);
  if (failure instanceof QueueError) throw failure;
  return store;
}

/** What SQLite would not notice, or takes for something else. */
async function mendBefore({ directory, runtime, log }: SqliteStoreOptions): Promise<void> {
  const { files } = runtime;
  if (await finishRepair(files, directory)) log.warning("mail queue: a repair that had been interrupted is complete");
  const { damage, warning } = await firstLook(files, directory);
  if (warning) log.warning(`mail queue: ${warning}`);
  if (damage) await repairQueue({ ...runtime, directory, log }, damage);
}

/** Not what else may be wrong: a repair mends no mistake of ours. */
async function isMendable({ directory, runtime }: SqliteStoreOptions, error: unknown): Promise<boolean> {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  if (isDamage(error) || code === "foreign") return true;
  return (await noteOf(runtime.files, directory)) !== undefined;
}

/** A disk that was nearly full before the queue was. */
function withoutReserve(directory: string, needed_bytes: number): string {
  const needed = `${Math.ceil(needed_bytes / 1024 / 1024)} MiB`;
  return (
    `mail queue: there is no room for ${directory}/reserve, which lets deliveries go on when the disk is full: new mail is refused with 452 ` +
    `until ${needed} are free. Make room on that file system, or set postern_queue_checkpoint_size lower`
  );
}

const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

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
