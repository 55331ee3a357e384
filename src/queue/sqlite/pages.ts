import { errorCode, type Files, type OpenFile, openFlags, readWhole } from "../../runtime/files.ts";
import { emptyLog, type LogContent, missing, readLog } from "./log-frames.ts";
import { pageSize_bytes } from "./schema.ts";

/**
 * The pages of a queue file as they are with its log, read without SQLite: for a file that SQLite cannot read, or not all of.
 * Nothing is changed. A page that cannot be read (past the end, or the disk refuses it) is undefined.
 */
export class Pages {
  readonly log: LogContent;
  readonly pageSize_bytes: number;
  /** How many there may be. */
  readonly count: number;
  readonly #file: OpenFile | undefined;
  readonly #logFile: OpenFile | undefined;

  private constructor(
    file: OpenFile | undefined,
    logFile: OpenFile | undefined,
    known: Pick<Pages, "log" | "count" | "pageSize_bytes">,
  ) {
    this.#file = file;
    this.#logFile = logFile;
    this.log = known.log;
    this.count = known.count;
    this.pageSize_bytes = known.pageSize_bytes;
  }

  /** A missing file has no pages. */
  static async open(files: Files, path: string): Promise<Pages> {
    const file = await openThere(files, path);
    const logFile = await openThere(files, `${path}-wal`);
    const index = await readWhole(files, `${path}-shm`, mostIndex_bytes).then(
      ({ bytes }) => bytes,
      () => undefined,
    );
    const log = logFile ? await readLog(logFile, index) : missing(index);
    const size = (await file?.facts())?.size ?? 0;
    const page = log.pageSize_bytes ?? (await pageSizeIn(file));
    const count = [...log.pages.keys()].reduce((most, each) => Math.max(most, each), Math.ceil(size / page));
    const pages = new Pages(file, logFile, { log, count, pageSize_bytes: page });
    return log.headless && (await pages.#isMoved())
      ? new Pages(file, logFile, { log: emptyLog, count, pageSize_bytes: page })
      : pages;
  }

  async read(number: number): Promise<Buffer | undefined> {
    const offset = this.log.pages.get(number);
    if (offset !== undefined && this.#logFile) return readAt(this.#logFile, offset, this.pageSize_bytes);
    return this.#readFile(number);
  }

  async close(): Promise<void> {
    await this.#file?.close();
    await this.#logFile?.close();
  }

  async #readFile(number: number): Promise<Buffer | undefined> {
    return this.#file && readAt(this.#file, (number - 1) * this.pageSize_bytes, this.pageSize_bytes);
  }

  /** All that a log has is in the file: it was about to begin anew. */
  async #isMoved(): Promise<boolean> {
    for (const number of this.log.pages.keys()) {
      const [inLog, inFile] = [await this.read(number), await this.#readFile(number)];
      if (!inLog || !inFile?.equals(inLog)) return false;
    }
    return true;
  }
}

/** SQLite's index of a log of 64 GiB. */
const mostIndex_bytes = 64 * 1024 * 1024;

async function openThere(files: Files, path: string): Promise<OpenFile | undefined> {
  try {
    return await files.open(path, openFlags.read | openFlags.nonBlocking);
  } catch (error) {
    if (errorCode(error) === "ENOENT") return undefined;
    throw error;
  }
}

async function readAt(file: OpenFile, offset: number, size: number): Promise<Buffer | undefined> {
  const page = Buffer.alloc(size);
  try {
    return (await file.read(page, offset)) === size ? page : undefined;
  } catch {
    return undefined;
  }
}

async function pageSizeIn(file: OpenFile | undefined): Promise<number> {
  const header = file && (await readAt(file, 0, 100));
  const size = header?.toString("latin1", 0, 15) === "SQLite format 3" ? header.readUInt16BE(16) : 0;
  return size === 1 ? 65_536 : size >= 512 && (size & (size - 1)) === 0 ? size : pageSize_bytes;
}
