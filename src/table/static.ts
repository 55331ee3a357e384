import { insideBraces } from "./braces.ts";
import { type ByteOptions, type ByteTable, type ByteTableType, textTable, usualBytes } from "./byte-table.ts";
import { type TableContext, TableError } from "./table.ts";

/** static: every key has the same value: `static:value`, or `static:{ text with spaces }`. It cannot be listed. */
export const staticTable: ByteTableType = {
  name: "static",
  patterns: false,
  files: () => ({}),
  open: async (name, context) => textTable(await openStatic(name, context, usualBytes), `static:${name}`, context),
  openBytes: openStatic,
};

async function openStatic(name: string, _context: TableContext, { convert }: ByteOptions): Promise<ByteTable> {
  const braced = name.startsWith("{") ? insideBraces(name) : { inside: name };
  if ("problem" in braced) throw new TableError("config", `bad static:name syntax: ${braced.problem}`);
  const text = Buffer.from(braced.inside);
  const value = convert ? await convert(text, `static:${name}`) : text;
  if (!value) throw new TableError("config", `static:${name}: cannot be read`);
  return { find: () => value };
}
