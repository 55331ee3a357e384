import { type FileFacts, type Files, type OpenFile, openFlags } from "../../../src/runtime/files.ts";
import type { World } from "../world.ts";
import { never, type SimulatedProcess } from "./process.ts";

interface Change {
  readonly path: string;
  /** What stood there before. */
  readonly before: Entry | undefined;
}

interface Entry {
  bytes: Buffer;
  mode: number;
  readonly ino: number;
  mtime_ms: number;
  links: number;
}

/** The files beside the queue's own: configuration, owners' notes, the maildrop. One disk, seen by every process. Creating and syncing may fail. */
export class SimulatedFiles {
  readonly #world: World;
  readonly #entries = new Map<string, Entry>();
  readonly #watchers = new Map<string, Set<() => void>>();
  /** Creations and removals whose directory has not been synced since, oldest first. */
  #unsynced: Change[] = [];
  #ino = 100;

  constructor(world: World) {
    this.#world = world;
  }

  /** As somebody else has made it, and synced. */
  put(path: string, bytes: Buffer, mode = 0o644): Entry {
    const entry = { bytes, mode, ino: this.#ino++, mtime_ms: this.#world.clock.now(), links: 1 };
    this.#entries.set(path, entry);
    this.#changed(path);
    return entry;
  }

  /** What was not synced may be undone: the last of it, or all. */
  losePower(): void {
    for (const { path, before } of this.#unsynced.reverse().slice(0, this.#world.below(this.#unsynced.length + 1))) {
      if (before) this.#entries.set(path, Object.assign(before, { links: 1 }));
      else this.#entries.delete(path);
    }
    this.#unsynced = [];
    this.#watchers.clear();
  }

  /** The names of those whose owner may execute them. */
  executables(directory: string): string[] {
    return this.#list(directory).filter(
      (name) => ((this.#entries.get(`${directory}/${name}`)?.mode ?? 0) & 0o100) !== 0,
    );
  }

  /** A file that is synced is found under its name, too. */
  #syncFile(path: string): void {
    this.#unsynced = this.#unsynced.filter((change) => change.path !== path);
  }

  #sync(directory: string): void {
    this.#unsynced = this.#unsynced.filter(({ path }) => directoryOf(path) !== directory);
  }

  has(path: string): boolean {
    return this.#entries.has(path);
  }

  #get(path: string): Entry {
    const entry = this.#entries.get(path);
    if (!entry) throw failure("ENOENT", path);
    return entry;
  }

  #remove(path: string): void {
    this.#unsynced.push({ path, before: this.#entries.get(path) });
    this.#get(path).links = 0;
    this.#entries.delete(path);
    this.#changed(path);
  }

  #changed(path: string): void {
    for (const changed of this.#watchers.get(directoryOf(path)) ?? []) this.#world.clock.after(1, changed);
  }

  /** Files as one process has them: each call takes its time, and none outlives the process. */
  of(process: SimulatedProcess): Files {
    const act = async <T>(what: () => T): Promise<T> => {
      await process.pause(this.#world.below(2));
      return process.alive ? what() : never();
    };
    const change = async <T>(path: string, what: () => T): Promise<T> => {
      await process.pause(this.#world.below(2));
      if (!process.effect()) return never();
      const { faulty } = this.#world;
      if (faulty && this.#world.chance(0.02)) throw failure(this.#world.chance(0.5) ? "EIO" : "ENOSPC", path);
      return what();
    };
    const look = (path: string) => act(() => facts(this.#get(path)));
    return {
      open: (path, flags, mode) => {
        const open = (): OpenFile => this.#open(path, flags, mode, act, change);
        return flags & openFlags.create ? change(path, open) : act(open);
      },
      facts: look,
      linkFacts: look,
      list: (directory) => act(() => this.#list(directory)),
      makeDirectory: async () => {},
      removeDirectory: async () => {},
      rename: (from, to) =>
        change(to, () => {
          const entry = this.#get(from);
          this.#entries.delete(from);
          this.#entries.set(to, entry);
        }),
      link: (path, name) => change(name, () => void this.#entries.set(name, this.#get(path))),
      remove: (path) => change(path, () => this.#remove(path)),
      chmod: async () => {},
      chown: async () => {},
      realPath: async (path) => path,
      syncDirectory: (path) => change(path, () => this.#sync(path)),
      space: () => act(() => this.#space()),
      watch: (directory, changed) => {
        const told = (): void => {
          if (process.alive) changed(undefined);
        };
        const watchers = this.#watchers.get(directory) ?? new Set();
        this.#watchers.set(directory, watchers.add(told));
        return { close: () => void watchers.delete(told) };
      },
    };
  }

  #list(directory: string): string[] {
    return [...this.#entries.keys()]
      .filter((path) => directoryOf(path) === directory)
      .map((path) => path.slice(directory.length + 1));
  }

  #space() {
    const full = this.#world.faulty && this.#world.chance(0.05);
    return { free_bytes: full ? 1_000_000 : 10 ** 11, free_inodes: 10 ** 6, type: 0xef53 };
  }

  #open(
    path: string,
    flags: number,
    mode: number | undefined,
    act: <T>(what: () => T) => Promise<T>,
    change: <T>(path: string, what: () => T) => Promise<T>,
  ): OpenFile {
    const known = this.#entries.get(path);
    if (known && flags & openFlags.create && flags & openFlags.exclusive) throw failure("EEXIST", path);
    if (!known && flags & openFlags.create) this.#unsynced.push({ path, before: undefined });
    const entry = known ?? (flags & openFlags.create ? this.put(path, Buffer.alloc(0), mode) : this.#get(path));
    let at = 0;
    return {
      fd: entry.ino,
      read: (into, position) =>
        act(() => {
          const from = position ?? at;
          const part = entry.bytes.subarray(from, from + into.length);
          into.set(part);
          if (position === undefined) at += part.length;
          return part.length;
        }),
      write: (bytes) =>
        change(path, () => {
          entry.bytes = Buffer.concat([entry.bytes, bytes]);
        }),
      facts: () => act(() => facts(entry)),
      chmod: (to) =>
        change(path, () => {
          entry.mode = to;
          this.#changed(path);
        }),
      chown: async () => {},
      truncate: async () => {},
      sync: () => change(path, () => this.#syncFile(path)),
      close: async () => {},
    };
  }
}

function facts({ bytes, mode, mtime_ms, ino, links }: Entry): FileFacts {
  return { kind: "file", size: bytes.length, mode, uid: 1000, gid: 1000, nlink: links, mtime_ms, dev: 1, ino };
}

const directoryOf = (path: string): string => path.slice(0, path.lastIndexOf("/"));

function failure(code: string, path: string): Error {
  return Object.assign(new Error(`${code}: ${path}`), { code });
}
