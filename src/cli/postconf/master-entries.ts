import { commandName, splitFields } from "../../conf/master-cf.ts";
import { logicalLines, splitNameValue } from "../../conf/text.ts";

/** As much of a service in master.cf as postconf needs: it reads what the relay would refuse. */
export interface MasterEntry {
  readonly name: string;
  readonly command: string;
  /** Names and values of -o. */
  readonly overrides: ReadonlyMap<string, string>;
}

/** The services of a master.cf. Throws an Error in Postfix's words where one cannot be read. */
export function masterEntries(text: string, path: string, warn: (text: string) => void): readonly MasterEntry[] {
  const { lines, warnings } = logicalLines(text);
  for (const each of warnings) warn(`${path}: ${each.text}`);
  return lines.map(({ text: entry, line }) => {
    const fields = splitFields(entry);
    if (fields.length < 8) throw new Error(`file ${path}: line ${line}: bad field count`);
    checkFields(fields, entry);
    const [name = "", , , , , , , command = ""] = fields;
    return { name, command: commandName(command), overrides: overridesOf(fields.slice(8), warn) };
  });
}

const flags = ["private", "unprivileged", "chroot"];

function checkFields(fields: readonly string[], entry: string): void {
  const [, type = "", , , , wakeup = "", maxproc = ""] = fields;
  const refuse = (field: string, value: string) => {
    throw new Error(`invalid ${field} field "${value}" in "${entry.replaceAll("\n", " ")}"`);
  };
  if (!["unix", "fifo", "inet", "pass", "unix-dgram"].includes(type)) refuse("type", type);
  for (const [at, flag] of flags.entries()) {
    const value = fields[at + 2] ?? "";
    if (!/^[yn-]$/.test(value)) refuse(flag, value);
  }
  if (!/^(-\??|\d*\??)$/.test(wakeup)) refuse("wakeup", wakeup);
  if (!/^(-|\d+)$/.test(maxproc)) refuse("process_limit", maxproc);
}

function overridesOf(fields: readonly string[], warn: (text: string) => void): Map<string, string> {
  const overrides = new Map<string, string>();
  for (let at = 0; at < fields.length; at++) {
    const field = fields[at] ?? "";
    if (!field.startsWith("-") || field === "--") break;
    const o = field.indexOf("o", 1);
    if (o < 0) continue;
    const value = field.slice(o + 1) || fields[++at];
    if (value === undefined) break;
    const braced = value.startsWith("{");
    const parsed = splitNameValue(braced ? value.replace(/^\{|\}$/g, "") : value);
    if (parsed.error === undefined) overrides.set(parsed.name, parsed.value);
    else if (braced) warn(`master.cf: ${parsed.error}: "${value}"`);
  }
  return overrides;
}
