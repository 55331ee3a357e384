import { dirname } from "node:path";
import type { Database, Statement } from "better-sqlite3";
import Sqlite from "better-sqlite3";
import { leaveNote } from "../../runtime/note.ts";
import { Reserve, totalRoom } from "../../runtime/reserve.ts";
import { isFull } from "../../runtime/room.ts";
import type { Op, ReadKind, ReadOf, ReadResultOf, Result } from "../engine.ts";
import { damageNote } from "../queue-files.ts";
import type { Failure, OpenOptions } from "./protocol.ts";
import { QueueFile } from "./queue-file.ts";
import { isDamage, QueueReads } from "./queue-reads.ts";
import { migrate, pageSize_bytes, SchemaError } from "./schema.ts";

/**
 * An open queue file, one batch a transaction. Lives in the queue's thread:
 * everything here blocks.
 *
 * Checkpoints are made between batches, after the last one was answered, so
 * that no acknowledgement waits for one; SQLite's own are a backstop only.
 *
 * What a failed sync left behind is in the page cache and not on disk, and no later sync of the same file
 * brings it there. So the log is emptied when the file is opened: what a predecessor had written goes
 * into the file anew, and nothing that we acknowledge stands behind a gap.
 *
 * What reports finished work must find room on a full disk, too, or nothing would ever make room again. So there is a reserve, as
 * large as the log gets: spent when the log cannot be moved into the file otherwise, and then nothing
 * new is taken until there is a reserve again, or as much free inside the file.
 */
export class Transactor {
  readonly #db: Database;
  readonly #file: QueueFile;
  readonly #reads: QueueReads;
  readonly #begin: Statement<[]>;
  readonly #commit: Statement<[]>;
  readonly #rollback: Statement<[]>;
  readonly #checkpoint: Statement<[], { log: number; checkpointed: number }>;
  readonly #measure: Statement<[], { log: number; checkpointed: number }>;
  readonly #checkpoint_bytes: number;
  /** Written since the last checkpoint, about. */
  #written_bytes = 0;
  readonly #directory: string;
  readonly #reserve: Reserve;

  /** Throws SchemaError, or what SQLite throws. The file exists already. */
  constructor({ path, owner, pageCache_bytes, ...options }: OpenOptions) {
    this.#directory = dirname(path);
    // On a small file system the log has to leave room for mail.
    const checkpoint_bytes = Math.min(options.checkpoint_bytes, totalRoom(dirname(path)) / 32);
    const db = new Sqlite(path, { fileMustExist: true, timeout: busy_ms });
    try {
      // Before anything is written: a new file takes it, an old one keeps its own.
      db.pragma(`page_size = ${pageSize_bytes}`);
      const mode = db.pragma("journal_mode = WAL", { simple: true });
      if (mode !== "wal")
        throw new SchemaError("unsuited", `${path}: the file system does not support SQLite's WAL mode`);
      db.pragma("synchronous = FULL");
      db.pragma(`cache_size = -${Math.ceil(pageCache_bytes / 1024)}`);
      db.pragma(`wal_autocheckpoint = ${Math.ceil((8 * checkpoint_bytes) / pageSize_bytes)}`);
      // A log that has grown while a reader held it back is cut when it starts over.
      db.pragma(`journal_size_limit = ${4 * checkpoint_bytes}`);
      db.pragma("temp_store = MEMORY");
      db.pragma("trusted_schema = OFF");
      migrate(db);
      emptyLog(db, dirname(path));
      this.#file = new QueueFile(db, owner, (what) => this.#noteDamage(what));
      this.#reads = new QueueReads(db, this.#file.due);
    } catch (error) {
      db.close();
      throw error;
    }
    this.#db = db;
    this.#checkpoint_bytes = checkpoint_bytes;
    this.#reserve = new Reserve(dirname(path), mostLog * checkpoint_bytes + batchesBeyond_bytes);
    this.#begin = db.prepare<[]>("BEGIN IMMEDIATE");
    this.#commit = db.prepare<[]>("COMMIT");
    this.#rollback = db.prepare<[]>("ROLLBACK");
    this.#checkpoint = db.prepare<[], { log: number; checkpointed: number }>("PRAGMA wal_checkpoint(PASSIVE)");
    this.#measure = db.prepare<[], { log: number; checkpointed: number }>("PRAGMA wal_checkpoint(NOOP)");
  }

  largestId(): number {
    const sql =
      "SELECT max(ifnull((SELECT max(id) FROM message), 0), ifnull((SELECT max(id) FROM chunk), 0), ifnull((SELECT max(id) FROM trace), 0))";
    return this.#db.prepare<[], number>(sql).pluck().get() ?? 0;
  }

  /** How much has to be free for the reserve to be made; 0 where there is one. */
  lackingRoom_bytes(): number {
    return this.#reserve.whole ? 0 : this.#reserve.needed_bytes;
  }

  /** One result for each operation, or why there is none. */
  commit(batch: number, ops: readonly Op[], size_bytes: number): Result[] | Failure {
    const intake = ops.some(needsRoom);
    if (intake && !this.#mayGrow()) return { kind: "full", message: "the room that is left is kept", index: -1 };
    const result = this.#try(batch, ops, size_bytes);
    if (!("kind" in result) || result.kind !== "full") return result;
    const room = this.#makeRoom(!intake);
    if (typeof room !== "boolean") return room;
    return room ? this.#try(batch, ops, size_bytes) : result;
  }

  /** Whether the log, however large it gets, will find room in the file. */
  #mayGrow(): boolean {
    if (this.#reserve.whole) return true;
    return this.#reads.reusable_bytes() >= this.#reserve.size_bytes || this.#reserve.restore();
  }

  #try(batch: number, ops: readonly Op[], size_bytes: number): Result[] | Failure {
    let index = -1;
    try {
      this.#begin.run();
      const results: Result[] = new Array(ops.length);
      for (index = 0; index < ops.length; index++) results[index] = this.#file.apply(batch, ops[index] as Op);
      index = -1;
      this.#file.flushTally();
      this.#commit.run();
      this.#written_bytes += size_bytes + perBatch_bytes;
      return results;
    } catch (error) {
      return this.#undo(error, index, size_bytes);
    }
  }

  /** After a batch was answered: moves what the log has into the file, when there is enough of it. */
  tidy(): Failure | undefined {
    if (this.#written_bytes < this.#checkpoint_bytes && this.#log_bytes() < mostLog * this.#checkpoint_bytes)
      return undefined;
    // Where there is no room at all the log keeps it, and there is another time.
    this.#written_bytes = 0;
    const room = this.#makeRoom(true);
    return typeof room === "boolean" ? undefined : room;
  }

  /** What the log has that is not in the file yet. More than was written where changes are small and far apart: it has whole pages. */
  #log_bytes(): number {
    const now = this.#measure.get();
    return now === undefined ? 0 : (now.log - now.checkpointed) * pageSize_bytes;
  }

  read(read: ReadOf<ReadKind>): ReadResultOf[ReadKind] | ReadFailure {
    try {
      return this.#reads.read(read);
    } catch (error) {
      const damaged = isDamage(error);
      if (damaged) this.#noteDamage(String(error));
      return { failure: failureOf(error, -1), damaged };
    }
  }

  close(): void {
    this.#db.close();
  }

  #undo(error: unknown, index: number, size_bytes: number): Failure {
    const failure = this.#failureOf(error, index, size_bytes);
    if (isDamage(error)) this.#noteDamage(failure.message);
    try {
      if (this.#db.inTransaction) this.#rollback.run();
    } catch (second) {
      return { ...failureOf(second, -1), kind: "failed" };
    }
    this.#file.rolledBack();
    return failure;
  }

  /**
   * Moves what the log has into the file; then the log may start over. Where the file cannot grow, its free pages may have taken
   * it, or the reserve makes room. Whether all was moved.
   */
  #makeRoom(maySpend: boolean): boolean | Failure {
    try {
      const [now] = this.#checkpoint.all();
      return now !== undefined && now.log > 0 && now.checkpointed === now.log;
    } catch (error) {
      const failure = this.#failureOf(error, -1, perBatch_bytes);
      if (isDamage(error)) this.#noteDamage(failure.message);
      if (failure.kind === "failed") return failure;
      return failure.kind === "full" && maySpend && this.#reserve.spend() ? this.#makeRoom(false) : false;
    }
  }

  /** For the next start, which mends the file while nobody else has it open (../damage.ts). */
  #noteDamage(what: string): void {
    leaveNote(damageNote(this.#directory), what);
  }

  #failureOf(error: unknown, index: number, size_bytes: number): Failure {
    return withoutRoom(error, this.#directory, size_bytes) ?? failureOf(error, index);
  }
}

/** Why a read had no result, and whether that is so because the file is damaged. */
export interface ReadFailure {
  readonly failure: Failure;
  readonly damaged: boolean;
}

/** What brings new mail, as against what reports that some is done. */
const needsRoom = ({ kind }: Op): boolean => kind === "accept" || kind === "chunk";

/** SQLite knows ENOSPC alone: a quota that is used up, or an index of the log that cannot grow, it takes for a broken disk. */
function withoutRoom(error: unknown, directory: string, size_bytes: number): Failure | undefined {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  if (code !== "SQLITE_IOERR_WRITE" && code !== "SQLITE_IOERR_SHMSIZE") return undefined;
  if (!isFull(directory, 2 * size_bytes + perBatch_bytes)) return undefined;
  return { kind: "full", message: `no room for the queue (${code})`, index: -1 };
}

/** As far as others let us: a generation that is still at work writes on, and has seen no sync fail. */
function emptyLog(db: Database, directory: string): void {
  try {
    db.pragma("wal_checkpoint(TRUNCATE)");
  } catch (error) {
    const { kind } = withoutRoom(error, directory, perBatch_bytes) ?? failureOf(error, -1);
    if (kind !== "full") throw error;
  }
}

/** How long SQLite waits for another process that writes: the other generation of this relay, or an operator's command. */
const busy_ms = 5000;
/** How many times the size at which it is moved the log may have, at most. */
const mostLog = 2;
/** How far it goes beyond that: the batch that reached it. */
const batchesBeyond_bytes = 4 * 1024 * 1024;
/** What a batch writes beside its own bytes: the rest of pages that it touches. */
const perBatch_bytes = 4 * pageSize_bytes;

/**
 * What a batch's failure means. What is not certainly harmless is "failed".
 * An error that is no business of the disk's spoils only the operation at `index`.
 */
export function failureOf(error: unknown, index: number): Failure {
  const message = error instanceof Error ? error.message : String(error);
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  if (code === "SQLITE_FULL") return { kind: "full", message, index };
  if (code.startsWith("SQLITE_BUSY") || code.startsWith("SQLITE_LOCKED")) return { kind: "busy", message, index };
  const harmless = code.startsWith("SQLITE_CONSTRAINT") || code === "SQLITE_TOOBIG" || !code.startsWith("SQLITE_");
  if (harmless && index >= 0) return { kind: "refused", message, index };
  return { kind: "failed", message: code ? `${message} (${code})` : message, index };
}
