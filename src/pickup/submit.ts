import { errorCode, type Files, type OpenFile, openFlags } from "../runtime/files.ts";
import type { Processes } from "../runtime/processes.ts";
import type { Random } from "../runtime/random.ts";
import {
  formatHead,
  headLimit_bytes,
  parseHead,
  SubmissionError,
  type SubmissionHead,
  SubmissionSeal,
} from "./submission-file.ts";

/** Readable by the directory's group, which is the relay's; writable by nobody but its author. */
const writing_mode = 0o640;

/** The same, with the mark of completeness. */
const complete_mode = 0o740;

const triesForName = 10;

export class SubmitError extends Error {}

/**
 * One message on its way into the maildrop directory, written by whatever user runs
 * sendmail. Complete when finish() resolves: on disk, whatever happens next. A file that is not
 * finished is removed, or left without its mark for pickup to clear away.
 */
export class Submit {
  readonly #files: Files;
  readonly #path: string;
  readonly #file: OpenFile;
  readonly #seal = new SubmissionSeal();

  private constructor(files: Files, path: string, file: OpenFile) {
    this.#files = files;
    this.#path = path;
    this.#file = file;
  }

  /** Throws SubmitError with what to do about it, also where pickup would not take what `head` says. */
  static async begin(
    world: { readonly files: Files; readonly random: Random; readonly processes: Pick<Processes, "umask"> },
    maildrop: string,
    head: SubmissionHead,
  ): Promise<Submit> {
    const line = formatHead(head);
    assertTaken(line);
    const before = world.processes.umask(0);
    try {
      return await Submit.#open(world, maildrop, line);
    } finally {
      world.processes.umask(before);
    }
  }

  static async #open(
    world: { readonly files: Files; readonly random: Random },
    maildrop: string,
    head: Buffer,
  ): Promise<Submit> {
    const { write, create, exclusive, noFollow } = openFlags;
    for (let tried = 0; ; tried++) {
      const path = `${maildrop}/${world.random.bytes(10).toString("hex").toUpperCase()}`;
      try {
        const file = await world.files.open(path, write | create | exclusive | noFollow, writing_mode);
        const submit = new Submit(world.files, path, file);
        await submit.#write(head);
        return submit;
      } catch (error) {
        if (errorCode(error) === "EEXIST" && tried < triesForName) continue;
        if (error instanceof SubmitError) throw error;
        throw new SubmitError(problem(maildrop, error));
      }
    }
  }

  async data(bytes: Uint8Array): Promise<void> {
    this.#seal.add(bytes);
    await this.#write(bytes);
  }

  get size_bytes(): number {
    return this.#seal.size_bytes;
  }

  /** Durable when it resolves. The name of the file. */
  async finish(): Promise<string> {
    await this.#write(this.#seal.tail());
    try {
      await this.#file.chmod(complete_mode);
      await this.#file.sync();
      await this.#file.close();
    } catch (error) {
      await this.abandon();
      throw new SubmitError(problem(this.#path, error));
    }
    return this.#path.slice(this.#path.lastIndexOf("/") + 1);
  }

  async abandon(): Promise<void> {
    // The mark goes first: were the file not removable, it must not look complete.
    await this.#file.chmod(writing_mode).catch(() => {});
    await this.#file.close().catch(() => {});
    await this.#files.remove(this.#path).catch(() => {});
  }

  async #write(bytes: Uint8Array): Promise<void> {
    try {
      await this.#file.write(bytes);
    } catch (error) {
      await this.abandon();
      throw new SubmitError(problem(this.#path, error));
    }
  }
}

function assertTaken(head: Buffer): void {
  try {
    if (head.length > headLimit_bytes) throw new SubmissionError(`has addresses of more than ${headLimit_bytes} bytes`);
    parseHead(head);
  } catch (error) {
    if (error instanceof SubmissionError) throw new SubmitError(`the message ${error.message}`);
    throw error;
  }
}

function problem(path: string, error: unknown): string {
  switch (errorCode(error)) {
    case "ENOENT":
      return `${path}: no such directory: start Postern once as root, which makes it`;
    case "EACCES":
      return `${path}: not permitted: start Postern once as root, which gives the directory its owner and mode`;
    case "ENOSPC":
    case "EDQUOT":
      return `${path}: no space left on the device`;
    default:
      return `${path}: ${error instanceof Error ? error.message : String(error)}`;
  }
}
