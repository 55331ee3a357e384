import { errorCode, type Files, readWhole } from "../runtime/files.ts";
import { TableError } from "../table/table.ts";

/** What an `:include:` file holds, or why its contents must not be used whatever they are. */
export type IncludedText =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "refused"; readonly why: string };

/** The largest file of addresses that is read. */
const includeLimit_bytes = 4 * 1024 * 1024;

/**
 * Reads an `:include:` file of an alias. As Postfix, takes regular files that
 * not everybody can write, links to them included. Rejects with a TableError
 * when it cannot be read: a file that is missing while somebody edits it must
 * not make mail bounce.
 */
export async function readInclude(files: Files, path: string): Promise<IncludedText> {
  try {
    const { kind, mode } = await files.facts(path);
    if (kind !== "file") return { kind: "refused", why: "is not a regular file" };
    if (mode & 0o002) return { kind: "refused", why: "can be written by everybody" };
    const { bytes } = await readWhole(files, path, includeLimit_bytes);
    return { kind: "text", text: bytes.toString() };
  } catch (error) {
    throw new TableError("config", `cannot read :include:${path}: ${errorCode(error) || "unknown error"}`);
  }
}
