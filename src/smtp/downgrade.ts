/**
 * 8-bit mail for a server without 8BITMIME (RFC 6152, RFC 2045): whatever a MIME
 * header declares to be 8bit or binary is written as quoted-printable, and the
 * header says so; multipart and message parts are declared 7bit. What no MIME
 * header speaks for is left as it is: it could not be decoded at the other end.
 *
 * Takes the body in chunks, gives it in chunks; lines of any length are taken in
 * pieces. Memory is bounded by headerLimit_bytes, boundaryLimit and nestingLimit,
 * beyond which a part is passed on as it is.
 */

/** Of one header; what is beyond is not looked at, but passed on. */
const headerLimit_bytes = 102_400;
/** Multiparts inside multiparts. */
const nestingLimit = 100;
/** A longer piece of a line is handled in several. */
const pieceLimit_bytes = 8192;
/** Soft line breaks come when an encoded line is longer than this. */
const softBreak_chars = 72;

type Place = "primary header" | "part header" | "text";
type Kind = "multipart" | "message" | "leaf";

interface Part {
  kind: Kind;
  subtype: string;
  eightBit: boolean;
}

interface Multipart {
  readonly boundary: string;
  readonly defaultKind: Kind;
}

const plainText = (): Part => ({ kind: "leaf", subtype: "plain", eightBit: false });

export class Downgrade {
  #place: Place = "primary header";
  #part = plainText();
  #stack: Multipart[] = [];
  /** The header being collected, its lines joined by CRLF; "" for none. */
  #header = "";
  /** A beginning of a line whose end has not come yet. */
  #line = "";
  /** The line in hand was begun by an earlier piece. */
  #continued = false;
  #encoded = "";
  #out = "";

  push(chunk: Buffer): Buffer {
    const text = this.#line + chunk.toString("latin1");
    let from = 0;
    for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n", from)) {
      this.#take(text.slice(from, text[end - 1] === "\r" ? Math.max(from, end - 1) : end), true);
      from = end + 1;
    }
    this.#line = text.slice(from);
    while (this.#line.length > pieceLimit_bytes) {
      this.#take(this.#line.slice(0, pieceLimit_bytes), false);
      this.#line = this.#line.slice(pieceLimit_bytes);
    }
    return this.#flush();
  }

  end(): Buffer {
    if (this.#line || this.#continued) this.#take(this.#line, true);
    this.#line = "";
    if (this.#place !== "text") this.#endHeaders();
    return this.#flush();
  }

  #flush(): Buffer {
    const bytes = Buffer.from(this.#out, "latin1");
    this.#out = "";
    return bytes;
  }

  /** A line, or a piece of one; `whole`: its end is there. */
  #take(piece: string, whole: boolean): void {
    if (this.#place !== "text") {
      if (this.#takeHeader(piece, whole)) {
        this.#continued = !whole;
        return;
      }
      this.#endHeaders();
      if (piece === "" && whole && !this.#continued) this.#beginContent();
      else this.#place = "text";
    }
    if (!this.#continued && this.#stack.length > 0 && piece.startsWith("--")) this.#lookForBoundary(piece);
    this.#writeText(piece, whole);
    this.#continued = !whole;
  }

  /** False: this line is no part of a header. */
  #takeHeader(piece: string, whole: boolean): boolean {
    if (this.#header && this.#continued) return this.#grow(piece);
    if (this.#header && /^[ \t]/.test(piece)) return this.#grow(`\r\n${piece}`);
    this.#endHeader();
    if (!/^[!-9;-~]+[ \t]*:/.test(piece)) return false;
    this.#header = piece;
    if (!whole) this.#continued = true;
    return true;
  }

  #grow(text: string): true {
    this.#header += text;
    if (this.#header.length > headerLimit_bytes) {
      // Too long to be one that matters: what there is goes out, and the rest follows.
      this.#out += this.#header;
      this.#header = "X";
    }
    return true;
  }

  #endHeader(): void {
    const header = this.#header;
    if (header === "") return;
    this.#header = "";
    if (header === "X") {
      this.#out += "\r\n";
      return;
    }
    const [, name = "", value = ""] = /^([!-9;-~]+)[ \t]*:(.*)$/s.exec(header) ?? [];
    if (/^content-type$/i.test(name)) this.#readType(value);
    if (/^content-transfer-encoding$/i.test(name)) {
      this.#part.eightBit = /^\s*"?(?:8bit|binary)"?(?:\s|;|$)/i.test(withoutComments(value));
      if (this.#part.eightBit) return;
    }
    this.#out += `${header}\r\n`;
  }

  #readType(value: string): void {
    const [, type = "", subtype = ""] = /^\s*([^\s/;]+)\s*\/\s*([^\s;]+)/.exec(withoutComments(value)) ?? [];
    const kind = type.toLowerCase();
    this.#part.kind = kind === "multipart" || kind === "message" ? kind : "leaf";
    this.#part.subtype = subtype.toLowerCase();
    if (this.#part.kind !== "multipart" || this.#stack.length >= nestingLimit) return;
    const [, quoted, bare] = /;\s*boundary\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;]+))/is.exec(value) ?? [];
    const boundary = quoted?.replace(/\\(.)/gs, "$1") ?? bare ?? "";
    if (boundary) this.#stack.push({ boundary, defaultKind: this.#part.subtype === "digest" ? "message" : "leaf" });
  }

  #endHeaders(): void {
    this.#endHeader();
    if (!this.#part.eightBit) return;
    const identity =
      this.#part.kind === "multipart" || (this.#part.kind === "message" && this.#part.subtype !== "global");
    this.#out += `Content-Transfer-Encoding: ${identity ? "7bit" : "quoted-printable"}\r\n`;
  }

  /** Behind the empty line: a message inside has a header again, a multipart begins with a preamble. */
  #beginContent(): void {
    const { kind, subtype } = this.#part;
    this.#place = "text";
    if (kind === "message" && subtype === "rfc822") {
      this.#out += "\r\n";
      this.#part = plainText();
      this.#place = "part header";
      return;
    }
    if (kind === "multipart") this.#part = plainText();
  }

  #lookForBoundary(line: string): void {
    for (let depth = this.#stack.length - 1; depth >= 0; depth--) {
      const multipart = this.#stack[depth] as Multipart;
      if (!line.startsWith(multipart.boundary, 2)) continue;
      const last = line.startsWith("--", 2 + multipart.boundary.length);
      this.#flushEncoded();
      this.#stack.length = last ? depth : depth + 1;
      this.#part = last ? plainText() : { ...plainText(), kind: multipart.defaultKind };
      if (multipart.defaultKind === "message" && !last) this.#part.subtype = "rfc822";
      this.#place = last ? "text" : "part header";
      return;
    }
  }

  #writeText(piece: string, whole: boolean): void {
    if (this.#place === "part header" && piece === "") return;
    if (this.#part.eightBit) this.#encode(piece, whole);
    else this.#out += whole ? `${piece}\r\n` : piece;
  }

  #encode(piece: string, whole: boolean): void {
    for (let index = 0; index < piece.length; index++) {
      if (this.#encoded.length > softBreak_chars) {
        this.#out += `${this.#encoded}=\r\n`;
        this.#encoded = "";
      }
      this.#encoded += quoted(piece.charCodeAt(index));
    }
    if (!whole) return;
    // White space at the end of a line would be lost on the way.
    const trailing = this.#encoded.at(-1);
    if (trailing === " " || trailing === "\t") {
      this.#encoded = this.#encoded.slice(0, -1) + escaped(trailing.charCodeAt(0));
    }
    this.#out += `${this.#encoded}\r\n`;
    this.#encoded = "";
  }

  #flushEncoded(): void {
    if (this.#encoded) this.#out += `${this.#encoded}=\r\n`;
    this.#encoded = "";
  }
}

function quoted(code: number): string {
  const plain = (code >= 0x20 && code <= 0x7e && code !== 0x3d) || code === 0x09;
  return plain ? String.fromCharCode(code) : escaped(code);
}

const escaped = (code: number): string => `=${code.toString(16).toUpperCase().padStart(2, "0")}`;

const withoutComments = (value: string): string => value.replace(/\((?:[^()\\]|\\.)*\)/gs, " ");
