import Sqlite, { type Database } from "better-sqlite3";

/**
 * A lock that dies with its process: the kernel lets go of it, however the
 * process ends. Never a process id, never an age. The lock is SQLite's
 * exclusive lock on an empty file of its own (fcntl(2) record locks), held for as long as
 * a transaction that writes nothing is open. Other parts of a process that holds one must not
 * open the file: closing it would let go of the lock.
 *
 * Each relay holds `lock/OWNER.lock` in the queue's directory; the master holds
 * one for itself, so that a second start is refused. Local file systems only.
 */
export interface Lock {
  release(): void;
}

/**
 * Loads what tryLock() needs. SQLite's native part is read from disk at its first use, and after a
 * drop of privileges that may be out of reach.
 */
export function preloadLocks(): void {
  new Sqlite(":memory:").close();
}

/** Locks that are held: the driver closes a file that nobody refers to any more, and the lock would go with it. */
const held = new Set<Database>();

/** The lock, held until release() even when nobody keeps what this returns; or undefined when another holds it (in this process, too). Makes the file. Throws where it cannot be made or opened. */
export function tryLock(path: string): Lock | undefined {
  const db = new Sqlite(path, { timeout: 0 });
  try {
    db.pragma("journal_mode = MEMORY");
    db.exec("BEGIN EXCLUSIVE");
  } catch (error) {
    db.close();
    if (isBusy(error)) return undefined;
    throw error;
  }
  held.add(db);
  return { release: () => release(db) };
}

/** Whether nobody holds the lock: its process has ended, or there never was one. */
export function isGone(path: string): boolean {
  const lock = tryLock(path);
  lock?.release();
  return lock !== undefined;
}

function release(db: Database): void {
  held.delete(db);
  if (!db.open) return;
  db.exec("ROLLBACK");
  db.close();
}

function isBusy(error: unknown): boolean {
  return error instanceof Error && "code" in error && String(error.code).startsWith("SQLITE_BUSY");
}
