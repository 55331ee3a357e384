/**
 * The look-up keys that `postmap -q -` makes of a message on standard input:
 * each logical header (-h; its lines joined by newlines), each line of the
 * body (-b), with MIME structure (-m) headers of parts and of attached messages as well.
 *
 * Without -m only the first header block is a header. Without -b and -m reading ends behind it.
 * (RFC 5322 section 2.2, RFC 2045 section 5, RFC 2046 sections 5.1 and 5.2.)
 */
export interface MessageKeyOptions {
  readonly headers: boolean;
  readonly body: boolean;
  readonly mime: boolean;
}

/** Postfix's header_size_limit, mime_nesting_limit and mime_boundary_length_limit. */
const headerLimit_bytes = 102_400;
const nestingLimit = 100;
const boundaryLimit_bytes = 2048;

type Content = "text" | "message" | "nested message" | "multipart" | "other";

interface Boundary {
  readonly text: string;
  /** What a part behind this boundary is unless it says otherwise. */
  readonly content: Content;
}

export class MessageKeys {
  readonly #options: MessageKeyOptions;
  readonly #emit: (key: Buffer) => void;
  #state: "primary" | "part" | "body" = "primary";
  #content: Content = "text";
  #header = "";
  #boundaries: Boundary[] = [];
  /** Nothing more is wanted. */
  done = false;

  constructor(options: MessageKeyOptions, emit: (key: Buffer) => void) {
    this.#options = options;
    this.#emit = emit;
  }

  /** One line without its newline. */
  line(bytes: Buffer): void {
    const line = bytes.toString("latin1");
    if (this.#state !== "body" && this.#inHeader(line)) return;
    this.#bodyLine(line);
  }

  end(): void {
    if (this.#state !== "body") this.#endHeader();
  }

  /** True where the line belongs to a header. */
  #inHeader(line: string): boolean {
    if (this.#header && (line[0] === " " || line[0] === "\t")) {
      if (this.#header.length < headerLimit_bytes) this.#header += `\n${line}`;
      return true;
    }
    this.#endHeader();
    const [, name, rest] = /^([!-9;-~]+)[ \t]*(:.*)$/s.exec(line) ?? [];
    if (name !== undefined) {
      this.#header = name + rest;
      return true;
    }
    this.#endBlock(line);
    return false;
  }

  #endHeader(): void {
    if (!this.#header) return;
    if (this.#options.mime && /^content-type:/i.test(this.#header)) this.#contentType(this.#header.slice(13));
    if (this.#options.headers) this.#emit(Buffer.from(this.#header, "latin1"));
    this.#header = "";
  }

  /** The line that ends a header block: empty, or text that is no header. */
  #endBlock(line: string): void {
    const primary = this.#state === "primary";
    if (primary && !this.#options.body && !this.#options.mime) this.done = true;
    this.#state = "body";
    if (line !== "") {
      if (primary) this.#output("");
    } else if (this.#content === "nested message") {
      this.#state = "part";
      this.#content = "text";
    } else if (this.#content === "multipart") this.#content = "other";
  }

  #bodyLine(line: string): void {
    if (line.length > 2 && line.startsWith("--")) this.#boundary(line.slice(2));
    this.#output(line);
  }

  #output(line: string): void {
    if (this.#options.body) this.#emit(Buffer.from(line, "latin1"));
  }

  #boundary(rest: string): void {
    for (let index = this.#boundaries.length - 1; index >= 0; index--) {
      const boundary = this.#boundaries[index];
      if (!boundary || !rest.startsWith(boundary.text)) continue;
      const last = rest.startsWith("--", boundary.text.length);
      this.#boundaries.length = last ? index : index + 1;
      this.#state = last ? "body" : "part";
      this.#content = last ? "other" : boundary.content;
      return;
    }
  }

  #contentType(value: string): void {
    const [type = [], ...parameters] = segments(value);
    const [main, slash, sub] = type.map((token) => token.toLowerCase());
    const subtype = slash === "/" ? sub : undefined;
    if (main === undefined) this.#content = "other";
    else if (main === "text") this.#content = "text";
    else if (main === "message") {
      this.#content = subtype === "rfc822" || subtype === "global" ? "nested message" : "message";
    } else if (main === "multipart") {
      this.#content = "multipart";
      const content = subtype === "digest" ? "nested message" : "text";
      for (const [name, equals, text] of parameters) {
        if (name?.toLowerCase() !== "boundary" || equals !== "=" || text === undefined) continue;
        if (this.#boundaries.length <= nestingLimit) {
          this.#boundaries.push({ text: unquoted(text).slice(0, boundaryLimit_bytes), content });
        }
      }
    }
  }
}

/** The tokens of a structured header, comments left out, in groups that ";" divides. */
function segments(value: string): string[][] {
  const found: string[][] = [[]];
  const pattern = /[ \t\r\n]+|\((?:[^()\\]|\\.)*\)|"(?:[^"\\]|\\.)*"?|[^\x00-\x20()<>@,;:\\"/[\]?=\x7f]+|./gs;
  for (const [token] of value.matchAll(pattern)) {
    if (/^[\s(]/.test(token)) continue;
    if (token === ";") found.push([]);
    else found.at(-1)?.push(token);
  }
  return found;
}

const unquoted = (token: string): string =>
  token.startsWith('"') ? token.replace(/^"|"$/g, "").replace(/\\(.)/gs, "$1") : token;
