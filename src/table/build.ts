import { createHash } from "node:crypto";
import { pause } from "../runtime/clock.ts";
import { errorCode, type FileFacts, type Files, type OpenFile, openFlags } from "../runtime/files.ts";
import type { Listener } from "../runtime/net.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { errorText } from "./error-text.ts";

/**
 * Replaces a table's index as a whole: a new file beside it is written,
 * synced and renamed over it. A reader sees the old index or the new one; when building fails, the old one stays.
 *
 * Made by root, the index gets its source's owner. Node cannot become another
 * user for a moment, as Postfix does; so what the kernel would have refused
 * that user is refused here. What holds against the owner of a source who is hostile:
 *
 *  1. Source and index are reached through one open directory (by way of
 *     /proc/self/fd), so exchanging the directory for a link moves both or none.
 *  2. Nothing is created or replaced in a directory where the source's owner
 *     could not have done so: it must be writable for that user, or the
 *     index there already be theirs. In a sticky directory nobody else's file is replaced.
 *  3. The new file is made with a random name, O_EXCL and O_NOFOLLOW, mode
 *     0600; owner and permissions are set by descriptor, before the rename. No existing file is written to.
 *
 * What does not hold: who owns the directory can make the index whatever they
 * like, as before; and a source of root's in a directory of someone else's gives a root-owned index there, with Postfix's warning.
 *
 * Only one process at a time builds an index: it listens on an abstract socket
 * named after directory and file, which the kernel lets go of when it ends, however it ends.
 */
export class BuildError extends Error {}

export type BuildRuntime = Pick<Runtime, "files" | "processes" | "random" | "clock" | "net">;

export interface PlaceOptions {
  /** Give the index its source's owner, where we are root. Not with -o. */
  readonly asOwner: boolean;
  warn(text: string): void;
}

/** Whom a new index takes after. Without an owner it is ours, without permissions 0644. */
export interface Likeness {
  readonly owner: FileFacts | undefined;
  readonly permissions: FileFacts | undefined;
}

/** A directory, as source and index are reached in it. */
export class IndexPlace {
  readonly #runtime: BuildRuntime;
  readonly #options: PlaceOptions;
  readonly #directory: OpenFile;
  readonly #base: string;
  /** What paths begin with. */
  readonly #prefix: string;
  readonly #root: boolean;
  /** As the operator wrote it. */
  readonly #path: string;
  #lock: Listener | undefined;

  private constructor(runtime: BuildRuntime, options: PlaceOptions, path: string, directory: OpenFile, prefix: string) {
    this.#runtime = runtime;
    this.#options = options;
    this.#path = path;
    this.#directory = directory;
    this.#base = path.replace(/^.*\//s, "");
    this.#root = runtime.processes.uid() === 0;
    this.#prefix = prefix;
  }

  /** The place of the source at `path`. Close it afterwards. Throws BuildError "open PATH: reason". */
  static async open(runtime: BuildRuntime, path: string, options: PlaceOptions): Promise<IndexPlace> {
    const directoryPath = directoryOf(path);
    const directory = await orFail(`open ${path}`, () => runtime.files.open(directoryPath, openFlags.read));
    const anchored = `/proc/self/fd/${directory.fd}/`;
    const usable = runtime.processes.uid() === 0 && (await factsOf(runtime.files, anchored)) !== undefined;
    return new IndexPlace(runtime, options, path, directory, usable ? anchored : `${directoryPath}/`);
  }

  /** Opens the source for reading. Throws BuildError. */
  async source(): Promise<OpenFile> {
    const opening = `open ${this.#path}`;
    const file = await orFail(opening, () => this.#runtime.files.open(this.#at(""), openFlags.read));
    const { kind } = await file.facts();
    if (kind !== "directory") return file;
    await file.close();
    throw new BuildError(`${opening}: Is a directory`);
  }

  /** What is known of the source, or of the index with its suffix; undefined where there is none. */
  async facts(suffix = ""): Promise<FileFacts | undefined> {
    return factsOf(this.#runtime.files, this.#at(suffix));
  }

  /** Waits until no other process builds an index of this source. */
  async lock(): Promise<void> {
    const { dev, ino } = await this.#directory.facts();
    const id = createHash("sha256").update(`${dev}:${ino}:${this.#base}`).digest("hex").slice(0, 32);
    for (let waited_ms = 0; waited_ms < lockWait_ms; waited_ms += lockPause_ms) {
      try {
        this.#lock = await this.#runtime.net.listen({ path: `\0postern-index-${id}` }, (connection) =>
          connection.destroy(),
        );
        return;
      } catch (error) {
        if (errorCode(error) !== "EADDRINUSE") return;
      }
      await pause(this.#runtime.clock, lockPause_ms);
    }
    this.#options.warn(`${this.#path}: another process has been updating it for ${lockWait_ms / 1000}s; going on`);
  }

  /** Throws BuildError unless the index may be made with the source's (or old index's) owner. Says what is odd about it. */
  async check(suffix: string, owner: FileFacts): Promise<void> {
    if (!this.#root || !this.#options.asOwner) return;
    const directory = await this.#directory.facts();
    if (owner.uid === 0) {
      if (directory.uid !== 0) this.#options.warn(oddOwner(this.#path));
      return;
    }
    if (!this.#prefix.startsWith("/proc/"))
      throw new BuildError(`open database ${this.#path}${suffix}: /proc is needed`);
    const index = await linkFactsOf(this.#runtime.files, this.#at(suffix));
    if (index?.kind === "file" && index.uid === owner.uid) return;
    const sticky = (directory.mode & 0o1000) !== 0 && directory.uid !== owner.uid;
    if (mayWrite(directory, owner) && !(index && sticky)) return;
    throw new BuildError(`open database ${this.#path}${suffix}: Permission denied`);
  }

  /**
   * Puts `bytes` where the index is, with the owner and the permissions of `like`: of the source, or of the
   * index when that is changed. Throws BuildError; the old index is then as it was.
   */
  async write(suffix: string, bytes: Buffer, like: Likeness): Promise<void> {
    const { files, random } = this.#runtime;
    const shown = `${this.#path}${suffix}`;
    const temporary = `${this.#at(suffix)}.${random.bytes(6).toString("hex")}.tmp`;
    const flags = openFlags.write | openFlags.create | openFlags.exclusive | openFlags.noFollow;
    const file = await orFail(`open database ${shown}`, () => files.open(temporary, flags, 0o600));
    try {
      try {
        await this.#dress(file, like);
        await file.write(bytes);
        await file.sync();
      } finally {
        await file.close();
      }
      await files.rename(temporary, this.#at(suffix));
    } catch (error) {
      await files.remove(temporary).catch(() => {});
      throw new BuildError(`write ${shown}: ${errorText(error)}`);
    }
    await files.syncDirectory(this.#prefix).catch(() => {});
  }

  async close(): Promise<void> {
    await this.#lock?.close();
    await this.#directory.close();
  }

  /** Owner first: changing it may clear permission bits. */
  async #dress(file: OpenFile, { owner, permissions }: Likeness): Promise<void> {
    if (owner && this.#root) await file.chown(owner.uid, owner.gid);
    await file.chmod(permissions?.kind === "file" ? (permissions.mode & 0o666 & ~0o022) | 0o200 : 0o644);
  }

  #at(suffix: string): string {
    return `${this.#prefix}${this.#base}${suffix}`;
  }
}

/** How long to wait for another process, and how often to look. */
const lockWait_ms = 60_000;
const lockPause_ms = 50;

function directoryOf(path: string): string {
  const slash = path.lastIndexOf("/");
  return slash < 0 ? "." : path.slice(0, slash) || "/";
}

/** May the owner of a source create and replace files in this directory, by its permission bits? */
function mayWrite(directory: FileFacts, owner: FileFacts): boolean {
  if (directory.uid === owner.uid) return (directory.mode & 0o300) === 0o300;
  if (directory.gid === owner.gid) return (directory.mode & 0o030) === 0o030;
  return (directory.mode & 0o003) === 0o003;
}

const oddOwner = (path: string): string =>
  `Creating root-owned database file(s) ${path}.* in non-root-owned directory ${directoryOf(path)}. ` +
  `Files ${path}, ${path}.*, and directory ${directoryOf(path)} should have the same owner. ` +
  "Please fix ownership to avoid a privilege-escalation attack.";

async function factsOf(files: Files, path: string): Promise<FileFacts | undefined> {
  return files.facts(path).catch(() => undefined);
}

async function linkFactsOf(files: Files, path: string): Promise<FileFacts | undefined> {
  return files.linkFacts(path).catch(() => undefined);
}

async function orFail<T>(doing: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw new BuildError(`${doing}: ${errorText(error)}`);
  }
}
