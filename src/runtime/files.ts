import { constants, type FSWatcher, watch } from "node:fs";
import * as fs from "node:fs/promises";
import { constants as errnos } from "node:os";

/** What is known of a file without reading it. Times in milliseconds since the epoch, with a fraction. */
export interface FileFacts {
  readonly kind: "file" | "directory" | "link" | "other";
  readonly size: number;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly nlink: number;
  readonly mtime_ms: number;
  readonly dev: number;
  readonly ino: number;
}

export interface OpenFile {
  readonly fd: number;
  /** Reads at `position` (or on from the last read); the number of bytes read, 0 at the end. */
  read(into: Uint8Array, position?: number): Promise<number>;
  /** Writes everything, at `position` (or on from the last write). */
  write(bytes: Uint8Array, position?: number): Promise<void>;
  facts(): Promise<FileFacts>;
  chmod(mode: number): Promise<void>;
  chown(uid: number, gid: number): Promise<void>;
  truncate(size_bytes: number): Promise<void>;
  /** Resolves when contents and metadata are on disk. */
  sync(): Promise<void>;
  close(): Promise<void>;
}

/** Flags for `open`, combined with `|`. */
export const openFlags = {
  read: constants.O_RDONLY,
  write: constants.O_WRONLY,
  readWrite: constants.O_RDWR,
  create: constants.O_CREAT,
  exclusive: constants.O_EXCL,
  truncate: constants.O_TRUNC,
  append: constants.O_APPEND,
  noFollow: constants.O_NOFOLLOW,
  nonBlocking: constants.O_NONBLOCK,
} as const;

export interface FileSystemFacts {
  readonly free_bytes: number;
  readonly free_inodes: number;
  /** The kernel's magic number of the file system's type (statfs(2) f_type). */
  readonly type: number;
}

export interface Watching {
  close(): void;
}

/** The disk. Errors are Node's: an Error with `code` such as "ENOENT" or "ENOSPC". */
export interface Files {
  open(path: string, flags: number, mode?: number): Promise<OpenFile>;
  facts(path: string): Promise<FileFacts>;
  /** The same of a link itself. */
  linkFacts(path: string): Promise<FileFacts>;
  list(directory: string): Promise<string[]>;
  makeDirectory(path: string, mode?: number): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  remove(path: string): Promise<void>;
  /** An empty one. */
  removeDirectory(path: string): Promise<void>;
  chmod(path: string, mode: number): Promise<void>;
  chown(path: string, uid: number, gid: number): Promise<void>;
  realPath(path: string): Promise<string>;
  /** Makes renames, creations and removals in a directory durable. */
  syncDirectory(path: string): Promise<void>;
  space(path: string): Promise<FileSystemFacts>;
  /** Calls `changed` with the name of what changed in a directory, as often as the kernel says so. */
  watch(directory: string, changed: (name: string | undefined) => void): Watching;
}

/** The whole of a file, refused with EFBIG when larger than `limit_bytes`. A FIFO in its place does not hold us up. */
export async function readWhole(
  files: Files,
  path: string,
  limit_bytes: number,
): Promise<{ bytes: Buffer; facts: FileFacts }> {
  const file = await files.open(path, openFlags.read | openFlags.nonBlocking);
  try {
    return await readOpenFile(file, path, limit_bytes);
  } finally {
    await file.close();
  }
}

/** The rest of an open file, with its facts. The file may grow or shrink meanwhile: what is there is read, up to the limit. */
export async function readOpenFile(
  file: OpenFile,
  path: string,
  limit_bytes: number,
): Promise<{ bytes: Buffer; facts: FileFacts }> {
  const facts = await file.facts();
  const tooLarge = () => Object.assign(new Error(`${path} is larger than ${limit_bytes} bytes`), { code: "EFBIG" });
  if (facts.kind === "directory") throw Object.assign(new Error(`${path} is a directory`), { code: "EISDIR" });
  if (facts.size > limit_bytes) throw tooLarge();
  const chunks: Buffer[] = [];
  let total = 0;
  for (;;) {
    const chunk = Buffer.allocUnsafe(Math.max(facts.size - total, 4096));
    const count = await file.read(chunk);
    if (count === 0) break;
    total += count;
    if (total > limit_bytes) throw tooLarge();
    chunks.push(count === chunk.length ? chunk : chunk.subarray(0, count));
  }
  return { bytes: chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks, total), facts };
}

/** Node's error code ("ENOENT", …), or "" where there is none. Those that libuv has no name for ("EDQUOT") have their own, too. */
export function errorCode(error: unknown): string {
  const code = error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";
  if (!/^UNKNOWN$|^Unknown system error/.test(code)) return code;
  const { errno: number } = error as NodeJS.ErrnoException;
  return Object.entries(errnos.errno).find(([, errno]) => errno === -(number ?? 0))?.[0] ?? code;
}

function factsOf(stats: Awaited<ReturnType<typeof fs.lstat>>): FileFacts {
  const kind = stats.isFile() ? "file" : stats.isDirectory() ? "directory" : stats.isSymbolicLink() ? "link" : "other";
  const { size, mode, uid, gid, nlink, mtimeMs, dev, ino } = stats;
  const numbers = { size, mode, uid, gid, nlink, mtime_ms: mtimeMs, dev, ino };
  return { kind, ...(numbers as Record<keyof typeof numbers, number>) };
}

function openFile(handle: fs.FileHandle): OpenFile {
  return {
    fd: handle.fd,
    read: async (into, position) => (await handle.read(into, 0, into.length, position ?? null)).bytesRead,
    async write(bytes, position) {
      for (let done = 0; done < bytes.length; ) {
        const at = position === undefined ? null : position + done;
        done += (await handle.write(bytes, done, bytes.length - done, at)).bytesWritten;
      }
    },
    facts: async () => factsOf(await handle.stat()),
    chmod: (mode) => handle.chmod(mode),
    chown: (uid, gid) => handle.chown(uid, gid),
    truncate: (size_bytes) => handle.truncate(size_bytes),
    sync: () => handle.sync(),
    close: () => handle.close(),
  };
}

export const realFiles: Files = {
  open: async (path, flags, mode) => openFile(await fs.open(path, flags, mode)),
  facts: async (path) => factsOf(await fs.stat(path)),
  linkFacts: async (path) => factsOf(await fs.lstat(path)),
  list: (directory) => fs.readdir(directory),
  makeDirectory: (path, mode) => fs.mkdir(path, mode),
  rename: (from, to) => fs.rename(from, to),
  remove: (path) => fs.unlink(path),
  removeDirectory: (path) => fs.rmdir(path),
  chmod: (path, mode) => fs.chmod(path, mode),
  chown: (path, uid, gid) => fs.chown(path, uid, gid),
  realPath: (path) => fs.realpath(path),
  async syncDirectory(path) {
    const handle = await fs.open(path, constants.O_RDONLY | constants.O_DIRECTORY);
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  },
  async space(path) {
    const { bavail, bsize, ffree, type } = await fs.statfs(path);
    return { free_bytes: bavail * bsize, free_inodes: ffree, type };
  },
  watch(directory, changed) {
    const watcher: FSWatcher = watch(directory, { persistent: false }, (_event, name) => changed(name ?? undefined));
    watcher.on("error", () => changed(undefined));
    return { close: () => watcher.close() };
  },
};
