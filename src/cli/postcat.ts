import { parseId } from "../queue/id.ts";
import type { BodyReader, Envelope } from "../queue/message.ts";
import type { QueueReader } from "../queue/sqlite/reader.ts";
import type { QueueEntry } from "../queue/store.ts";
import { errorCode, openFlags } from "../runtime/files.ts";
import { getopt } from "./getopt.ts";
import type { CommandIo } from "./io.ts";
import { type EnvelopeRecord, envelopeRecords, recordType } from "./message-records.ts";
import { becomeQueueOwner, isThere, queuePlace } from "./queue-place.ts";

const usageText =
  "usage: postcat [-b (body text)] [-c config_dir] [-d (decimal record type)] [-e (envelope records)] [-h (header text)] " +
  "[-q (access queue)] [-v] [file(s)...]";

/** Which parts are shown, and how. */
interface Shown {
  readonly envelope: boolean;
  readonly header: boolean;
  readonly body: boolean;
  readonly types: boolean;
  readonly offsets: boolean;
  readonly verbose: boolean;
}

/**
 * postcat(1): a queued message's envelope, header and body, in Postfix's form.
 *
 *   postcat [-bdehoqv] [-c directory] [-q ID …]
 *
 * Messages are named with `-q`: there are no files of single messages. Offsets (`-o`) are those in the message. Exit status 0, or 1
 * after "postcat: fatal: …". For root, who alone may read the queue; whether the relay runs does not matter.
 */
export async function postcat(args: readonly string[], io: CommandIo): Promise<number> {
  const { options, operands, problem } = getopt(args, "bc:dehoqrs:v");
  if (problem) {
    io.err(`postcat: ${problem}\n`);
    return fatal(io, usageText);
  }
  const has = (letter: string): boolean => options.some((each) => each.letter === letter);
  const all = !has("b") && !has("e") && !has("h");
  const shown: Shown = {
    envelope: all || has("e"),
    header: all || has("h"),
    body: all || has("b"),
    types: has("d"),
    offsets: has("o"),
    verbose: has("v"),
  };
  const directory = options.findLast(({ letter }) => letter === "c")?.value ?? io.directory;
  try {
    if (operands.length === 0) await notAQueueFile(io, "stdin", io.stdin);
    else if (has("q")) await showQueued(operands, shown, { ...io, directory });
    else for (const path of operands) await showFile(path, io);
    return 0;
  } catch (error) {
    return fatal(io, error instanceof Error ? error.message : String(error));
  }
}

async function showQueued(ids: readonly string[], shown: Shown, io: CommandIo): Promise<void> {
  const first = ids[0] ?? "";
  const { openQueueReader } = await import("../queue/sqlite/reader.ts");
  const { preloadLocks } = await import("../queue/owner-lock.ts");
  const { queueFile } = await import("../queue/open.ts");
  preloadLocks();
  const place = await queuePlace(io);
  const path = queueFile(place.paths.queue);
  let reader: QueueReader;
  try {
    if (!(await isThere(io, path))) throw notFound(first);
    await becomeQueueOwner(io, place);
    reader = openQueueReader(path);
  } catch (error) {
    if (errorCode(error) === "EACCES") throw new Error(`open queue file ${first}: Permission denied`);
    throw error;
  }
  try {
    for (const id of ids) {
      if (!/^[A-Za-z0-9_]+$/.test(id)) throw new Error(`bad mail queue ID: ${id}`);
      const entry = parseId(id) === undefined ? undefined : reader.find(id);
      if (!entry) throw notFound(id);
      await new Printer(io, shown, entry).print(reader.body(entry.envelope.id));
    }
  } finally {
    reader.close();
  }
}

const notFound = (id: string): Error => new Error(`open queue file ${id}: No such file or directory`);

async function showFile(path: string, io: CommandIo): Promise<void> {
  const { read, nonBlocking } = openFlags;
  try {
    await (await io.runtime.files.open(path, read | nonBlocking)).close();
  } catch (error) {
    const reason = errorCode(error) === "ENOENT" ? "No such file or directory" : "Permission denied";
    throw new Error(`open ${path}: ${reason}`);
  }
  io.err(`postcat: warning: ${path}: input is not a valid queue file\n`);
}

async function notAQueueFile(io: CommandIo, name: string, input: AsyncIterable<Buffer>): Promise<void> {
  for await (const chunk of input) {
    if (chunk.length === 0) continue;
    io.err(`postcat: warning: ${name}: input is not a valid queue file\n`);
    return;
  }
}

/** One message, as it is read: no more than a chunk of its body in memory. */
class Printer {
  readonly #io: CommandIo;
  readonly #shown: Shown;
  readonly #envelope: Envelope;
  readonly #path: string;

  constructor(io: CommandIo, shown: Shown, { queue, envelope }: QueueEntry) {
    this.#io = io;
    this.#shown = shown;
    this.#envelope = envelope;
    this.#path = `${queue}/${envelope.id}`;
  }

  async print(body: BodyReader): Promise<void> {
    const { envelope, header, body: text } = this.#shown;
    if (envelope) {
      this.#io.out(`*** ENVELOPE RECORDS ${this.#path} ***\n`);
      const zone = (time_ms: number) => this.#io.runtime.clock.zoneOffset_min(time_ms);
      for (const each of envelopeRecords(this.#envelope, zone)) this.#record(each);
      this.#marker(recordType.content, "MESSAGE CONTENTS", 0);
    }
    if (header || text) await this.#text(body);
    if (envelope) {
      this.#marker(recordType.extracted, "HEADER EXTRACTED", this.#envelope.size_bytes);
      this.#marker(recordType.end, "MESSAGE FILE END", this.#envelope.size_bytes);
    }
  }

  async #text(body: BodyReader): Promise<void> {
    const { header, body: text } = this.#shown;
    const { headerEnd_bytes } = this.#envelope;
    for await (const piece of linePieces(body)) {
      const inHeader = piece.offset < headerEnd_bytes;
      if (!inHeader && !text) return;
      if (inHeader ? header : text) this.#line(piece);
    }
  }

  #line({ bytes, offset, complete }: Piece): void {
    const { verbose, offsets } = this.#shown;
    const type = complete ? recordType.text : recordType.unfinishedText;
    this.#io.out(this.#prefix(type, offset));
    if (verbose) this.#io.out(complete ? "regular_text: " : "unterminated_text: ");
    this.#io.out(bytes);
    if (complete || verbose || offsets) this.#io.out("\n");
  }

  #record({ type, name, value }: EnvelopeRecord): void {
    this.#io.out(`${this.#prefix(type, 0)}${name}: ${value}\n`);
  }

  #marker(type: number, text: string, offset: number): void {
    this.#io.out(`${this.#prefix(type, offset)}*** ${text} ${this.#path} ***\n`);
  }

  #prefix(type: number, offset: number): string {
    const { offsets, types } = this.#shown;
    return `${offsets ? `${String(offset).padStart(9)} ` : ""}${types ? `${String(type).padStart(3)} ` : ""}`;
  }
}

/** A line without its end, or a part of a long one. */
interface Piece {
  readonly bytes: Buffer;
  /** Of its first byte in the message. */
  readonly offset: number;
  readonly complete: boolean;
}

/** A line that is longer than this comes in parts. */
const pieceLimit_bytes = 64 * 1024;

async function* linePieces(body: BodyReader): AsyncGenerator<Piece> {
  let rest: Buffer = Buffer.alloc(0);
  let offset = 0;
  for (let index = 0; ; index++) {
    const chunk = await body.chunk(index);
    if (!chunk) break;
    const bytes = rest.length > 0 ? Buffer.concat([rest, chunk]) : chunk;
    let start = 0;
    for (let end = bytes.indexOf(10); end >= 0; end = bytes.indexOf(10, start)) {
      const last = end > start && bytes[end - 1] === 13 ? end - 1 : end;
      yield { bytes: bytes.subarray(start, last), offset: offset + start, complete: true };
      start = end + 1;
    }
    // Its last byte may be the first of a line end.
    if (bytes.length - start > pieceLimit_bytes) {
      yield { bytes: bytes.subarray(start, -1), offset: offset + start, complete: false };
      start = bytes.length - 1;
    }
    rest = bytes.subarray(start);
    offset += start;
  }
  if (rest.length > 0) yield { bytes: rest, offset, complete: true };
}

function fatal(io: CommandIo, text: string): number {
  io.err(`postcat: fatal: ${text}\n`);
  return 1;
}
