import { bracedLength, bracedWords, insideBraces, trimmed } from "./braces.ts";
import {
  type ByteOptions,
  type ByteTable,
  type ByteTableType,
  entriesTable,
  textTable,
  usualBytes,
} from "./byte-table.ts";
import { Entries } from "./entries.ts";
import { foldBytes } from "./fold.ts";
import { type TableContext, TableError } from "./table.ts";

/**
 * inline: the entries stand in the configuration itself:
 * `inline:{ key=value, { other key = value, with commas } }`. Of a key that comes twice the last one counts.
 */
export const inline: ByteTableType = {
  name: "inline",
  patterns: false,
  files: () => ({}),
  open: async (name, context) => textTable(await openInline(name, context, usualBytes), `inline:${name}`, context),
  openBytes: openInline,
};

async function openInline(name: string, context: TableContext, options: ByteOptions): Promise<ByteTable> {
  const need = `"inline:${name}"; need "inline:{name=${options.convert ? "filename" : "value"}...}"`;
  const length = bracedLength(name);
  if (length < 3 || length !== name.length) throw new TableError("config", `bad syntax: ${need}`);
  const entries = new Entries();
  for (const word of bracedWords(name.slice(1, -1))) {
    const { key, value, problem } = pairOf(word);
    if (problem) throw new TableError("config", `${problem}: ${need}`);
    const bytes = Buffer.from(value);
    const stored = options.convert ? await options.convert(bytes, `inline:${name}`) : bytes;
    if (!stored) throw new TableError("config", `cannot be read: ${need}`);
    const keyBytes = Buffer.from(key);
    entries.add(context.foldCase ? foldBytes(keyBytes, options.utf8) : keyBytes, stored, false, true);
  }
  if (entries.size === 0) throw new TableError("config", `empty table: ${need}`);
  return entriesTable(entries);
}

/** `key = value`; the key ends at the first white space or "=" outside double quotes. */
function pairOf(word: string): { key: string; value: string; problem?: string } {
  const braced = word.startsWith("{") ? insideBraces(word) : { inside: word };
  if ("problem" in braced) return { key: "", value: "", problem: braced.problem };
  const text = trimmed(braced.inside);
  if (text === "") return { key: "", value: "", problem: "no key found; expected format: key = value" };
  const key = /^(?:\\.?|"(?:\\.|[^"\\])*"|[^\s="\\])*/s.exec(text)?.[0] ?? "";
  const rest = text.slice(key.length).replace(/^[ \t-\r]+/, "");
  if (rest.startsWith('"')) return { key, value: "", problem: `unbalanced '"'` };
  if (!rest.startsWith("=")) return { key, value: "", problem: "missing '=' after attribute name" };
  return { key, value: trimmed(rest.slice(1)) };
}
