/**
 * Sets of bytes: what one place of a pattern matches. Keys are bytes, shown as
 * one character each (latin1), and letters are those of ASCII, as in Postfix,
 * which matches in the C locale.
 */
export type Bytes = ReadonlySet<number>;

const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, index) => from + index);

export const bytesOf = (text: string): Bytes => new Set([...text].map((char) => char.charCodeAt(0)));
export const between = (from: number, to: number): Bytes => new Set(range(from, to));
export const union = (...sets: readonly Bytes[]): Bytes => new Set(sets.flatMap((set) => [...set]));
export const except = (set: Bytes): Bytes => new Set(range(0, 255).filter((byte) => !set.has(byte)));
export const without = (set: Bytes, byte: number): Bytes => new Set([...set].filter((each) => each !== byte));

const digit = between(0x30, 0x39);
const upper = between(0x41, 0x5a);
const lower = between(0x61, 0x7a);
const alpha = union(upper, lower);
const alnum = union(alpha, digit);
export const space: Bytes = bytesOf("\t\n\v\f\r ");
export const word: Bytes = union(alnum, bytesOf("_"));
export const digits: Bytes = digit;

/** [:name:] */
export const classes: Readonly<Record<string, Bytes>> = {
  alpha,
  digit,
  alnum,
  upper,
  lower,
  space,
  blank: bytesOf("\t "),
  cntrl: union(between(0, 0x1f), between(0x7f, 0x7f)),
  graph: between(0x21, 0x7e),
  print: between(0x20, 0x7e),
  punct: new Set(range(0x21, 0x7e).filter((byte) => !alnum.has(byte))),
  xdigit: bytesOf("0123456789abcdefABCDEF"),
  word,
  ascii: between(0, 0x7f),
};

/** With the other case of every letter. */
export function bothCases(set: Bytes): Bytes {
  const both = new Set(set);
  for (const byte of set) if (alpha.has(byte)) both.add(byte ^ 0x20);
  return both;
}

/** The set as a character class that RE2 and RegExp read alike. */
export function classText(set: Bytes): string {
  if (set.size === 0) return "[^\\x00-\\xff]";
  const sorted = [...set].sort((a, b) => a - b);
  let text = "";
  for (let at = 0; at < sorted.length; ) {
    let end = at;
    while (sorted[end + 1] === (sorted[end] as number) + 1) end++;
    text += hex(sorted[at] as number) + (end > at ? `-${hex(sorted[end] as number)}` : "");
    at = end + 1;
  }
  return set.size === 1 ? text : `[${text}]`;
}

const hex = (byte: number): string => `\\x${byte.toString(16).padStart(2, "0")}`;
