import { isUtf8 } from "node:buffer";
import { type ByteOptions, type ByteTable, type ByteTableType, textTable, usualBytes } from "../byte-table.ts";
import type { Answer } from "../maps.ts";
import type { TableContext } from "../table.ts";
import type { KeyDomains, OpenPart } from "./key-domains.ts";
import { holdsPassword, parameterFile, TableParameters } from "./parameters.ts";

/** What a type of table that asks a database makes of its parameters. */
export interface DatabaseTable {
  /** The value of a key that is text without NULs. */
  find(key: string): Answer<string | undefined>;
  close(): void;
}

/** Everything that opening such a table needs. */
export interface Opening {
  /** "pgsql:/etc/postfix/x.cf" */
  readonly reference: string;
  readonly parameters: TableParameters;
  readonly context: TableContext;
  /** Opens another table, to ask it; absent where none can be opened. */
  readonly part: OpenPart | undefined;
}

/** The type of that name. Opening is as root, at start; `open` must load all code that look-ups need. */
export function databaseType(type: string, open: (opening: Opening) => Promise<DatabaseTable>): ByteTableType {
  const openBytes = async (name: string, context: TableContext, options: ByteOptions): Promise<ByteTable> => {
    const parameters = await TableParameters.read(name, context);
    const parts: ByteTable[] = [];
    const table = bytesOf(
      await open({ reference: `${type}:${name}`, parameters, context, part: partOf(context, options, parts) }),
    );
    const close = (): void => {
      for (const each of [table, ...parts]) each.close?.();
    };
    return { ...table, close };
  };
  return {
    name: type,
    patterns: false,
    files: parameterFile,
    holdsPassword,
    open: async (name, context) => textTable(await openBytes(name, context, usualBytes), `${type}:${name}`, context),
    openBytes,
  };
}

/** A key that is not UTF-8, or holds a NUL, is in no database. */
function bytesOf(table: DatabaseTable): ByteTable {
  return {
    find(key) {
      if (!isUtf8(key) || key.includes(0)) return undefined;
      const found = table.find(key.toString());
      return found instanceof Promise ? found.then(toBytes) : toBytes(found);
    },
    close: () => table.close(),
  };
}

const toBytes = (text: string | undefined): Buffer | undefined => (text === undefined ? undefined : Buffer.from(text));

/** Tables that are bytes are gathered in `opened`, to be closed with the whole; others belong to who opens them. */
function partOf(context: TableContext, { part: bytePart }: ByteOptions, opened: ByteTable[]): OpenPart | undefined {
  if (!bytePart) return context.part;
  return async (reference) => {
    const table = await bytePart(reference);
    opened.push(table);
    return {
      get(key) {
        const found = table.find(Buffer.from(key));
        return found instanceof Promise ? found.then((late) => late?.toString()) : found?.toString();
      },
    };
  };
}

/** Asks for keys of these domains alone. */
export function withinDomains(domains: KeyDomains, find: DatabaseTable["find"]): DatabaseTable["find"] {
  return (key) => {
    const within = domains(key);
    if (within instanceof Promise) return within.then((is) => (is ? find(key) : undefined));
    return within ? find(key) : undefined;
  };
}
