import type { ByteOptions, ByteTable, ByteTableType } from "./byte-table.ts";
import { foldBytes } from "./fold.ts";
import { type Table, type TableContext, TableError, type TableType } from "./table.ts";
import { tableTypes } from "./types.ts";

/** A table's name in the configuration, taken apart. */
export interface Reference {
  /** As "type:name", with the default type filled in. */
  readonly text: string;
  readonly type: string;
  readonly name: string;
}

/** "hash:/etc/x" at its first colon; "/etc/x" is of the default type. Throws TableError "config" where a half is empty. */
export function parseReference(text: string, defaultType: string): Reference {
  const colon = text.indexOf(":");
  const type = colon < 0 ? defaultType : text.slice(0, colon);
  const name = colon < 0 ? text : text.slice(colon + 1);
  if (type === "" || name === "") {
    throw new TableError("config", `open dictionary: expecting "type:name" form instead of "${type}:${name}"`);
  }
  return { text: `${type}:${name}`, type, name };
}

/** The type of that name; TableError "config", with the names there are, where there is none. */
export function tableType<T extends TableType>(name: string, types: readonly T[]): T {
  const type = types.find((each) => each.name === name);
  if (type) return type;
  const known = types.map((each) => each.name).join(" ");
  throw new TableError("config", `unsupported dictionary type: ${name} (supported here: ${known})`);
}

/** Opens the table. Throws TableError: "config" what has to be mended by hand, "retry" what may mend itself. */
export async function openTable(
  reference: Reference,
  context: TableContext,
  types: readonly TableType[] = tableTypes,
): Promise<Table> {
  const part = (text: string): Promise<Table> => openTable(parseReference(text, ""), context, types);
  return tableType(reference.type, types).open(reference.name, { part, ...context });
}

/** The same as bytes, for postmap(1). */
export async function openByteTable(
  { type, name }: Pick<Reference, "type" | "name">,
  context: TableContext,
  options: ByteOptions,
  types: readonly ByteTableType[] = tableTypes,
): Promise<ByteTable> {
  const part = async (text: string): Promise<ByteTable> => {
    const reference = parseReference(text, "");
    const table = await openByteTable(reference, context, options, types);
    const patterns = table.patterns ?? tableType(reference.type, types).patterns;
    const fold = context.foldCase && !patterns;
    return {
      patterns,
      find: (key) => table.find(fold ? foldBytes(key, options.utf8) : key),
      close: () => table.close?.(),
    };
  };
  return tableType(type, types).openBytes(name, context, { ...options, part });
}
