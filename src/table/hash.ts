import { HashFile } from "./berkeley/hash-reader.ts";
import { type ByteOptions, type ByteTable, type ByteTableType, textTable, usualBytes } from "./byte-table.ts";
import { type TableContext, TableError } from "./table.ts";

/**
 * hash: an index in a Berkeley DB hash file, `name.db`, that postmap(1) makes
 * from the source `name`. Postfix writes keys and values with a NUL behind
 * them; indexes of other programs may be without. What the first hit shows is taken to hold for the whole file.
 */
export const hash: ByteTableType = {
  name: "hash",
  patterns: false,
  files: (name) => ({ index: `${name}.db`, source: name }),
  open: async (name, context) => textTable(await openHash(name, context, usualBytes), `hash:${name}`, context),
  openBytes: openHash,
};

async function openHash(name: string, context: TableContext, { nul }: ByteOptions): Promise<ByteTable> {
  const path = `${name}.db`;
  const { bytes } = await context.read(path);
  return named(path, () => hashTable(new HashFile(bytes), nul, path));
}

/** What is wrong with the file is said with its name. */
function named<T>(path: string, use: () => T): T {
  try {
    return use();
  } catch (error) {
    if (error instanceof TableError) throw new TableError(error.kind, `open database ${path}: ${error.message}`);
    throw error;
  }
}

function hashTable(file: HashFile, nul: ByteOptions["nul"], path: string): ByteTable {
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
    *entries() {
      for (const [key, value] of file.entries()) yield [untilNul(key), untilNul(value)] as const;
    },
  };
}

function untilNul(bytes: Buffer): Buffer {
  if (bytes[bytes.length - 1] === 0 && bytes.indexOf(0) === bytes.length - 1) return bytes.subarray(0, -1);
  const nul = bytes.indexOf(0);
  return nul < 0 ? bytes : bytes.subarray(0, nul);
}
