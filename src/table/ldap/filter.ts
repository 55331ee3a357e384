import { boolean, element, octets, sequence } from "./ber.ts";

/**
 * Search filters as text (RFC 4515) become those of the protocol (RFC 4511 section 4.5.1.7). As in
 * OpenLDAP, the outermost parentheses may be missing and white space may stand between filters.
 * Throws FilterError.
 */
export class FilterError extends Error {}

/** Filters within filters, to this depth. */
const depthLimit = 50;

export function encodeFilter(text: string): Buffer {
  const reader = new FilterReader(text);
  return reader.whole();
}

const tags = { and: 0xa0, or: 0xa1, not: 0xa2, equal: 0xa3, substrings: 0xa4, greater: 0xa5, less: 0xa6 } as const;
const presentTag = 0x87;
const approximateTag = 0xa8;
const extensibleTag = 0xa9;

class FilterReader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  whole(): Buffer {
    this.#space();
    const bare = this.#text[this.#at] !== "(";
    const filter = bare ? this.#item(this.#rest()) : this.#filter(0);
    this.#space();
    if (this.#at < this.#text.length) this.#wrong();
    return filter;
  }

  #filter(depth: number): Buffer {
    if (depth > depthLimit) throw new FilterError("filters are nested too deep");
    this.#expect("(");
    this.#space();
    const sign = this.#text[this.#at] ?? "";
    if (!"&|!".includes(sign) || sign === "") {
      const item = this.#item(this.#untilClosing());
      this.#expect(")");
      return item;
    }
    this.#at++;
    const parts: Buffer[] = [];
    for (this.#space(); this.#text[this.#at] === "("; this.#space()) parts.push(this.#filter(depth + 1));
    this.#expect(")");
    if (sign === "!" && parts.length !== 1) this.#wrong();
    return element(sign === "&" ? tags.and : sign === "|" ? tags.or : tags.not, ...parts);
  }

  #rest(): string {
    const start = this.#at;
    this.#at = this.#text.length;
    return this.#text.slice(start);
  }

  #untilClosing(): string {
    const start = this.#at;
    while (this.#at < this.#text.length && this.#text[this.#at] !== ")")
      this.#at += this.#text[this.#at] === "\\" ? 2 : 1;
    return this.#text.slice(start, this.#at);
  }

  /** `attribute=value` and its relatives. */
  #item(text: string): Buffer {
    const [, name = "", sign = "", value = ""] = /^([^=<>~]*?)(=|<=|>=|~=|:=)(.*)$/s.exec(text) ?? [];
    if (sign === ":=") return extensible(name, value);
    if (!attributeName.test(name)) return this.#wrong();
    if (sign === "=") return equality(name, value);
    return element(
      sign === ">=" ? tags.greater : sign === "<=" ? tags.less : approximateTag,
      octets(name),
      octets(unescaped(value)),
    );
  }

  #space(): void {
    while (this.#text[this.#at] === " ") this.#at++;
  }

  #expect(char: string): void {
    if (this.#text[this.#at] !== char) this.#wrong();
    this.#at++;
  }

  #wrong(): never {
    throw new FilterError(`bad search filter: ${this.#text.slice(0, 200)}`);
  }
}

/** A name or an object identifier, with options. */
const attributeName = /^[A-Za-z0-9][A-Za-z0-9.-]*(?:;[A-Za-z0-9-]+)*$/;

function equality(name: string, value: string): Buffer {
  if (value === "*") return octets(name, presentTag);
  const pieces = value.split("*");
  const [first = "", ...others] = pieces;
  if (others.length === 0) return element(tags.equal, octets(name), octets(unescaped(first)));
  const last = others.pop() ?? "";
  const substrings = [
    ...(first === "" ? [] : [octets(unescaped(first), 0x80)]),
    ...others.filter((each) => each !== "").map((each) => octets(unescaped(each), 0x81)),
    ...(last === "" ? [] : [octets(unescaped(last), 0x82)]),
  ];
  return element(tags.substrings, octets(name), sequence(...substrings));
}

/** `attribute:dn:rule:=value`, of which either attribute or rule may be missing, and `:dn`. */
function extensible(head: string, value: string): Buffer {
  const [name = "", ...more] = head.split(":");
  const dn = more[0]?.toLowerCase() === "dn";
  const [rule = "", ...rest] = dn ? more.slice(1) : more;
  const named = (text: string): boolean => text === "" || attributeName.test(text);
  if (rest.length > 0 || !named(name) || !named(rule) || (name === "" && rule === "")) {
    throw new FilterError(`bad search filter: ${head}:=`);
  }
  return element(
    extensibleTag,
    ...(rule === "" ? [] : [octets(rule, 0x81)]),
    ...(name === "" ? [] : [octets(name, 0x82)]),
    octets(unescaped(value), 0x83),
    ...(dn ? [boolean(true, 0x84)] : []),
  );
}

/** `\2a` is a byte; `\*`, `\(`, `\)` and `\\`, of older filters, are the character. */
function unescaped(text: string): Buffer {
  const parts: Buffer[] = [];
  for (const [piece] of text.matchAll(/\\[0-9a-fA-F]{2}|\\[*()\\]|[^\\]+|\\/g)) {
    if (piece === "\\") throw new FilterError("bad search filter: a backslash without two digits");
    if (piece[0] !== "\\") parts.push(Buffer.from(piece));
    else parts.push(piece.length === 3 ? Buffer.from(piece.slice(1), "hex") : Buffer.from(piece.slice(1)));
  }
  return Buffer.concat(parts);
}

/** A piece of a key inside a filter (RFC 4515 section 3). */
export const quoteForFilter = (text: string): string =>
  text.replace(/[*()\\\0]/g, (char) => `\\${char.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`);

/** A piece of a key inside a distinguished name (RFC 4514 section 2.4): more than that asks for is escaped, as in Postfix. */
export const quoteForName = (text: string): string =>
  text.replace(/[ \t"#+,;<>\\\0]/g, (char) => `\\${char.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`);
