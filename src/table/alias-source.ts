import { isUtf8 } from "node:buffer";
import { printable } from "./printable.ts";
import type { TakeLine } from "./source.ts";

/**
 * The logical lines of aliases(5): `name: value, value, …`, taken apart into
 * the tokens of RFC 822 and put together again, so that what the index holds
 * is in one form: the name without quotes, values with them, white space only where it is needed.
 * Latin-1 strings stand for bytes.
 */
export interface AliasOptions {
  readonly path: string;
  readonly utf8: boolean;
  warn(text: string): void;
}

export function aliasLines({ path, utf8, warn }: AliasOptions, take: (name: Buffer, value: Buffer) => void): TakeLine {
  return (line, number) => {
    if (utf8 && !isUtf8(line)) {
      warn(`${path}, line ${number}: non-UTF-8 input "${printable(line)}" -- ignoring this line`);
      return;
    }
    const tokens = tokensOf(line.toString("latin1"));
    if (tokens.length === 0) return;
    const colon = tokens.findIndex(({ type }) => type === ":");
    const name = tokens.slice(0, colon);
    const value = tokens.slice(colon + 1);
    if (colon < 1 || value.length === 0 || name.some(({ type }) => type === ",")) {
      warn(`${path}, line ${number}: need name:value pair`);
    } else if (name.some(({ type }) => type === "@" || type === "%")) {
      warn(`${path}, line ${number}: name must be local`);
    } else take(Buffer.from(joined(name, inner), "latin1"), Buffer.from(joined(value, outer), "latin1"));
  };
}

/** `type` is the operator itself, or the kind of word. */
interface Token {
  readonly type: string;
  readonly text: string;
}

const operators = '|%!()<>@,;:\\".[]';
const isBlank = (char: string): boolean => char === " " || char === "\t" || char === "\r" || char === "\n";

function tokensOf(line: string): Token[] {
  const tokens: Token[] = [];
  for (let at = 0; at < line.length; ) {
    const char = line[at] ?? "";
    if (isBlank(char)) {
      at++;
    } else if (char === "(") {
      const end = endOfComment(line, at);
      tokens.push({ type: "comment", text: line.slice(at, end) });
      at = end;
    } else if (char === "[" || char === '"') {
      const close = char === "[" ? "]" : char;
      const { text, end } = collect(line, at + 1, (each) => each !== close);
      tokens.push({ type: char === "[" ? "literal" : "quoted", text });
      at = end + 1;
    } else if (char !== "\\" && operators.includes(char)) {
      tokens.push({ type: char, text: char });
      at++;
    } else {
      const { text, end } = collect(line, at, (each) => !isBlank(each) && !operators.includes(each));
      tokens.push({ type: needsQuotes(text) ? "quoted" : "atom", text });
      at = end;
    }
  }
  return tokens;
}

/** Characters as long as they are wanted, and whatever stands behind a backslash. */
function collect(line: string, start: number, wanted: (char: string) => boolean): { text: string; end: number } {
  let text = "";
  let at = start;
  for (; at < line.length; at++) {
    let char = line[at] ?? "";
    if (char === "\\") {
      if (++at >= line.length) break;
      char = line[at] ?? "";
    } else if (!wanted(char)) break;
    text += isBlank(char) ? " " : char;
  }
  return { text, end: at };
}

function endOfComment(line: string, start: number): number {
  let depth = 0;
  let at = start;
  while (at < line.length) {
    const char = line[at++];
    if (char === "(") depth++;
    else if (char === "\\") at++;
    else if (char === ")" && --depth === 0) break;
  }
  return Math.min(at, line.length);
}

const needsQuotes = (text: string): boolean =>
  /[\x00-\x20\x7f]/.test(text) || [...text].some((char) => operators.includes(char));

/** A word as it is meant. */
const inner = ({ type, text }: Token): string => (type === "literal" ? `[${text}]` : text);

/** A word as it is written. */
function outer({ type, text }: Token): string {
  if (type === "quoted") return `"${text.replace(/["\\\r\n]/g, "\\$&")}"`;
  return type === "literal" ? `[${text.replace(/[\\\r\n]/g, "\\$&")}]` : text;
}

const words: readonly string[] = ["atom", "quoted", "comment", "literal"];

function joined(tokens: readonly Token[], write: (token: Token) => string): string {
  let text = "";
  tokens.forEach((token, index) => {
    text += write(token);
    const next = tokens[index + 1];
    if (!next) return;
    if (token.type === "," || next.type === "<" || (words.includes(token.type) && words.includes(next.type)))
      text += " ";
  });
  return text;
}
