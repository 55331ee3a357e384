import type { Log } from "../log/log.ts";
import type { Clock, Timer } from "../runtime/clock.ts";
import { errorCode, type FileFacts, type Files, type OpenFile, openFlags, type Watching } from "../runtime/files.ts";
import {
  headLimit_bytes,
  parseHead,
  parseTail,
  SubmissionError,
  type SubmissionHead,
  SubmissionSeal,
  tailLimit_bytes,
} from "./submission-file.ts";

/**
 * Takes what sendmail dropped into the maildrop directory.
 *
 * A file is ready when its owner-execute bit is set. It is opened without
 * following links and is judged by its descriptor alone: a regular file with
 * one link, whose owner is the submitting user. It is removed only after the
 * queue has it for good, and the queue knows it by name and inode, so that a file
 * which could not be removed is not queued twice.
 *
 * Fails with: nothing. What cannot be taken now stays and is tried again; what
 * can never be taken is reported once and left for a person to look at.
 */

/** Files are also looked for this often, in case the kernel's notice was missed. */
const scanInterval_ms = 60_000;

/** After a notice, how long to wait for more of them. */
const settle_ms = 2;

/** After a failure that may pass (queue full, table away), how long to wait. */
const retry_ms = 10_000;

/** A file that was never finished is removed after this time: its sendmail has reported failure, or died. */
const abandoned_ms = 24 * 3600 * 1000;

/** Files taken at the same time: one sync of the queue serves them all, and a large one does not hold up the others. */
const atOnce = 10;

const readSize_bytes = 64 * 1024;

export interface Submission {
  readonly head: SubmissionHead;
  readonly uid: number;
  /** Names this file for good: a second acceptance of the same one does nothing. */
  readonly source: string;
  readonly arrival_ms: number;
}

/** A message on its way in. Rejections are values; only the environment throws. */
export interface SubmissionIntake {
  /** Bytes of the message as they stand in the file. */
  data(bytes: Buffer): void | Promise<void>;
  finish(): Promise<SubmissionResult>;
  abandon(): void;
}

/** taken: durable, or refused for good with a notification to its sender. retry: leave the file. */
export type SubmissionResult = { readonly kind: "taken" } | { readonly kind: "retry"; readonly reason: string };

export interface PickupPorts {
  begin(submission: Submission): SubmissionIntake;
  /** May this user submit mail? */
  authorized(uid: number): boolean | Promise<boolean>;
}

export class Pickup {
  readonly #directory: string;
  readonly #files: Files;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #ports: PickupPorts;
  readonly #limit: number;
  readonly #reported = new Set<string>();
  /** Files that were taken and could not be removed, by name: the source that each was taken as. */
  readonly #taken = new Map<string, string>();
  /** Files that are tried again, by name: why, as it was last said. */
  readonly #delayed = new Map<string, string>();
  /** Where the next scan goes on in a directory that is too full for one. */
  #from = 0;
  #watching: Watching | undefined;
  #timer: Timer | undefined;
  #scan: Promise<void> | undefined;
  #again = false;
  #closed = false;

  constructor(options: {
    readonly directory: string;
    readonly files: Files;
    readonly clock: Clock;
    readonly log: Log;
    readonly ports: PickupPorts;
    readonly scanLimit: number;
  }) {
    this.#directory = options.directory;
    this.#files = options.files;
    this.#clock = options.clock;
    this.#log = options.log;
    this.#ports = options.ports;
    this.#limit = options.scanLimit;
  }

  start(): void {
    try {
      this.#watching = this.#files.watch(this.#directory, () => this.#soon(settle_ms));
    } catch (error) {
      this.#log.warning(`cannot watch ${this.#directory}: ${String(error)}; looking every ${scanInterval_ms / 1000} s`);
    }
    this.#soon(0);
  }

  /** Resolves when the file in hand is done; no further one is begun. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#watching?.close();
    this.#timer?.cancel();
    await this.#scan;
  }

  #soon(delay_ms: number): void {
    if (this.#closed) return;
    if (this.#scan) {
      this.#again = true;
      return;
    }
    this.#timer?.cancel();
    this.#timer = this.#clock.after(delay_ms, () => this.#run());
  }

  #run(): void {
    this.#again = false;
    this.#scan = this.#scanOnce()
      .catch((error: unknown) => {
        this.#log.warning(`cannot read ${this.#directory}: ${String(error)}`);
        return scanInterval_ms;
      })
      .then((wait_ms) => {
        this.#scan = undefined;
        this.#soon(this.#again ? settle_ms : wait_ms);
      });
  }

  /** One look at every file; the time until the next. */
  async #scanOnce(): Promise<number> {
    const names = await this.#files.list(this.#directory);
    let wait_ms = scanInterval_ms;
    const queue = names.slice(this.#from, this.#from + this.#limit).values();
    const worker = async (): Promise<void> => {
      for (const name of queue) {
        if (this.#closed) return;
        const outcome = await this.#file(`${this.#directory}/${name}`, name);
        if (outcome === "retry") wait_ms = retry_ms;
      }
    };
    await Promise.all(Array.from({ length: atOnce }, worker));
    // The rest at once; then the same files come again, and most of them have gone.
    this.#from += this.#limit;
    if (this.#from < names.length) this.#again = true;
    else this.#from = 0;
    this.#forgetGone(names);
    return wait_ms;
  }

  #forgetGone(names: readonly string[]): void {
    if (this.#reported.size + this.#taken.size + this.#delayed.size === 0) return;
    const there = new Set(names);
    for (const name of this.#reported) if (!there.has(name)) this.#reported.delete(name);
    for (const name of this.#taken.keys()) if (!there.has(name)) this.#taken.delete(name);
    for (const name of this.#delayed.keys()) if (!there.has(name)) this.#delayed.delete(name);
  }

  async #file(path: string, name: string): Promise<"done" | "retry"> {
    let file: OpenFile;
    try {
      file = await this.#files.open(path, openFlags.read | openFlags.noFollow | openFlags.nonBlocking);
    } catch (error) {
      if (errorCode(error) !== "ENOENT") this.#report(name, `cannot be opened: ${errorCode(error)}`);
      return "done";
    }
    try {
      return await this.#opened(file, path, name);
    } catch (error) {
      if (error instanceof SubmissionError) {
        this.#report(name, error.message);
        return "done";
      }
      // Whatever is wrong with this one, the others must not wait for it.
      return this.#later(name, errorCode(error) || String(error));
    } finally {
      await file.close().catch(() => {});
    }
  }

  async #opened(file: OpenFile, path: string, name: string): Promise<"done" | "retry"> {
    const facts = await file.facts();
    if (facts.kind !== "file") throw new SubmissionError("is not a regular file");
    if (facts.nlink !== 1) {
      if (facts.nlink === 0) return "done";
      throw new SubmissionError(`has ${facts.nlink} links`);
    }
    if ((facts.mode & 0o100) === 0) return this.#unfinished(facts, path, name);
    if (!(await this.#ports.authorized(facts.uid))) {
      throw new SubmissionError(`is of user ${facts.uid}, who is not in authorized_submit_users`);
    }
    const source = `maildrop:${name}:${facts.ino}:${facts.mtime_ms}`;
    if (this.#taken.get(name) !== source) {
      const result = await this.#take(file, facts, source);
      if (result.kind === "retry") return this.#later(name, result.reason);
      this.#taken.set(name, source);
    }
    await this.#remove(path, name);
    return "done";
  }

  #later(name: string, reason: string): "retry" {
    // Said once: where a disk is full, thousands of files may wait for hours.
    if (this.#delayed.get(name) !== reason)
      this.#log.warning(`maildrop/${name}: ${reason}; it stays and is tried again`);
    this.#delayed.set(name, reason);
    return "retry";
  }

  /** Another relay of ours may have been first: during a reload, two look into the directory. */
  async #remove(path: string, name: string): Promise<void> {
    try {
      await this.#files.remove(path);
    } catch (error) {
      if (errorCode(error) !== "ENOENT") {
        this.#report(name, `was taken, and cannot be removed (${errorCode(error)})`);
        return;
      }
    }
    this.#taken.delete(name);
  }

  async #unfinished(facts: FileFacts, path: string, name: string): Promise<"done"> {
    if (this.#clock.now() - facts.mtime_ms > abandoned_ms) {
      this.#log.warning(`removing maildrop/${name} of user ${facts.uid}: it was never finished`);
      await this.#remove(path, name);
    }
    return "done";
  }

  async #take(file: OpenFile, facts: FileFacts, source: string): Promise<SubmissionResult> {
    const tail = await readTail(file, facts.size);
    const { head, end } = await readHead(file, facts.size);
    const messageEnd = facts.size - tail.length;
    if (messageEnd - end !== tail.size) throw new SubmissionError("is not as long as its last line says");
    const intake = this.#ports.begin({ head, uid: facts.uid, source, arrival_ms: this.#clock.now() });
    const seal = new SubmissionSeal();
    try {
      for (let at = end; at < messageEnd; ) {
        const chunk = Buffer.allocUnsafe(Math.min(readSize_bytes, messageEnd - at));
        const count = await file.read(chunk, at);
        if (count === 0) throw new SubmissionError("became shorter while it was read");
        const bytes = chunk.subarray(0, count);
        seal.add(bytes);
        await intake.data(bytes);
        at += count;
      }
      if (!seal.matches(tail.size, tail.crc)) throw new SubmissionError("does not match its checksum");
    } catch (error) {
      intake.abandon();
      throw error;
    }
    return await intake.finish();
  }

  #report(name: string, problem: string): void {
    if (this.#reported.has(name)) return;
    this.#reported.add(name);
    this.#log.warning(`maildrop/${name} ${problem}: left where it is`);
  }
}

async function readTail(file: OpenFile, size: number): Promise<{ length: number; size: number; crc: number }> {
  const last = Buffer.alloc(Math.min(tailLimit_bytes, size));
  const count = await file.read(last, size - last.length);
  return parseTail(last.subarray(0, count));
}

async function readHead(file: OpenFile, size: number): Promise<{ head: SubmissionHead; end: number }> {
  const pieces: Buffer[] = [];
  for (let at = 0; at < Math.min(size, headLimit_bytes); ) {
    const piece = Buffer.allocUnsafe(readSize_bytes);
    const count = await file.read(piece, at);
    const read = piece.subarray(0, count);
    pieces.push(read);
    at += count;
    if (count === 0 || read.includes(10)) break;
  }
  return parseHead(Buffer.concat(pieces));
}
