import { commandText, entryText, fieldsText, fieldText, foldLine, jsonLine } from "./format.ts";
import { commandField, EntryError, fieldNames, type MasterEntry } from "./master-entries.ts";
import { matchesService, parseServicePattern } from "./service-pattern.ts";

/** How -M, -F and -P show master.cf. */
export interface MasterView {
  readonly entries: readonly MasterEntry[];
  /** "name/type/…" patterns; none for everything. */
  readonly patterns: readonly string[];
  /** -f, -h, -H, -j as the command line has them. */
  readonly letters: ReadonlySet<string>;
  /** A value with its `$` expanded as the service sees it; undefined without -x. */
  readonly expand: ((value: string, entry: MasterEntry) => string) | undefined;
  readonly warn: (text: string) => void;
}

/** One of -M, -F and -P. */
interface Mode {
  readonly refusal: string;
  /** How many parts its patterns may have. */
  readonly parts: number;
  /** Lines about one service; `detail` is the pattern's, or "*". */
  show(entry: MasterEntry, detail: string): readonly string[];
  /** Throws EntryError on a detail that there is not. */
  check?(detail: string): void;
}

/** -M: whole services, in the order of the file. Throws EntryError on a pattern that is none. */
export function shownEntries(view: MasterView): string {
  return shown(view, {
    refusal: "-M option requires service_name[/type]",
    parts: 2,
    show(entry) {
      const style = styleOf(view, entry);
      if (!view.letters.has("j")) return [entryText(entry.fields, style)];
      return [jsonLine(`${entry.name}/${entry.type}`, fieldsText(entry.fields, 0, style))];
    },
  });
}

/** -F: a line a field. Throws EntryError. */
export function shownFields(view: MasterView): string {
  return shown(view, {
    refusal: "-F option requires service_name[/type[/field]]",
    parts: 3,
    check: fieldIndex,
    show(entry, detail) {
      const fields = detail === "*" ? fieldNames.keys() : [fieldIndex(detail)];
      return [...fields].map((field) => fieldLine(view, entry, field));
    },
  });
}

/** -P: a line a parameter that the service has with -o. Throws EntryError. */
export function shownServiceParameters(view: MasterView): string {
  return shown(view, {
    refusal: "-P option requires service_name[/type[/parameter]]",
    parts: 3,
    show(entry, detail) {
      const { overrides } = entry;
      const names = detail === "*" ? [...overrides.keys()].sort() : [detail].filter((name) => overrides.has(name));
      return names.map((name) => parameterLine(view, entry, name, overrides.get(name) ?? ""));
    },
  });
}

/** The place of a field among the eight. Throws EntryError. */
export function fieldIndex(name: string): number {
  const at = (fieldNames as readonly string[]).indexOf(name);
  if (at < 0) throw new EntryError(`invalid service attribute name: "${name}"`);
  return at;
}

function shown({ entries, patterns, warn }: MasterView, { refusal, parts, show, check }: Mode): string {
  const requests = patterns.map((text) => {
    const pattern = parseServicePattern(text, 1, parts);
    if (!pattern) throw new EntryError(refusal);
    if (pattern.detail !== "*") check?.(pattern.detail);
    return { text, pattern, matched: false };
  });
  const lines: string[] = [];
  for (const entry of entries) {
    if (requests.length === 0) lines.push(...show(entry, "*"));
    for (const request of requests) {
      if (!matchesService(request.pattern, entry.name, entry.type)) continue;
      const some = show(entry, request.pattern.detail);
      request.matched ||= some.length > 0;
      lines.push(...some);
    }
  }
  for (const { matched, text } of requests) if (!matched) warn(`unmatched request: "${text}"`);
  return lines.map((line) => `${line}\n`).join("");
}

function styleOf({ letters, expand }: MasterView, entry: MasterEntry) {
  const fold = letters.has("f");
  return expand ? { fold, expand: (value: string) => expand(value, entry) } : { fold };
}

function fieldLine(view: MasterView, entry: MasterEntry, field: number): string {
  const { letters } = view;
  const name = `${entry.name}/${entry.type}/${fieldNames[field]}`;
  const value = entry.fields[field] ?? "";
  const style = styleOf(view, entry);
  const isCommand = field === commandField;
  if (letters.has("j")) return jsonLine(name, isCommand ? fieldsText(entry.fields, field, style) : value);
  if (letters.has("H")) return name;
  const start = letters.has("h") ? "" : `${name} = `;
  return isCommand ? commandText(start, entry.fields, style) : fieldText(start, value);
}

function parameterLine({ letters, expand }: MasterView, entry: MasterEntry, name: string, value: string): string {
  const full = `${entry.name}/${entry.type}/${name}`;
  const fold = letters.has("f");
  if (letters.has("H")) return foldLine(full, fold);
  const text = expand ? expand(value, entry) : value;
  if (letters.has("j")) return jsonLine(full, text);
  return foldLine(letters.has("h") ? text : `${full} = ${text}`, fold);
}
