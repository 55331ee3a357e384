import { commandField, fieldNames, isOption } from "./master-entries.ts";

/**
 * How postconf lays out what it shows: lines of one space between words,
 * folded on request; columns for master.cf; JSON. A character is a byte.
 */
const width = 80;
const indent = "    ";

/** One space between words; with `fold`, lines shorter than 80, where words allow it. */
export function foldLine(text: string, fold: boolean): string {
  let folded = "";
  let length = 0;
  for (const word of text.split(/[ \t\r\n]+/).filter(Boolean)) {
    if (length > 0) {
      const fits = !fold || length + word.length < width;
      folded += fits ? " " : `\n${indent}`;
      length = fits ? length + 1 : indent.length;
    }
    folded += word;
    length += word.length;
  }
  return folded;
}

/** One JSON object with one member, on a line; bytes that are not ASCII stay as they are. */
export function jsonLine(name: string, value: string): string {
  return `{"${jsonText(name)}": "${jsonText(value)}"}`;
}

const short: Readonly<Record<string, string>> = { "\b": "b", "\f": "f", "\n": "n", "\r": "r", "\t": "t" };

function jsonText(text: string): string {
  return text.replace(/[\x00-\x1f\x7f"\\]/g, (char) => {
    const plain = short[char] ?? (char === '"' || char === "\\" ? char : undefined);
    return `\\${plain ?? `u${char.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}`}`;
  });
}

export interface EntryStyle {
  readonly fold: boolean;
  /** What is shown for the value of an -o; without it, what is written. */
  readonly expand?: (value: string) => string;
}

/** Where the eight fields begin, as long as the ones before are not too long. */
const columns = [0, 11, 17, 25, 33, 41, 49, 57];

/** A service as -M shows it and as edits write it. */
export function entryText(fields: readonly string[], style: EntryStyle): string {
  let text = "";
  for (const [at, column] of columns.entries()) {
    if (at > 0) text = `${text} `.padEnd(column);
    text += fields[at] ?? "";
  }
  return withArguments(text, fields, style, 2);
}

/** A field as -F shows it behind `start`, "name/type/field = " or nothing: too long for the line, on one of its own. */
export function fieldText(start: string, value: string): string {
  return start !== "" && start.length + value.length > width ? `${start}\n${indent}${value}` : `${start}${value}`;
}

/** A command with its arguments, the same way. */
export function commandText(start: string, fields: readonly string[], style: EntryStyle): string {
  return withArguments(fieldText(start, fields[commandField] ?? ""), fields, style, 0);
}

/** The fields of -j: all of them, with a space between, from the field `first` on. */
export function fieldsText(fields: readonly string[], first: number, style: EntryStyle): string {
  const start = fields.slice(first, fieldNames.length).join(" ");
  return [start, ...argumentGroups(fields, style).map(({ text }) => text)].join(" ");
}

/**
 * An -o with its value starts a line of its own when lines are folded; other
 * arguments share one. `reserve` is how much earlier an -o's line counts as full.
 */
function withArguments(
  start: string,
  fields: readonly string[],
  { fold, ...style }: EntryStyle,
  reserve: number,
): string {
  let text = start;
  let length = start.length - (start.lastIndexOf("\n") + 1);
  for (const { text: group, size, alone } of argumentGroups(fields, { fold, ...style })) {
    if (alone) length = width;
    if (length > indent.length) {
      const fits = !fold || length + 1 + size + (alone ? reserve : 0) < width;
      text += fits ? " " : `\n${indent}`;
      length = fits ? length + 1 : indent.length;
    }
    text += group;
    length = alone ? width : length + group.length;
  }
  return text;
}

interface ArgumentGroup {
  readonly text: string;
  /** Its length for folding, braces not counted. */
  readonly size: number;
  /** Is it an -o? */
  readonly alone: boolean;
}

function argumentGroups(fields: readonly string[], { expand = (value) => value }: EntryStyle): ArgumentGroup[] {
  const groups: ArgumentGroup[] = [];
  let options = true;
  for (let at = fieldNames.length; at < fields.length; at++) {
    const argument = fields[at] ?? "";
    options &&= isOption(argument);
    const value = options && argument[1] === "o" ? fields[at + 1] : undefined;
    if (value !== undefined) {
      const text = `${argument} ${braced(expand(value))}`;
      groups.push({ text, size: text.length, alone: true });
      at++;
    } else {
      groups.push({ text: options ? argument : braced(argument), size: argument.length, alone: false });
    }
  }
  return groups;
}

const braced = (text: string) => (/[ \t\r\n]/.test(text) ? `{${text}}` : text);
