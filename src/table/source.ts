import { isUtf8 } from "node:buffer";
import { printable } from "./printable.ts";
import { TableError } from "./table.ts";

/**
 * Reads table sources: the logical lines of postmap(1) and aliases(5), and the entries of postmap(1).
 *
 * A line that begins with white space continues the last one, its white space
 * included; comment lines, empty and blank lines are left out, also in the
 * middle of a logical line. A first line that begins with white space has
 * nothing to continue: it is reported, and left out with what continues it.
 * Text behind a NUL is dropped. Bytes stay bytes.
 *
 * What is wrong with a line is reported to `warn` in Postfix's words, and
 * reading goes on. A line above the limit is a TableError.
 */
export const logicalLineLimit_bytes: number = 16 * 1024 * 1024;

/** Called with a logical line's bytes, valid only during the call, and the number of its first line. */
export type TakeLine = (line: Buffer, number: number) => void;

const newline = 0x0a;
const hash = 0x23;

/** White space in C's sense: space, \t \n \v \f \r. */
export const isSpace = (byte: number | undefined): boolean =>
  byte === 0x20 || (byte !== undefined && byte >= 0x09 && byte <= 0x0d);

/** Cuts a stream into logical lines. Feed it chunks, then end it. `path` is for what is reported. */
export class LogicalLines {
  readonly #path: string;
  readonly #take: TakeLine;
  readonly #warn: (text: string) => void;
  /** The begun physical line, then the begun logical line; both without newlines. */
  #physical: Buffer[] = [];
  #logical: Buffer[] = [];
  #pending_bytes = 0;
  #line = 0;
  #firstLine = 0;

  constructor(path: string, take: TakeLine, warn: (text: string) => void) {
    this.#path = path;
    this.#take = take;
    this.#warn = warn;
  }

  feed(chunk: Buffer): void {
    let start = 0;
    for (;;) {
      const end = chunk.indexOf(newline, start);
      if (end < 0) break;
      this.#physicalLine(this.#joined(chunk.subarray(start, end)));
      start = end + 1;
    }
    if (start < chunk.length) this.#keep(this.#physical, Buffer.from(chunk.subarray(start)));
  }

  end(): void {
    if (this.#physical.length > 0) this.#physicalLine(this.#joined(Buffer.alloc(0)));
    this.#flush();
  }

  #joined(last: Buffer): Buffer {
    if (this.#physical.length === 0) return last;
    const whole = Buffer.concat([...this.#physical, last]);
    this.#physical = [];
    this.#pending_bytes = 0;
    for (const part of this.#logical) this.#pending_bytes += part.length;
    return whole;
  }

  /** The last logical line is complete once a line begins that does not continue it. */
  #physicalLine(line: Buffer): void {
    this.#line++;
    if (isCommentOrBlank(line)) return;
    if (!isSpace(line[0])) this.#flush();
    if (this.#logical.length === 0) this.#firstLine = this.#line;
    this.#keep(this.#logical, Buffer.from(line));
  }

  #keep(where: Buffer[], part: Buffer): void {
    where.push(part);
    this.#pending_bytes += part.length;
    if (this.#pending_bytes > logicalLineLimit_bytes) {
      throw new TableError(
        "config",
        `${this.#path}, line ${this.#line}: line is longer than ${logicalLineLimit_bytes} bytes`,
      );
    }
  }

  #flush(): void {
    const [only] = this.#logical;
    if (!only) return;
    const whole = this.#logical.length === 1 ? only : Buffer.concat(this.#logical);
    this.#logical = [];
    this.#pending_bytes = 0;
    const nul = whole.indexOf(0);
    const line = nul < 0 ? whole : whole.subarray(0, nul);
    if (!isSpace(whole[0])) {
      this.#take(line, this.#firstLine);
      return;
    }
    const shown = printable(line.subarray(0, 30));
    this.#warn(
      `${this.#path}: logical line must not start with whitespace: "${shown}${whole.length > 30 ? "..." : ""}"`,
    );
  }
}

function isCommentOrBlank(line: Buffer): boolean {
  for (const byte of line) if (!isSpace(byte)) return byte === hash;
  return true;
}

/** Called with the places of key and value in `line`, which is valid only during the call. */
export type TakeEntry = (line: Buffer, keyEnd: number, valueStart: number, valueEnd: number, number: number) => void;

export interface EntryOptions {
  readonly path: string;
  /** Lines that are not UTF-8 are reported and left out. */
  readonly utf8: boolean;
  /** texthash says what becomes of a line that it cannot use; postmap does not. */
  readonly sayIgnored: boolean;
  warn(text: string): void;
}

/** What to do with logical lines `key whitespace value`, where white space between double quotes belongs to the key. */
export function entryLines(options: EntryOptions, take: TakeEntry): TakeLine {
  const { path, utf8, warn } = options;
  const expected = `expected format: key whitespace value${options.sayIgnored ? " -- ignoring this line" : ""}`;
  return (line, number) => {
    if (utf8 && !isUtf8(line)) {
      warn(`${path}, line ${number}: non-UTF-8 input "${printable(line)}" -- ignoring this line`);
      return;
    }
    const keyEnd = endOfKey(line);
    if (keyEnd < 0) {
      warn(`${path}, line ${number}: unbalanced '"' in '${printable(line)}' -- ignoring this line`);
      return;
    }
    let valueStart = keyEnd + 1;
    let valueEnd = line.length;
    while (valueStart < valueEnd && isSpace(line[valueStart])) valueStart++;
    while (valueEnd > valueStart && isSpace(line[valueEnd - 1])) valueEnd--;
    if (keyEnd === 0 || valueStart >= valueEnd) return warn(`${path}, line ${number}: ${expected}`);
    if (line[keyEnd - 1] === 0x3a) {
      warn(`${path}, line ${number}: record is in "key: value" format; is this an alias file?`);
    }
    take(line, keyEnd, valueStart, valueEnd, number);
  };
}

/** Where the first white space outside double quotes is, or the end; -1 where a quote is left open. */
function endOfKey(line: Buffer): number {
  let quoted = false;
  let at = 0;
  for (; at < line.length; at++) {
    const byte = line[at];
    if (byte === 0x5c) at++;
    else if (byte === 0x22) quoted = !quoted;
    else if (!quoted && isSpace(byte)) break;
  }
  return quoted ? -1 : Math.min(at, line.length);
}
