import { beginOfField } from "../rfc5322/header.ts";
import { TableError } from "../table/table.ts";

/**
 * What a table says to a header or a line of text (header_checks(5)): a word in any case, and what follows
 * it, one character a byte.
 */
export interface CheckAnswer {
  /** In upper case. */
  readonly action: string;
  readonly text: string;
  /** As the table gave it. */
  readonly value: string;
}

export function parseAnswer(value: Buffer): CheckAnswer {
  const text = value.toString("latin1");
  const [, word = "", rest = ""] = /^([^ \t]*)\s*(.*)$/s.exec(text) ?? [];
  return { action: word.toUpperCase(), text: rest, value: text };
}

/** What is checked: decides what REPLACE and PREPEND may put there. */
export type CheckedThing = "header" | "body";

/**
 * Why the text of a PREPEND or REPLACE cannot be used, as Postfix logs it; undefined where it can. A header must
 * be one: the message would end its header there.
 */
export function unusable({ action, text }: CheckAnswer, thing: CheckedThing, map: string): string | undefined {
  if (text === "") return `${action} action without text in ${map} map`;
  if (thing === "body" || beginOfField(Buffer.from(text, "latin1"))) return undefined;
  return `bad ${action} header text "${shown(text)}" in ${map} map -- need "headername: headervalue"`;
}

/**
 * The text of a PREPEND or REPLACE as it stands in a message, without a line end. A pattern may have put a folded header
 * into it: its lines stay lines of one header. In text there is one line only.
 */
export function written(text: string, thing: CheckedThing): Buffer {
  const [first = "", ...more] = text.split(/\r*\n/);
  const lines = thing === "body" ? [[first, ...more].join(" ")] : [first, ...more.map(indented)];
  return Buffer.from(lines.join("\r\n").replace(/\r(?!\n)/g, " "), "latin1");
}

const indented = (line: string): string => (/^[ \t]/.test(line) ? line : `\t${line}`);

/** How much is logged, or told a client, of what a table says. */
export const shownText_bytes = 2000;

/** A text of bytes for the log: as UTF-8, what could forge a line as `?`, and no longer than `most_bytes`. */
export function shown(text: string | Buffer, most_bytes: number = Number.MAX_SAFE_INTEGER): string {
  const bytes = Buffer.isBuffer(text) ? text : Buffer.from(text, "latin1");
  return bytes
    .subarray(0, most_bytes)
    .toString()
    .replace(/[\x00-\x1f\x7f\ufffd]/g, "?");
}

/** A table answers with nothing: somebody means something by it; what, we cannot know. */
export function emptyAnswer(parameter: string, key: Buffer): TableError {
  const first = `${parameter} lookup of ${shown(key)} returns an empty string result`;
  return new TableError("config", `${first}\n${parameter} should return NO RESULT in case of NOT FOUND`);
}
