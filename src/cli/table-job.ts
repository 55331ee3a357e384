import type { Settings } from "../conf/settings.ts";
import { readWhole } from "../runtime/files.ts";
import type { ByteOptions } from "../table/byte-table.ts";
import { errorText } from "../table/error-text.ts";
import { parseReference, type Reference } from "../table/open.ts";
import type { TakeLine } from "../table/source.ts";
import { type TableContext, TableError } from "../table/table.ts";
import { filesInBase64 } from "./file-values.ts";
import type { CommandIo } from "./io.ts";
import type { TableOptions, Usage } from "./table-options.ts";

/**
 * What postmap(1) and postalias(1) have in common: building an index from a
 * source, adding to it, asking, deleting and listing.
 */
export interface TableProgram extends Usage {
  /** Before the colon of messages. */
  readonly name: string;
  /** Between key and value in output. */
  readonly separator: string;
  /** What is done with the logical lines of a source. */
  lines(building: Building): TakeLine;
  /** What is added when the source has been read. */
  finish?(building: Building, settings: Settings): void;
}

/** An index in the making, as TableProgram sees it. */
export interface Building {
  /** The source, as messages name it. */
  readonly path: string;
  readonly utf8: boolean;
  readonly incremental: boolean;
  readonly now_ms: number;
  warn(text: string): void;
  /** Adds an entry, or says that there is one already. Without `nul` it is stored as it stands, unfolded. */
  add(key: Buffer, value: Buffer, options?: { readonly plain?: boolean; readonly replace?: boolean }): void;
  /** The same with a value that may name files (-F). `where` is for messages. */
  addValue(key: Buffer, value: Buffer, where: string): void;
}

/** One run of such a program: what it was asked for, and with what it does it. */
export interface TableJob {
  readonly program: TableProgram;
  readonly options: TableOptions;
  readonly operands: readonly string[];
  readonly settings: Settings;
  readonly io: CommandIo;
  readonly utf8: boolean;
  warn(text: string): void;
}

/** The largest index that is read: as much as one Buffer should hold. */
const indexLimit_bytes = 4 * 1024 * 1024 * 1024;

export const referenceTo = ({ settings }: TableJob, operand: string): Reference =>
  parseReference(operand, settings.value("default_database_type"));

/** What tables are opened with. */
export function tableContext({ options, settings, io, warn }: TableJob): TableContext {
  return {
    foldCase: options.fold,
    read: async (path) => {
      try {
        const { bytes, facts } = await readWhole(io.runtime.files, path, indexLimit_bytes);
        return { bytes, mtime_ms: facts.mtime_ms };
      } catch (error) {
        throw new TableError("config", `open database ${path}: ${errorText(error)}`);
      }
    },
    warn,
    env: io.env,
    random: io.runtime.random,
    network: io.runtime,
    parameter: (name) => (settings.has(name) ? settings.value(name) : undefined),
  };
}

/** A value that names files becomes what is in them (-F); undefined where it cannot, which is reported. */
export async function fromFiles(
  { io, warn }: TableJob,
  value: Buffer,
  where: string,
): ReturnType<NonNullable<ByteOptions["convert"]>> {
  const made = await filesInBase64(io.runtime.files, value.toString());
  if (Buffer.isBuffer(made)) return made;
  warn(`${where}: ${made}: skipping this entry`);
  return undefined;
}

export const notUtf8 = "malformed UTF-8 or invalid codepoint";

/** A key of standard input ends at its first NUL. */
export function untilNul(key: Buffer): Buffer {
  const nul = key.indexOf(0);
  return nul < 0 ? key : key.subarray(0, nul);
}
