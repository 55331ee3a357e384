/**
 * The line structure that main.cf, master.cf and other Postfix files share: a
 * logical line starts without white space and goes on in lines that start with
 * some; empty lines, and lines whose first visible character is `#`, are left out,
 * wherever they stand. A continuation keeps its white space.
 */
export interface LogicalLine {
  readonly text: string;
  /** The number of its first physical line, from 1. */
  readonly line: number;
}

export interface LogicalLines {
  readonly lines: readonly LogicalLine[];
  /** What is odd but not fatal, in Postfix's words; line 0 where it names none. */
  readonly warnings: readonly { readonly line: number; readonly text: string }[];
}

/** Bytes of a configuration file. */
export const file_limit = 4 << 20;
/** Characters of a logical line. */
export const line_limit = 1 << 20;

/** White space as C's isspace() has it. */
export const space = /[ \t\r\n\v\f]/;

export class LineTooLong extends Error {
  readonly line: number;

  constructor(line: number) {
    super(`longer than ${line_limit} characters`);
    this.line = line;
  }
}

/** Splits a file's text. Throws LineTooLong. */
export function logicalLines(text: string): LogicalLines {
  const lines: LogicalLine[] = [];
  const warnings: { line: number; text: string }[] = [];
  let parts: string[] = [];
  let length = 0;
  let first = 0;
  const complete = () => {
    if (parts.length === 0) return;
    const whole = parts.join("");
    if (space.test(whole[0] ?? ""))
      warnings.push({ line: 0, text: `logical line must not start with whitespace: "${glimpse(whole)}"` });
    else lines.push({ text: whole.split("\0", 1)[0] ?? "", line: first });
    parts = [];
    length = 0;
  };

  let number = 0;
  for (const physical of physicalLines(text)) {
    number++;
    const start = firstVisible(physical);
    if (start < 0 || physical[start] === "#") continue;
    if (start === 0) complete();
    if (parts.length === 0) first = number;
    length += physical.length;
    if (length > line_limit) throw new LineTooLong(first);
    if (physical.includes("\0")) warnings.push({ line: number, text: "text after null byte may be ignored" });
    parts.push(physical);
  }
  complete();
  return { lines, warnings };
}

/** Lines without their newline; the last may lack it. */
function* physicalLines(text: string): Generator<string> {
  for (let start = 0; start < text.length; ) {
    const end = text.indexOf("\n", start);
    yield end < 0 ? text.slice(start) : text.slice(start, end);
    if (end < 0) return;
    start = end + 1;
  }
}

function firstVisible(line: string): number {
  for (let at = 0; at < line.length; at++) if (!space.test(line[at] ?? "")) return at;
  return -1;
}

function glimpse(text: string): string {
  return text.length > 30 ? `${text.slice(0, 30)}...` : text;
}

export type NameValue =
  | { readonly name: string; readonly value: string; readonly error?: undefined }
  | { readonly error: string };

/** `name = value`; white space around both is dropped. The error is in Postfix's words. */
export function splitNameValue(text: string): NameValue {
  const [, name, value] = /^[ \t\r\n\v\f]*([^ \t\r\n\v\f=]+)[ \t\r\n\v\f]*=([\s\S]*)$/.exec(text) ?? [];
  if (name !== undefined && value !== undefined) return { name, value: trimSpace(value) };
  return { error: /^[ \t\r\n\v\f]*(=|$)/.test(text) ? "missing attribute name" : "missing '=' after attribute name" };
}

/** Without white space at either end. (String.trim() would take Unicode's as well.) */
export function trimSpace(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && space.test(text[start] ?? "")) start++;
  while (end > start && space.test(text[end - 1] ?? "")) end--;
  return text.slice(start, end);
}
