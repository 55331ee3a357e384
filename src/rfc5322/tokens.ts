/**
 * The tokens of address text (RFC 5322 section 3.2, with section 4.4's relics and
 * the routing operators % and !), and text made of them again. Everything scans:
 * what is not closed goes on to the end. Postfix: tok822_scan, tok822_internalize,
 * tok822_externalize.
 *
 * Text may be decoded as UTF-8, or as latin1 with one character a byte: what is above
 * ASCII stands for itself. Work is linear in the text.
 */

export type TokenKind = "word" | "quoted" | "literal" | "comment" | "operator";

export interface Token {
  readonly kind: TokenKind;
  /** Without quotes and brackets, backslashes taken off, each white space a blank; a comment is kept as it is written. */
  readonly value: string;
}

/** header_address_token_limit's default. */
export const manyTokens = 10240;

/** A run of what stands for itself: no white space, no RFC 822 special, none of the routing operators. */
const plainRun = /[^\t\n\r "%!|()<>@,;:\\.[\]]+/y;

/** White space dropped. What stands behind `tokenLimit` tokens is not looked at. */
export function scanTokens(text: string, tokenLimit = manyTokens): Token[] {
  const scanner = new Scanner(text);
  const tokens: Token[] = [];
  for (let token = scanner.next(); token; token = scanner.next()) {
    tokens.push(token);
    if (tokens.length >= tokenLimit) break;
  }
  return tokens;
}

class Scanner {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  next(): Token | undefined {
    const text = this.#text;
    while (isSpace(text.charCodeAt(this.#at))) this.#at++;
    if (this.#at >= text.length) return undefined;
    const char = text[this.#at] as string;
    if (char === "(") return { kind: "comment", value: this.#comment() };
    if (char === '"') return { kind: "quoted", value: this.#delimited('"') };
    if (char === "[") return { kind: "literal", value: this.#delimited("]") };
    if (char === "\\" || !operators.includes(char)) return this.#word();
    this.#at++;
    return { kind: "operator", value: char };
  }

  /** Comments nest. */
  #comment(): string {
    const text = this.#text;
    const start = this.#at;
    let depth = 0;
    let at = start;
    for (; at < text.length; at++) {
      const char = text[at];
      if (char === "\\") at++;
      else if (char === "(") depth++;
      else if (char === ")" && --depth === 0) {
        at++;
        break;
      }
    }
    this.#at = Math.min(at, text.length);
    return text.slice(start, this.#at);
  }

  #delimited(closing: string): string {
    const text = this.#text;
    let value = "";
    let from = this.#at + 1;
    let at = from;
    for (; at < text.length && text[at] !== closing; at++) {
      if (text[at] !== "\\") continue;
      value += text.slice(from, at);
      from = ++at;
    }
    value += text.slice(from, at);
    this.#at = Math.min(at + 1, text.length);
    return blanked(value);
  }

  /** A word may hold quoted pairs; one that would not be a word without its backslashes counts as quoted. */
  #word(): Token {
    const text = this.#text;
    let value = "";
    let escaped = false;
    while (this.#at < text.length) {
      if (text[this.#at] === "\\") {
        const char = text[this.#at + 1] ?? "";
        value += char;
        this.#at += 1 + char.length;
        escaped = true;
        continue;
      }
      plainRun.lastIndex = this.#at;
      const run = plainRun.exec(text)?.[0];
      if (run === undefined) break;
      value += run;
      this.#at += run.length;
    }
    if (escaped) value = blanked(value);
    return { kind: needsQuotes.test(value) ? "quoted" : "word", value };
  }
}

const operators = "%!|)<>@,;:.]";
const needsQuotes = /[\x00-\x20\x7f"%!|()<>@,;:\\.[\]]/;

const isSpace = (code: number): boolean => code === 0x20 || code === 0x09 || code === 0x0d || code === 0x0a;

/** A line end is one white space, however it is written. */
function blanked(value: string): string {
  return /[\t\r\n]/.test(value) ? value.replace(/\r\n|[\t\r\n]/g, " ") : value;
}

/**
 * The tokens' text without quotes and backslashes. With `spaced`, a blank stands between
 * two tokens that would otherwise run together, such as two quoted strings.
 */
export function plainText(tokens: readonly Token[], spaced = false): string {
  let text = "";
  for (let at = 0; at < tokens.length; at++) {
    const { kind, value } = tokens[at] as Token;
    text += kind === "literal" ? `[${value}]` : value;
    if (spaced && needsBlank(tokens[at] as Token, tokens[at + 1])) text += " ";
  }
  return text;
}

/** The tokens' text, each quoted as it needs to be for itself. */
export function writtenText(tokens: readonly Token[], spaced = false): string {
  let text = "";
  for (let at = 0; at < tokens.length; at++) {
    const token = tokens[at] as Token;
    text += writtenToken(token);
    if (isOperator(token, ",") || (spaced && needsBlank(token, tokens[at + 1]))) text += " ";
  }
  return text;
}

export function writtenToken({ kind, value }: Token): string {
  if (kind === "quoted") return `"${value.replace(/["\\\r\n]/g, "\\$&")}"`;
  if (kind === "literal") return `[${value.replace(/[\\\r\n]/g, "\\$&")}]`;
  return value;
}

function needsBlank({ kind, value }: Token, next: Token | undefined): boolean {
  if (next === undefined) return false;
  if (isOperator(next, "<")) return true;
  return kind === "operator" ? value === "," : next.kind !== "operator";
}

export function isOperator(token: Token | undefined, value: string): boolean {
  return token?.kind === "operator" && token.value === value;
}
