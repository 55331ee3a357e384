import { chunkSize_bytes } from "../queue/message.ts";
import { type ScannedHeader, scanHeader } from "../rfc5322/header.ts";
import type { Answer } from "../table/maps.ts";
import type { HeaderWork } from "./header-work.ts";
import { isMailboxLine, mailboxLine } from "./mailbox-line.ts";

export interface HeaderIntakeOptions {
  readonly work: HeaderWork;
  readonly fieldLimit_bytes: number;
  /** What becomes of a line "From …" before the header, as mailbox files have it: dropped, or kept as X-Mailbox-Line. */
  readonly mailboxLines: "drop" | "keep";
  /** Takes what goes on, in order: the header as it is worked on, then the body's text. */
  out(piece: Buffer): void;
  /** Called once, between the last field and what follows: adds what is missing. */
  endOfFields(): void;
}

const newline = 10;
const tab = 9;
const space = 32;
const lineEnd = Buffer.from("\r\n");
const blankLine = Buffer.from("\r\n\r\n");
/** So many pieces are put together: a header that comes in crumbs must not cost many times its size. */
const manyPieces = 256;

/**
 * The beginning of a message while it comes in, until the body is reached.
 * Whole headers are usual, and are worked on once. A header without end is
 * worked on in blocks, and a field without end is cut at the limit and the rest
 * of it dropped; so what is kept stays below some multiple of the
 * larger of both, and work stays linear.
 */
export class HeaderIntake {
  readonly #options: HeaderIntakeOptions;
  #pending: Buffer[] = [];
  #pending_bytes = 0;
  /** So many bytes make a block; grows with a field that does not end. */
  #block_bytes = chunkSize_bytes;
  /** The last bytes of the piece before, to see an empty line across the border. One before the first byte ends the header, too. */
  #tail = "\r\n";
  #atStart = true;
  #skipping: "nothing" | "line" | "continuations" = "nothing";
  /** The body has begun: what comes now is no more to be given to add(). */
  ended = false;

  constructor(options: HeaderIntakeOptions) {
    this.#options = options;
  }

  /** Later where a table answers later: add no more before. Throws, or rejects with, a TableError. */
  add(text: Buffer): Answer<void> {
    this.#pending.push(text);
    this.#pending_bytes += text.length;
    if (this.#pending.length >= manyPieces) this.#pending = [Buffer.concat(this.#pending)];
    const across = this.#tail + text.toString("latin1", 0, 3);
    this.#tail = (this.#tail + text.toString("latin1", Math.max(0, text.length - 3))).slice(-3);
    if (this.#pending_bytes >= this.#block_bytes || across.includes("\r\n\r\n") || text.includes(blankLine)) {
      return this.#workOn(this.#taken(), false);
    }
  }

  /** No more text comes. Answers and fails as add(). */
  finish(): Answer<void> {
    if (!this.ended) return this.#workOn(this.#taken(), true);
  }

  #taken(): Buffer {
    const [first, ...others] = this.#pending;
    this.#pending = [];
    this.#pending_bytes = 0;
    if (first === undefined) return Buffer.alloc(0);
    return others.length === 0 ? first : Buffer.concat([first, ...others]);
  }

  #workOn(given: Buffer, final: boolean): Answer<void> {
    const bytes = this.#behindMailboxLines(this.#behindSkipped(given), final);
    const { work, out } = this.#options;
    const scanned = scanHeader(bytes, final);
    const worked = work.fields(bytes, scanned, out);
    if (worked instanceof Promise) return worked.then(() => this.#goOn(bytes, scanned));
    return this.#goOn(bytes, scanned);
  }

  #goOn(bytes: Buffer, scanned: ScannedHeader): Answer<void> {
    const rest = bytes.subarray(scanned.end);
    if (scanned.ending !== "open") this.#end(rest, scanned.ending === "blank");
    else if (rest.length > this.#options.fieldLimit_bytes) return this.#cutField(rest);
    else this.#wait(rest);
  }

  #wait(rest: Buffer): void {
    this.#pending = rest.length > 0 ? [rest] : [];
    this.#pending_bytes = rest.length;
    this.#block_bytes = Math.max(chunkSize_bytes, rest.length * 2);
  }

  /** A field that is too long already ends here. HeaderWork brings it down to the limit. */
  #cutField(rest: Buffer): Answer<void> {
    const whole = rest.at(-1) === newline;
    const cut = whole ? rest : Buffer.concat([rest, lineEnd]);
    const scanned = scanHeader(cut, true);
    if (scanned.fields.length === 0) {
      this.#end(rest, false);
      return;
    }
    this.#skipping = whole ? "continuations" : "line";
    this.#wait(Buffer.alloc(0));
    return this.#options.work.fields(cut, scanned, this.#options.out);
  }

  /** What is left once the rest of a field that was cut has been dropped. */
  #behindSkipped(bytes: Buffer): Buffer {
    let at = 0;
    while (this.#skipping !== "nothing" && at < bytes.length) {
      if (this.#skipping === "continuations") {
        const goesOn = bytes[at] === space || bytes[at] === tab;
        this.#skipping = goesOn ? "line" : "nothing";
        continue;
      }
      const end = bytes.indexOf(newline, at);
      at = end < 0 ? bytes.length : end + 1;
      if (end >= 0) this.#skipping = "continuations";
    }
    return at === 0 ? bytes : bytes.subarray(at);
  }

  #behindMailboxLines(bytes: Buffer, final: boolean): Buffer {
    if (!this.#atStart) return bytes;
    this.#atStart = false;
    let at = 0;
    while (at < bytes.length && isMailboxLine(bytes, at)) {
      const end = bytes.indexOf(newline, at);
      if (end < 0 && !final) break;
      const next = end < 0 ? bytes.length : end + 1;
      if (this.#options.mailboxLines === "keep") {
        this.#options.out(mailboxLine(bytes.subarray(at, next)));
      }
      at = next;
    }
    return at === 0 ? bytes : bytes.subarray(at);
  }

  /** Where no empty line ends the header, one is put before the body. */
  #end(rest: Buffer, blank: boolean): void {
    this.ended = true;
    this.#options.endOfFields();
    if (!blank && rest.length > 0) this.#options.out(lineEnd);
    this.#options.out(rest);
  }
}
