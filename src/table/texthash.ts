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
import { entryLines, LogicalLines } from "./source.ts";
import { type TableContext, TableError } from "./table.ts";

/**
 * texthash: a postmap(1) source, read whole when the table is opened; there
 * is no index to rebuild. A key that comes twice is an error, as in Postfix: which of the two was meant cannot be told.
 */
export const texthash: ByteTableType = {
  name: "texthash",
  patterns: false,
  files: (name) => ({ source: name }),
  open: async (name, context) => textTable(await openText(name, context, usualBytes), `texthash:${name}`, context),
  openBytes: openText,
};

async function openText(name: string, context: TableContext, options: ByteOptions): Promise<ByteTable> {
  const { bytes } = await context.read(name);
  const entries = new Entries();
  const converted: (() => Promise<void>)[] = [];
  const add = (key: Buffer, value: Buffer, number: number): void => {
    const folded = context.foldCase ? foldBytes(key, options.utf8) : key;
    if (entries.add(folded, value, false, options.duplicates === "replace")) return;
    const text = `${name}, line ${number}: duplicate entry: "${key}"`;
    if (options.duplicates === "refuse") throw new TableError("config", text);
    if (options.duplicates === "warn") context.warn(text);
  };
  const take = entryLines(
    { path: name, utf8: options.utf8, sayIgnored: true, warn: (text) => context.warn(text) },
    (line, keyEnd, valueStart, valueEnd, number) => {
      const key = line.subarray(0, keyEnd);
      const value = line.subarray(valueStart, valueEnd);
      const { convert } = options;
      if (!convert) return add(key, value, number);
      converted.push(async () => {
        const made = await convert(value, `${name}, line ${number}`);
        if (made) add(key, made, number);
      });
    },
  );
  const lines = new LogicalLines(name, take, (text) => context.warn(text));
  lines.feed(bytes);
  lines.end();
  for (const each of converted) await each();
  return entriesTable(entries);
}
