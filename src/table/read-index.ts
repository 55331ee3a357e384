import { type FileFacts, type Files, openFlags, readOpenFile, readWhole } from "../runtime/files.ts";
import { errorText } from "./error-text.ts";
import { type FileSnapshot, TableError } from "./table.ts";

/**
 * Reads a table's file whole, and makes sure that nobody was writing it.
 *
 * Debian's postmap empties an index, writes the pages of an empty table, and
 * only at its end what was put into it: for seconds the file is sound, and holds
 * nothing. But it keeps an exclusive flock(2) on the file meanwhile, which shows in /proc/locks.
 *
 * Throws TableError: "retry" while it is being written, "config" where it cannot be read.
 */
export async function readIndex(files: Files, path: string, limit_bytes: number): Promise<FileSnapshot> {
  const file = await files.open(path, openFlags.read).catch((error: unknown) => unreadable(path, error));
  try {
    if (await isLocked(files, await file.facts())) throw beingWritten(path);
    const { bytes, facts } = await readOpenFile(file, path, limit_bytes).catch((error: unknown) =>
      unreadable(path, error),
    );
    const after = await file.facts();
    const changed = after.mtime_ms !== facts.mtime_ms || after.size !== bytes.length;
    if (changed || (await isLocked(files, after))) throw beingWritten(path);
    return { bytes, mtime_ms: facts.mtime_ms };
  } finally {
    await file.close();
  }
}

function unreadable(path: string, error: unknown): never {
  throw new TableError("config", `open database ${path}: ${errorText(error)}`);
}

const beingWritten = (path: string): TableError =>
  new TableError("retry", `open database ${path}: it is being written`);

const locksLimit_bytes = 16 * 1024 * 1024;

async function isLocked(files: Files, facts: FileFacts): Promise<boolean> {
  const locks = await readWhole(files, "/proc/locks", locksLimit_bytes).catch(() => undefined);
  return locks !== undefined && writeLocked(locks.bytes.toString("latin1"), facts);
}

/**
 * Does /proc/locks (proc(5)) show an exclusive lock, flock(2) or fcntl(2), on this file? Lines are
 * `1: FLOCK ADVISORY WRITE 708 08:01:2097 0 EOF`, with the device in hexadecimal. A device with
 * major number 0 (btrfs, overlay) may go by another number in stat(2): then the inode alone decides.
 */
export function writeLocked(locks: string, { dev, ino }: Pick<FileFacts, "dev" | "ino">): boolean {
  const major = Math.floor(dev / 256) & 0xfff;
  const minor = (dev & 0xff) | (Math.floor(dev / 4096) & 0xfff00);
  for (const [, lockMajor = "", lockMinor = "", inode] of locks.matchAll(
    /^\d+: (?:FLOCK|POSIX|OFDLCK) +\S+ +WRITE +-?\d+ ([\da-f]+):([\da-f]+):(\d+) /gm,
  )) {
    if (Number(inode) !== ino) continue;
    const [first, second] = [Number.parseInt(lockMajor, 16), Number.parseInt(lockMinor, 16)];
    if (first === 0 || major === 0 || (first === major && second === minor)) return true;
  }
  return false;
}
