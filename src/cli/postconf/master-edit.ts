import { EditError, type EditMode, type PhysicalLine, physicalLines } from "../../conf/edit.ts";
import { splitFields } from "../../conf/master-cf.ts";
import { splitNameValue, trimSpace } from "../../conf/text.ts";
import { entryText } from "./format.ts";
import {
  checkFields,
  commandField,
  EntryError,
  fieldNames,
  isOption,
  normalArguments,
  parseFields,
} from "./master-entries.ts";
import { fieldIndex } from "./master-show.ts";
import { matchesService, parseServicePattern, type ServicePattern } from "./service-pattern.ts";

/**
 * Edits of master.cf: services (-M), their fields (-F), their parameters (-P).
 * A service that is edited is written anew in postconf's columns; every other
 * line stays, comments between an edited service's lines go before it.
 */
export type MasterMode = "M" | "F" | "P";

interface Request {
  /** As on the command line. */
  readonly raw: string;
  readonly pattern: ServicePattern;
  readonly value: string;
  matches: number;
}

type Warn = (text: string) => void;

const options = "-Me, -Fe, -Pe, -X, or -#";

/** The requests of a command line. Throws EditError or EntryError, in Postfix's words. */
export function parseMasterEdits(args: readonly string[], master: MasterMode, mode: EditMode): Request[] {
  return args.map((raw) => {
    if (raw.includes("\n")) throw new EditError(`${options} accept no multi-line input`);
    const text = raw.replace(/^[ \t\r\v\f]+/, "");
    if (text.startsWith("#")) throw new EditError(`${options} accept no comment input`);
    const { name, value } = mode === "set" ? assignment(text, raw) : { name: nameOnly(text), value: "" };
    return { raw, pattern: patternOf(name, master, mode === "set" ? value : ""), value, matches: 0 };
  });
}

function assignment(text: string, raw: string): { readonly name: string; readonly value: string } {
  const parsed = splitNameValue(text);
  if (parsed.error !== undefined) throw new EditError(`${parsed.error}: "${raw}"`);
  return parsed;
}

function nameOnly(text: string): string {
  if (text.includes("=")) throw new EditError("-X or -# requires names without value");
  return trimSpace(text);
}

function patternOf(name: string, master: MasterMode, value: string): ServicePattern {
  const parts = master === "M" ? 2 : 3;
  const pattern = parseServicePattern(name, parts, parts);
  const blank = /[ \t\r\n]/.test(value);
  switch (master) {
    case "M":
      if (!pattern) throw new EditError("-Me, -MX or -M# requires service_name/type");
      return pattern;
    case "F":
      if (!pattern) throw new EditError("-Fe or -FX requires service_name/type/field_name");
      if (pattern.detail === "*") throw new EditError("-Fe does not accept wild-card field name");
      if (fieldIndex(pattern.detail) < commandField && blank)
        throw new EditError("-Fe does not accept whitespace in non-command field");
      return pattern;
    case "P":
      if (!pattern) throw new EditError("-Pe or -PX requires service_name/type/parameter");
      if (pattern.detail === "*") throw new EditError("-Pe does not accept wild-card parameter name");
      if (blank) throw new EditError("-Pe does not accept whitespace in parameter value");
      return pattern;
  }
}

interface Editing {
  readonly path: string;
  readonly master: MasterMode;
  readonly mode: EditMode;
  readonly requests: readonly Request[];
  readonly warn: Warn;
}

/** The text of a master.cf with the edits made. Throws EditError or EntryError. */
export function editMaster(text: string, editing: Editing): string {
  const { master, mode, requests, warn } = editing;
  for (const request of requests) request.matches = 0;
  const lines = physicalLines(text);
  const kept: string[] = [];
  let matched = false;
  for (let at = 0; at < lines.length; at++) {
    const { line, kind } = lines[at] as PhysicalLine;
    if (kind === "other") {
      kept.push(line);
      continue;
    }
    if (kind === "start") {
      const edited = editLine(lines, at, kept, editing);
      matched = edited.matched;
      at = edited.at;
      if (edited.text !== undefined) {
        kept.push(edited.text);
        continue;
      }
    }
    if (!matched) kept.push(line);
    else if (mode === "comment") kept.push(`#${line}`);
  }
  for (const { matches, raw, value } of requests) {
    if (matches > 0) continue;
    if (master !== "M") warn(`unmatched service_name/type: "${raw}"`);
    else if (mode === "set") kept.push(written(parseFields(value, "", `: "${raw}"`, warn)));
  }
  return kept.join("");
}

const written = (fields: readonly string[]) => `${entryText(fields, { fold: true })}\n`;

interface Edited {
  /** Does a request name this service? */
  readonly matched: boolean;
  /** What is written in its place, if something is. */
  readonly text?: string;
  /** The last line that has been dealt with. */
  readonly at: number;
}

/** What becomes of the service that starts in the line `at`. Comments between its lines go to `kept`. */
function editLine(lines: readonly PhysicalLine[], at: number, kept: string[], editing: Editing): Edited {
  const { requests, master, mode, path, warn } = editing;
  const { name, type } = nameAndType((lines[at] as PhysicalLine).line, `file ${path}: line ${at + 1}: `);
  let matched = false;
  let last = at;
  let fields: string[] | undefined;
  for (const request of requests) {
    if (master === "M") {
      const added = mode === "set" ? parseFields(request.value, "", `: "${request.raw}"`, warn) : undefined;
      if (!matchesService(request.pattern, name, type) && !(added && isFor(added, name, type))) continue;
      if (++request.matches === 1 && added) fields = added;
    } else if (matchesService(request.pattern, name, type)) {
      request.matches++;
      if (!fields) {
        const whole = gather(lines, at, kept);
        last = whole.at;
        fields = parseFields(whole.text, `file ${path}: line ${at + 1}: `, "", warn);
      }
      if (master === "F") setField(fields, request, warn);
      else setParameter(fields, request, mode);
    } else continue;
    matched = true;
  }
  return fields ? { matched, text: written(fields), at: last } : { matched, at: last };
}

const isFor = ([ownName = "", ownType = ""]: readonly string[], name: string, type: string) =>
  matchesService({ name: ownName, type: ownType }, name, type);

function nameAndType(line: string, where: string): { readonly name: string; readonly type: string } {
  const [name, type] = line.split(/[ \t\r\n]+/).filter(Boolean);
  if (name === undefined || type === undefined)
    throw new EntryError(`${where}specify service name and type on the same line`);
  if (name.includes("=")) throw new EntryError(`${where}service name syntax "${name}" is unsupported with ${options}`);
  if (/[=/]/.test(type)) throw new EntryError(`${where}service type syntax "${type}" is unsupported with ${options}`);
  return { name, type };
}

/** The whole text of the service that starts in the line `start`, and its last line. */
function gather(lines: readonly PhysicalLine[], start: number, kept: string[]): { text: string; at: number } {
  let text = (lines[start] as PhysicalLine).line;
  let at = start;
  for (let next = lines[at + 1]; next && next.kind !== "start"; next = lines[at + 1]) {
    if (next.kind === "continued") text += next.line;
    else kept.push(next.line);
    at++;
  }
  return { text, at };
}

function setField(fields: string[], { pattern, value }: Request, warn: Warn): void {
  const index = fieldIndex(pattern.detail);
  if (index < commandField) {
    fields[index] = value;
  } else {
    const [command = "", ...given] = splitFields(value);
    fields.splice(index, fields.length, command, ...normalArguments(given, warn));
  }
  checkFields(fields, value);
}

/** Sets or takes out each `-o name=…`; where there is none, a new one comes behind the other options. */
function setParameter(fields: string[], { pattern, value }: Request, mode: EditMode): void {
  let found = false;
  let at: number = fieldNames.length;
  while (isOption(fields[at] ?? "")) {
    if (fields[at] !== "-o") {
      at++;
    } else if (!fields[at + 1]?.startsWith(`${pattern.detail}=`)) {
      at += 2;
    } else if (mode === "set") {
      found = true;
      fields[at + 1] = `${pattern.detail}=${value}`;
      at += 2;
    } else {
      fields.splice(at, 2);
    }
  }
  if (mode === "set" && !found) fields.splice(Math.min(at, fields.length), 0, "-o", `${pattern.detail}=${value}`);
}
