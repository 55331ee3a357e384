import { type ByteOptions, type ByteTable, type ByteTableType, textTable, usualBytes } from "./byte-table.ts";
import type { IndexFile, IndexFormat } from "./index-format.ts";
import { type TableContext, TableError } from "./table.ts";

/**
 * Tables whose entries are in an index beside their source: what `hash` and
 * the like have in common. A type gives the format of its file; opening, NULs
 * and messages are here, building and changing in postmap(1).
 *
 * Postfix writes keys and values of most types with a NUL behind them; indexes of other programs may be without. What the
 * first hit shows is taken to hold for the whole file.
 */
export interface IndexedType extends ByteTableType {
  readonly index: IndexFormat;
}

/** The type of that name, of this format. */
export function indexedType(name: string, index: IndexFormat): IndexedType {
  const openBytes = (table: string, context: TableContext, { nul }: ByteOptions): Promise<ByteTable> =>
    openIndex(index, `${table}${index.suffix}`, context, nul);
  return {
    name,
    patterns: false,
    index,
    files: (table) => ({ index: `${table}${index.suffix}`, source: table }),
    open: async (table, context) => textTable(await openBytes(table, context, usualBytes), `${name}:${table}`, context),
    openBytes,
  };
}

async function openIndex(
  index: IndexFormat,
  path: string,
  context: TableContext,
  nul: ByteOptions["nul"],
): Promise<ByteTable> {
  const { bytes } = await context.read(path);
  return named(path, () => indexTable(index, index.open(bytes), nul, path));
}

/** What is wrong with the file is said with its name. */
export function named<T>(path: string, use: () => T): T {
  try {
    return use();
  } catch (error) {
    if (error instanceof TableError) throw new TableError(error.kind, `open database ${path}: ${error.message}`);
    throw error;
  }
}

function indexTable(index: IndexFormat, file: IndexFile, nul: ByteOptions["nul"], path: string): ByteTable {
  let tries = nul;
  let scratch = Buffer.allocUnsafe(512);
  return {
    find: (key) =>
      named(path, () => {
        const length = key.length;
        if (length >= scratch.length) scratch = Buffer.allocUnsafe(length * 2);
        scratch.set(key);
        scratch[length] = 0;
        let found: Buffer | undefined;
        if (tries !== "without") {
          found = file.find(scratch, 0, length + 1);
          if (found) tries = "with";
        }
        if (!found && tries !== "with") {
          found = file.find(scratch, 0, length);
          if (found) tries = "without";
        }
        return found && untilNul(found);
      }),
    ...(index.changeable
      ? {
          *entries() {
            for (const [key, value] of file.entries()) yield [untilNul(key), untilNul(value)] as const;
          },
        }
      : {}),
  };
}

function untilNul(bytes: Buffer): Buffer {
  if (bytes[bytes.length - 1] === 0 && bytes.indexOf(0) === bytes.length - 1) return bytes.subarray(0, -1);
  const nul = bytes.indexOf(0);
  return nul < 0 ? bytes : bytes.subarray(0, nul);
}
