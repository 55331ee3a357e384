import { dirname } from "node:path";
import type { WatchedFile } from "../relay/protocol.ts";
import type { Clock, Timer } from "../runtime/clock.ts";
import { errorCode, type Files, type Watching } from "../runtime/files.ts";
import { readIndex } from "../table/read-index.ts";
import { TableError } from "../table/table.ts";

/**
 * Follows the files that tables are made from, and reports each change once the file has settled.
 *
 * The kernel's notices make it quick; a look every two seconds makes it sure, since
 * notices get lost (symbolic links swapped further up, network mounts, many changes at once).
 * What counts is device, inode, size and time of change: a rename over the old file
 * and a rewrite in place are seen alike.
 */

/** A file counts as settled when two looks this far apart agree. */
const settle_ms = 150;
const interval_ms = 2000;

export interface FileChange {
  readonly file: WatchedFile;
  /** Milliseconds since the epoch; 0 where it is gone. */
  readonly mtime_ms: number;
  /** Of an index: its bytes, unless it could not be read. */
  readonly bytes: Buffer | undefined;
  readonly problem: string | undefined;
}

interface Followed {
  readonly file: WatchedFile;
  /** What was last reported. */
  known: string;
  /** What the last look saw, when that was not yet reported. */
  seen: string | undefined;
}

export class FileWatch {
  readonly #files: Files;
  readonly #clock: Clock;
  readonly #changed: (change: FileChange) => void;
  readonly #followed: Map<string, Followed> = new Map();
  #watching: Watching[] = [];
  #timer: Timer | undefined;
  #due_ms = 0;
  #looking = false;
  #closed = false;

  constructor(files: Files, clock: Clock, changed: (change: FileChange) => void) {
    this.#files = files;
    this.#clock = clock;
    this.#changed = changed;
  }

  /** Follows these files from now on, and no others. What they are now counts as known, unless it was read before it came to be so. */
  async follow(files: readonly WatchedFile[]): Promise<void> {
    for (const watching of this.#watching) watching.close();
    this.#watching = [];
    this.#followed.clear();
    for (const file of files) {
      this.#followed.set(file.path, { file, known: await this.#known(file), seen: undefined });
    }
    for (const directory of new Set(await this.#directories(files))) {
      try {
        this.#watching.push(this.#files.watch(directory, () => this.#look(settle_ms)));
      } catch {
        // The look every two seconds has to do.
      }
    }
    this.#look(interval_ms);
  }

  /** The bytes of this file were no good: report it again, changed or not, after a moment. */
  again(path: string): void {
    const followed = this.#followed.get(path);
    if (followed) followed.known = "again";
    this.#look(settle_ms);
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
    for (const watching of this.#watching) watching.close();
  }

  /** Where a file is, and where it really is. */
  async #directories(files: readonly WatchedFile[]): Promise<string[]> {
    const found: string[] = [];
    for (const { path } of files) {
      found.push(dirname(path));
      try {
        found.push(dirname(await this.#files.realPath(path)));
      } catch {
        // Missing: its directory tells when it comes.
      }
    }
    return found;
  }

  /** A look that is due sooner stays: in a busy directory (the mail log beside the tables) notices come all the time. */
  #look(delay_ms: number): void {
    if (this.#closed || this.#looking || this.#followed.size === 0) return;
    const due_ms = this.#clock.monotonic() + delay_ms;
    if (this.#timer && this.#due_ms <= due_ms) return;
    this.#timer?.cancel();
    this.#due_ms = due_ms;
    this.#timer = this.#clock.after(delay_ms, () => void this.#lookNow(), { idle: true });
  }

  async #lookNow(): Promise<void> {
    this.#timer = undefined;
    this.#looking = true;
    let unsettled = false;
    for (const followed of this.#followed.values()) {
      if (this.#closed) break;
      if (await this.#lookAt(followed)) unsettled = true;
    }
    this.#looking = false;
    this.#look(unsettled ? settle_ms : interval_ms);
  }

  /** True when it has changed but not settled. */
  async #lookAt(followed: Followed): Promise<boolean> {
    const mark = await this.#mark(followed.file.path);
    if (mark === followed.known) {
      followed.seen = undefined;
      return false;
    }
    if (mark !== followed.seen) {
      followed.seen = mark;
      return true;
    }
    const change = await this.#read(followed.file);
    if (!change) return true;
    followed.known = mark;
    followed.seen = undefined;
    this.#changed(change);
    return false;
  }

  /** Undefined: somebody is writing it, and it is looked at again. */
  async #read(file: WatchedFile): Promise<FileChange | undefined> {
    try {
      if (file.role === "source") {
        const { mtime_ms } = await this.#files.facts(file.path);
        return { file, mtime_ms, bytes: undefined, problem: undefined };
      }
      return { file, ...(await readIndex(this.#files, file.path, file.limit_bytes)), problem: undefined };
    } catch (error) {
      if (error instanceof TableError && error.kind === "retry") return undefined;
      const problem = error instanceof TableError ? error.message : errorCode(error) || String(error);
      return { file, mtime_ms: 0, bytes: undefined, problem };
    }
  }

  /** What the relay has read: the file as it is, or an earlier one, which nothing that is seen from now on equals. */
  async #known({ path, read_ms }: WatchedFile): Promise<string> {
    const mark = await this.#mark(path);
    return read_ms === undefined || mark.endsWith(`:${read_ms}`) ? mark : "changed since it was read";
  }

  async #mark(path: string): Promise<string> {
    try {
      const { dev, ino, size, mtime_ms } = await this.#files.facts(path);
      return `${dev}:${ino}:${size}:${mtime_ms}`;
    } catch (error) {
      return errorCode(error) || "unreadable";
    }
  }
}
