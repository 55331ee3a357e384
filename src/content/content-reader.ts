/**
 * A message's text, in pieces as it comes, taken apart as content checks want it: header fields of the
 * message and of its parts, folded lines joined, and lines of text. Postfix: mime_state(3).
 *
 * add()* -> finish(). The visitor is called in the order of the text, each call after the one before has been
 * answered; where it answers later, so do add() and finish(), and nothing may be added in between.
 *
 * Invariants
 *  1. Every byte is handed on once, in `raw`, in order; but of a field beyond the limit only its beginning.
 *  2. How the text is cut into pieces makes no difference.
 *  3. Memory is bounded: a field up to header_size_limit and a line of line_length_limit, and the piece in hand.
 */
import { beginOfField } from "../rfc5322/header.ts";
import type { Answer } from "../table/maps.ts";
import { type MimeLimits, type MimeProblem, MimeStructure, type Place } from "./mime-structure.ts";

/** What a field stands in; `mime`: the header of a part, or a field of the message's own header that speaks of MIME. */
export type HeaderClass = "primary" | "mime" | "nested";

export interface ContentField {
  readonly class: HeaderClass;
  /** Where it stands, whatever it speaks of. */
  readonly place: Exclude<Place, "text">;
  /** In lower case. */
  readonly name: string;
  /** What tables are asked: no line ends but LF between the lines of a folded field, and no white space before the colon. */
  readonly key: Buffer;
  /** As it came, with line ends. */
  readonly raw: Buffer;
}

/** A line of text, or of a long one a piece. */
export interface ContentLine {
  /** Without the line's end. */
  readonly text: Buffer;
  /** With it, where the line ends here. */
  readonly raw: Buffer;
  readonly whole: boolean;
  /** How much text stands before it in this part of the message, a byte counted for each line end. */
  readonly offset: number;
}

export interface ContentVisitor {
  field(field: ContentField): Answer<void>;
  /** The message's own header ends; told once. */
  endOfHeader(): void;
  line(line: ContentLine): Answer<void>;
  /** Each kind is told at most once. `near` is the field or line where it was found. */
  problem?(kind: MimeProblem, near: Buffer): void;
  /** A line before anything is made of it; what is to be made of it instead, or undefined to leave it out. */
  admit?(text: Buffer): Buffer | undefined;
}

export interface ContentLimits extends MimeLimits {
  /** header_size_limit */
  readonly field_bytes: number;
  /** line_length_limit: a longer line is handled in pieces of this size. */
  readonly line_bytes: number;
}

export interface ContentOptions {
  readonly limits: ContentLimits;
  /** False: everything behind the message's own header is text (disable_mime_input_processing). */
  readonly mime: boolean;
  /** What problem() is told. */
  readonly watch?: ReadonlySet<MimeProblem>;
}

const newline = 10;
const carriageReturn = 13;
const space = 32;
const tab = 9;
const lineEnd = Buffer.from("\r\n");
const nothing = Buffer.alloc(0);

/** Fields that speak of MIME wherever they stand. */
const mimeFields: ReadonlySet<string> = new Set([
  ...["content-description", "content-disposition", "content-id", "content-transfer-encoding", "content-type"],
  "mime-version",
]);

/** A field whose end has not come. */
interface FieldInHand {
  readonly raw: Buffer[];
  readonly key: Buffer[];
  key_bytes: number;
}

export class ContentReader {
  readonly #options: ContentOptions;
  readonly #visitor: ContentVisitor;
  readonly #structure: MimeStructure;
  readonly #told = new Set<MimeProblem>();
  /** A line whose end has not come, and what follows it in the piece. */
  #rest: Buffer = nothing;
  #field: FieldInHand | undefined;
  /** The line in hand was begun by an earlier piece of it. */
  #continued = false;
  #offset = 0;

  constructor(options: ContentOptions, visitor: ContentVisitor) {
    this.#options = options;
    this.#visitor = visitor;
    this.#structure = new MimeStructure(options.limits);
  }

  /** Text with CRLF line ends; kept, and must not be overwritten. */
  add(text: Buffer): Answer<void> {
    this.#rest = this.#rest.length === 0 ? text : Buffer.concat([this.#rest, text]);
    return this.#lines(0, false);
  }

  finish(): Answer<void> {
    const done = this.#lines(0, true);
    return done instanceof Promise ? done.then(() => this.#end()) : this.#end();
  }

  #lines(start: number, final: boolean): Answer<void> {
    const bytes = this.#rest;
    const { line_bytes } = this.#options.limits;
    let at = start;
    for (;;) {
      const found = bytes.indexOf(newline, at);
      const next = found < 0 ? bytes.length : found + 1;
      const end = found < 0 ? next : found > at && bytes[found - 1] === carriageReturn ? found - 1 : found;
      // Of an unfinished line as much is taken as will not turn out to be its end: a CR may be the last byte.
      const isLong = end - at > (found < 0 && !final ? line_bytes + 1 : line_bytes);
      if (found < 0 && !isLong && (!final || at === bytes.length)) break;
      const to = isLong ? at + line_bytes : next;
      const text = bytes.subarray(at, isLong ? to : end);
      const done = this.#record(text, bytes.subarray(at, to), !isLong && found >= 0);
      at = to;
      if (done instanceof Promise) {
        return done.then(() => {
          this.#rest = bytes;
          return this.#lines(at, final);
        });
      }
    }
    this.#rest = bytes.subarray(at);
  }

  /** The text has ended. */
  #end(): Answer<void> {
    if (this.#structure.place === "text") return undefined;
    const done = this.#endOfField();
    if (done instanceof Promise) return done.then(() => this.#endOfHeader(false, nothing));
    return this.#endOfHeader(false, nothing);
  }

  #record(given: Buffer, raw: Buffer, whole: boolean): Answer<void> {
    const text = this.#visitor.admit ? this.#visitor.admit(given) : given;
    const continued = this.#continued;
    this.#continued = !whole;
    if (text === undefined) return undefined;
    const bytes = text === given ? raw : whole ? Buffer.concat([text, lineEnd]) : text;
    if (this.#structure.place === "text") return this.#text(text, bytes, whole, continued);
    if (this.#field && (continued || text[0] === space || text[0] === tab)) {
      return this.#append(this.#field, text, bytes, continued);
    }
    const done = this.#endOfField();
    if (done instanceof Promise) return done.then(() => this.#afterField(text, bytes, whole, continued));
    return this.#afterField(text, bytes, whole, continued);
  }

  #append(field: FieldInHand, text: Buffer, raw: Buffer, continued: boolean): void {
    if (field.key_bytes >= this.#options.limits.field_bytes) return;
    if (!continued) field.key.push(Buffer.from("\n"));
    field.key.push(text);
    field.raw.push(raw);
    field.key_bytes += text.length + (continued ? 0 : 1);
  }

  /** A line that begins a field, or ends the header. */
  #afterField(text: Buffer, raw: Buffer, whole: boolean, continued: boolean): Answer<void> {
    const found = beginOfField(text);
    if (found) {
      const { nameEnd, colon } = found;
      const key = nameEnd === colon ? [text] : [text.subarray(0, nameEnd), text.subarray(colon)];
      this.#field = { raw: [raw], key, key_bytes: text.length };
      return undefined;
    }
    const done = this.#endOfHeader(text.length === 0, text);
    if (done instanceof Promise) return done.then(() => this.#text(text, raw, whole, continued));
    return this.#text(text, raw, whole, continued);
  }

  #endOfField(): Answer<void> {
    const field = this.#field;
    if (!field) return undefined;
    this.#field = undefined;
    const key = field.key.length === 1 ? (field.key[0] as Buffer) : Buffer.concat(field.key);
    const raw = field.raw.length === 1 ? (field.raw[0] as Buffer) : Buffer.concat(field.raw);
    const place = this.#structure.place as ContentField["place"];
    const colon = key.indexOf(":");
    const name = key.toString("latin1", 0, colon).toLowerCase();
    if (this.#options.mime && (name === "content-type" || name === "content-transfer-encoding")) {
      this.#problem(this.#structure.field(name, key.toString("latin1", colon + 1)), key);
    }
    if (this.#watches("8-bit header") && hasEightBit(key)) this.#problem("8-bit header", key);
    const class_ = mimeFields.has(name) || place === "part" ? "mime" : place;
    // What was cut off took the line's end with it.
    const whole = raw.at(-1) === newline ? raw : Buffer.concat([raw, lineEnd]);
    return this.#visitor.field({ class: class_, place, name, key, raw: whole });
  }

  #endOfHeader(blank: boolean, text: Buffer): Answer<void> {
    const primary = this.#structure.place === "primary";
    if (primary) this.#visitor.endOfHeader();
    this.#problem(this.#structure.endOfHeader(blank), text);
    this.#offset = 0;
    // Where no empty line ends the message's header, one is put before the text.
    if (!primary || blank || text.length === 0) return undefined;
    return this.#visitor.line({ text: nothing, raw: lineEnd, whole: true, offset: 0 });
  }

  #text(text: Buffer, raw: Buffer, whole: boolean, continued: boolean): Answer<void> {
    if (this.#watches("8-bit text") && this.#structure.sevenBit && hasEightBit(text)) {
      this.#problem("8-bit text", text);
    }
    if (!continued && this.#structure.line(text) && this.#structure.place === "text") this.#offset = 0;
    const offset = this.#offset;
    this.#offset += text.length + 1;
    return this.#visitor.line({ text, raw, whole, offset });
  }

  #watches(kind: MimeProblem): boolean {
    return this.#options.watch?.has(kind) === true && !this.#told.has(kind);
  }

  #problem(kind: MimeProblem | undefined, near: Buffer): void {
    if (kind === undefined || !this.#watches(kind)) return;
    this.#told.add(kind);
    this.#visitor.problem?.(kind, near);
  }
}

function hasEightBit(bytes: Buffer): boolean {
  return bytes.some((byte) => byte > 127);
}
