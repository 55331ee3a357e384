import { type ByteOptions, type ByteTable, type ByteTableType, textTable, usualBytes } from "./byte-table.ts";
import { type TableContext, TableError } from "./table.ts";
import { texthash } from "./texthash.ts";

/**
 * given: a source as texthash reads it, which whoever opens tables holds in memory under that name: what has no file, such
 * as a password from the environment.
 */
export const given: ByteTableType = {
  name: "given",
  patterns: false,
  files: () => ({}),
  open: async (name, context) => textTable(await openGiven(name, context, usualBytes), `given:${name}`, context),
  openBytes: openGiven,
};

function openGiven(name: string, context: TableContext, options: ByteOptions): Promise<ByteTable> {
  const text = context.given?.[name];
  if (text === undefined) throw new TableError("config", `given:${name}: nothing was given under this name`);
  const read = async () => ({ bytes: Buffer.from(text), mtime_ms: 0 });
  return texthash.openBytes(name, { ...context, read }, options);
}
