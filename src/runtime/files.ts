import * as fs from "node:fs";
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
  read: fs.constants.O_RDONLY,
  write: fs.constants.O_WRONLY,
  readWrite: fs.constants.O_RDWR,
  create: fs.constants.O_CREAT,
  exclusive: fs.constants.O_EXCL,
  truncate: fs.constants.O_TRUNC,
  append: fs.constants.O_APPEND,
  noFollow: fs.constants.O_NOFOLLOW,
  nonBlocking: fs.constants.O_NONBLOCK,
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
  /** One more name of a file, on the same file system. */
  link(path: string, name: string): Promise<void>;
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

function factsOf(stats: fs.Stats): FileFacts {
  const kind = stats.isFile() ? "file" : stats.isDirectory() ? "directory" : stats.isSymbolicLink() ? "link" : "other";
  const { size, mode, uid, gid, nlink, mtimeMs, dev, ino } = stats;
  return { kind, size, mode, uid, gid, nlink, mtime_ms: mtimeMs, dev, ino };
}

type Done<Result> = (error: Error | null, result: Result) => void;

/** Of node:fs as it is: node:fs/promises takes a small command longer to load than all that it does with files. */
function promised<Result>(begin: (done: Done<Result>) => void): Promise<Result> {
  return new Promise((resolve, reject) => begin((error, result) => (error ? reject(error) : resolve(result))));
}

function finished(begin: (done: fs.NoParamCallback) => void): Promise<void> {
  return new Promise((resolve, reject) => begin((error) => (error ? reject(error) : resolve())));
}

function openFile(number: number): OpenFile {
  let isOpen = true;
  /** Never the number of a file that was closed: it may be another's by now. */
  const fd = (): number => {
    if (!isOpen) throw Object.assign(new Error("EBADF: the file is closed"), { code: "EBADF" });
    return number;
  };
  return {
    fd: number,
    read: (into, position) => promised((done) => fs.read(fd(), into, 0, into.length, position ?? null, done)),
    async write(bytes, position) {
      for (let begun = 0; begun < bytes.length; ) {
        const at = position === undefined ? null : position + begun;
        begun += await promised<number>((done) => fs.write(fd(), bytes, begun, bytes.length - begun, at, done));
      }
    },
    facts: async () => factsOf(await promised((done) => fs.fstat(fd(), done))),
    chmod: (mode) => finished((done) => fs.fchmod(fd(), mode, done)),
    chown: (uid, gid) => finished((done) => fs.fchown(fd(), uid, gid, done)),
    truncate: (size_bytes) => finished((done) => fs.ftruncate(fd(), size_bytes, done)),
    sync: () => finished((done) => fs.fsync(fd(), done)),
    async close() {
      if (!isOpen) return;
      isOpen = false;
      await finished((done) => fs.close(number, done));
    },
  };
}

async function open(path: string, flags: number, mode?: number): Promise<OpenFile> {
  return openFile(await promised((done) => fs.open(path, flags, mode, done)));
}

export const realFiles: Files = {
  open,
  facts: async (path) => factsOf(await promised((done) => fs.stat(path, done))),
  linkFacts: async (path) => factsOf(await promised((done) => fs.lstat(path, done))),
  list: (directory) => promised((done) => fs.readdir(directory, done)),
  makeDirectory: (path, mode) => finished((done) => fs.mkdir(path, mode, done)),
  rename: (from, to) => finished((done) => fs.rename(from, to, done)),
  link: (path, name) => finished((done) => fs.link(path, name, done)),
  remove: (path) => finished((done) => fs.unlink(path, done)),
  removeDirectory: (path) => finished((done) => fs.rmdir(path, done)),
  chmod: (path, mode) => finished((done) => fs.chmod(path, mode, done)),
  chown: (path, uid, gid) => finished((done) => fs.chown(path, uid, gid, done)),
  realPath: (path) => promised((done) => fs.realpath(path, done)),
  async syncDirectory(path) {
    const directory = await open(path, fs.constants.O_RDONLY | fs.constants.O_DIRECTORY);
    try {
      await directory.sync();
    } finally {
      await directory.close();
    }
  },
  async space(path) {
    const { bavail, bsize, ffree, type } = await promised<fs.StatsFs>((done) => fs.statfs(path, done));
    return { free_bytes: bavail * bsize, free_inodes: ffree, type };
  },
  watch(directory, changed) {
    const watcher = fs.watch(directory, { persistent: false }, (_event, name) => changed(name ?? undefined));
    watcher.on("error", () => changed(undefined));
    return { close: () => watcher.close() };
  },
};
