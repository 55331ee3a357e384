import { commandName, splitFields, withoutBraces } from "../../conf/master-cf.ts";
import { logicalLines, splitNameValue } from "../../conf/text.ts";

/**
 * A service of master.cf as postconf sees it: texts, not meanings, so that
 * what the relay would refuse can still be shown and mended.
 */
export interface MasterEntry {
  readonly name: string;
  readonly type: string;
  /** The last part of the command's path. */
  readonly command: string;
  /**
   * Eight fields, then the command's arguments in one form: "-o" and its
   * "name=value" are two, and the braces around an argument are gone.
   */
  readonly fields: readonly string[];
  /** Names and values of -o; of a name given twice the last value. */
  readonly overrides: ReadonlyMap<string, string>;
}

/** The names of the eight fields, as -F has them. */
export const fieldNames = [
  "service",
  "type",
  "private",
  "unprivileged",
  "chroot",
  "wakeup",
  "process_limit",
  "command",
] as const;
export const commandField = fieldNames.length - 1;

/** An entry cannot be read; why, in Postfix's words. */
export class EntryError extends Error {}

type Warn = (text: string) => void;

/** The services of a master.cf. Throws EntryError. */
export function masterEntries(text: string, path: string, warn: Warn): readonly MasterEntry[] {
  const { lines, warnings } = logicalLines(text);
  for (const each of warnings) warn(`${path}: ${each.text}`);
  return lines.map(({ text: entry, line }) => entryOf(parseFields(entry, `file ${path}: line ${line}: `, "", warn)));
}

/** The fields of an entry's text. Throws EntryError; `before` and `behind` go around "bad field count". */
export function parseFields(entry: string, before: string, behind: string, warn: Warn): string[] {
  const fields = splitFields(entry);
  if (fields.length < fieldNames.length) throw new EntryError(`${before}bad field count${behind}`);
  checkFields(fields, entry);
  return [...fields.slice(0, fieldNames.length), ...normalArguments(fields.slice(fieldNames.length), warn)];
}

/** Takes the eight fields for what they may be. Throws EntryError that shows `entry`. */
export function checkFields(fields: readonly string[], entry: string): void {
  const [, type = "", , , , wakeup = "", maxproc = ""] = fields;
  const refuse = (field: string, value: string) => {
    throw new EntryError(`invalid ${field} field "${value}" in "${entry.replaceAll("\n", " ")}"`);
  };
  if (!["unix", "fifo", "inet", "pass", "unix-dgram"].includes(type)) refuse("type", type);
  for (const [at, flag] of fieldNames.slice(2, 5).entries()) {
    const value = fields[at + 2] ?? "";
    if (!/^[yn-]$/.test(value)) refuse(flag, value);
  }
  if (!/^(-\??|\d*\??)$/.test(wakeup)) refuse("wakeup", wakeup);
  if (!/^(-|\d+)$/.test(maxproc)) refuse("process_limit", maxproc);
}

/** Is it an option, so that what follows may be one too? */
export const isOption = (argument: string) => argument.startsWith("-") && argument !== "--";

/** A command's arguments, in the one form of MasterEntry.fields. */
export function normalArguments(given: readonly string[], warn: Warn): string[] {
  const complain = (text: string) => warn(`master.cf: ${text}`);
  const normal: string[] = [];
  let at = 0;
  for (; isOption(given[at] ?? ""); at++) {
    const option = given[at] ?? "";
    const o = option.indexOf("o", 1);
    if (o !== 1) normal.push(o < 0 ? option : option.slice(0, o));
    if (o < 0) continue;
    normal.push("-o");
    const value = option.slice(o + 1) || given[++at];
    if (value === undefined) break;
    normal.push(value.startsWith("{") ? normalAssignment(withoutBraces(value, complain), complain) : value);
  }
  for (const argument of given.slice(at)) {
    normal.push(argument.startsWith("{") ? withoutBraces(argument, complain) : argument);
  }
  return normal;
}

function normalAssignment(text: string, complain: Warn): string {
  const parsed = splitNameValue(text);
  if (parsed.error === undefined) return `${parsed.name}=${parsed.value}`;
  complain(`${parsed.error}: "${text}"`);
  return text;
}

export function entryOf(fields: readonly string[]): MasterEntry {
  const [name = "", type = "", , , , , , command = ""] = fields;
  const overrides = new Map<string, string>();
  for (let at = fieldNames.length; isOption(fields[at] ?? ""); at++) {
    if (fields[at] !== "-o") continue;
    const parsed = splitNameValue(fields[++at] ?? "");
    if (parsed.error === undefined) overrides.set(parsed.name, parsed.value);
  }
  return { name, type, command: commandName(command), fields, overrides };
}
