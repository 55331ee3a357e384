/**
 * Where in a MIME message a reader is (RFC 2045, 2046): in the message's own header, in
 * the header of a part, in that of a message inside, or in text. Follows what it is told,
 * field by field and line by line, and holds nothing of the message but boundaries.
 *
 *   primary, part, nested -> text, nested   endOfHeader
 *   text                  -> part, text     line, at a boundary
 *
 * A part whose closing boundary is missing ends with the boundary of a part around it. Bounded by
 * nestingLimit boundaries of boundaryLimit_bytes.
 */
import { type HeaderToken, headerItems } from "./header-tokens.ts";

export type Place = "primary" | "part" | "nested" | "text";

/**
 * What is wrong with a message's structure.
 *   nesting         more multiparts in one another than mime_nesting_limit
 *   8-bit header    octets above 127 in a header
 *   8-bit text      the same in text that was declared, or is by default, 7bit
 *   encoding        a multipart or message that is not merely 7bit, 8bit or binary
 */
export type MimeProblem = "nesting" | "8-bit header" | "8-bit text" | "encoding";

interface Part {
  readonly type: "text" | "message" | "multipart" | "other";
  readonly subtype: string;
}

interface Multipart {
  readonly boundary: Buffer;
  /** What its parts are unless they say so themselves. */
  readonly part: Part;
}

const plainText: Part = { type: "text", subtype: "plain" };
const nestedMessage: Part = { type: "message", subtype: "rfc822" };
const preamble: Part = { type: "other", subtype: "" };
const identities: readonly string[] = ["7bit", "8bit", "binary"];
const domains = new Map(identities.map((name) => [name, name] as const));
for (const encoding of ["base64", "quoted-printable"]) domains.set(encoding, "7bit");
const dash = 0x2d;

export interface MimeLimits {
  /** mime_nesting_limit */
  readonly nesting: number;
  /** mime_boundary_length_limit */
  readonly boundary_bytes: number;
}

export class MimeStructure {
  place: Place = "primary";
  readonly #limits: MimeLimits;
  #part = plainText;
  #encoding = "7bit";
  /** What the encoding yields: 7bit, 8bit or binary. */
  #domain = "7bit";
  /** The innermost last. */
  readonly #open: Multipart[] = [];

  constructor(limits: MimeLimits) {
    this.#limits = limits;
  }

  /** Text here is 7bit, declared so or not. */
  get sevenBit(): boolean {
    return this.#encoding === "7bit";
  }

  /** A field of the header in hand; `text` is what stands behind its colon, one character a byte. */
  field(name: string, text: string): MimeProblem | undefined {
    if (name === "content-transfer-encoding") this.#transferEncoding(text);
    return name === "content-type" ? this.#contentType(headerItems(text)) : undefined;
  }

  /** The header in hand ends; `blank`: with an empty line, as it should. */
  endOfHeader(blank: boolean): MimeProblem | undefined {
    const { type, subtype } = this.#part;
    const problem = this.#encodingAllowed() ? undefined : "encoding";
    if (blank && type === "message" && (subtype === "rfc822" || subtype === "global")) {
      this.#enter("nested", plainText);
    } else if (blank && type === "multipart") this.#enter("text", preamble);
    else this.place = "text";
    return problem;
  }

  /** A line of text, without its end. True where it is a boundary. */
  line(text: Buffer): boolean {
    if (this.#open.length === 0 || text.length < 3 || text[0] !== dash || text[1] !== dash) return false;
    for (let index = this.#open.length - 1; index >= 0; index--) {
      const { boundary, part } = this.#open[index] as Multipart;
      const end = 2 + boundary.length;
      if (text.length < end || boundary.compare(text, 2, end) !== 0) continue;
      this.#open.length = index + 1;
      if (text[end] === dash && text[end + 1] === dash) {
        this.#open.pop();
        this.#enter("text", preamble);
      } else this.#enter("part", part);
      return true;
    }
    return false;
  }

  #enter(place: Place, part: Part): void {
    this.place = place;
    this.#part = part;
    this.#encoding = "7bit";
    this.#domain = "7bit";
  }

  #contentType(items: readonly HeaderToken[][]): MimeProblem | undefined {
    const [type, slash, subtype] = items[0] ?? [];
    const named = slash?.value === "/" && subtype?.kind === "word" ? subtype.value.toLowerCase() : "";
    const main = type?.kind === "word" ? type.value.toLowerCase() : "";
    if (items.length === 0 || !type) {
      this.#part = { type: "other", subtype: "" };
      return undefined;
    }
    if (main === "text" || main === "message") this.#part = { type: main, subtype: named };
    if (main !== "multipart") return undefined;
    this.#part = { type: "multipart", subtype: named };
    return this.#boundaries(items.slice(1), named === "digest" ? nestedMessage : plainText);
  }

  /** Each of several is looked for: which of them other programs take is not known. */
  #boundaries(items: readonly HeaderToken[][], part: Part): MimeProblem | undefined {
    for (const [name, equals, value] of items) {
      if (name?.kind !== "word" || name.value.toLowerCase() !== "boundary" || equals?.value !== "=" || !value) continue;
      // Counted as in Postfix, where the first multipart is level -1.
      if (this.#open.length - 1 > this.#limits.nesting) return "nesting";
      const boundary = Buffer.from(value.value, "latin1").subarray(0, this.#limits.boundary_bytes);
      this.#open.push({ boundary: Buffer.from(boundary), part });
    }
    return undefined;
  }

  #transferEncoding(text: string): void {
    const [encoding] = headerItems(text)[0] ?? [];
    const domain = encoding?.kind === "word" ? domains.get(encoding.value.toLowerCase()) : undefined;
    if (domain === undefined) return;
    this.#encoding = (encoding as HeaderToken).value.toLowerCase();
    this.#domain = domain;
  }

  #encodingAllowed(): boolean {
    const { type, subtype } = this.#part;
    if (type === "message" && (subtype === "partial" || subtype === "external-body")) return this.#domain === "7bit";
    const composite = type === "multipart" || (type === "message" && subtype === "rfc822");
    return !composite || this.#encoding === this.#domain;
  }
}
