import Sqlite from "better-sqlite3";
import type { Read, ReadKind, ReadOf, ReadResultOf } from "../engine.ts";
import { state } from "../engine.ts";
import { parseId } from "../id.ts";
import type { BodyReader } from "../message.ts";
import { entryOf } from "../row.ts";
import { type QueueCounts, type QueueEntry, QueueError } from "../store.ts";
import { QueueReads } from "./queue-reads.ts";
import { assertQueue, migrations } from "./schema.ts";

/**
 * A queue file seen from outside: for commands, while the relay runs and while
 * it does not. Reads in pages, never in one long transaction, so that the
 * relay's log can be tidied meanwhile; changes nothing. It blocks its thread: no
 * relay uses it.
 */
export interface QueueReader {
  /** A page in order of ids, beginning after `after`; empty at the end. */
  list(after: string | undefined, limit: number): QueueEntry[];
  counts(): QueueCounts;
  /** One message, or undefined. */
  find(id: string): QueueEntry | undefined;
  body(id: string): BodyReader;
  close(): void;
}

/**
 * Opens `path` (see queueFile()). A queue that has not been made yet is empty. Throws SchemaError for what is
 * not a queue, Error for one of an earlier version, and SQLite's error ("unable to open database file") where it may not be read.
 */
export function openQueueReader(path: string): QueueReader {
  const db = openReadOnly(path);
  if (!db) return emptyQueue;
  let reads: QueueReads;
  try {
    const version = assertQueue(db);
    if (version === 0) {
      db.close();
      return emptyQueue;
    }
    if (version < migrations.length) {
      throw new Error(`${path} was made by an earlier Postern: the next start makes it one that can be read`);
    }
    reads = new QueueReads(db);
  } catch (error) {
    db.close();
    throw error;
  }
  return readerOf(reads, () => void db.close());
}

const emptyQueue: QueueReader = {
  list: () => [],
  counts: () => ({ active: 0, deferred: 0, hold: 0, corrupt: 0 }),
  find: () => undefined,
  body: () => ({ chunk: async () => undefined }),
  close: () => {},
};

function readerOf(reads: QueueReads, close: () => void): QueueReader {
  const read = <Kind extends ReadKind>(what: ReadOf<Kind>): ReadResultOf[Kind] =>
    reads.read(what as Read) as ReadResultOf[Kind];
  const list = (after: number, limit: number): QueueEntry[] =>
    read<"list">({ kind: "list", after, limit }).map((row) => entryOf(row).entry);
  return {
    list: (after, limit) => list(after === undefined ? 0 : (parseId(after) ?? 0), limit),
    counts() {
      const counts = read<"counts">({ kind: "counts" });
      const of = (name: keyof typeof state): number => counts[state[name]] ?? 0;
      return { active: of("active"), deferred: of("deferred"), hold: of("hold"), corrupt: of("corrupt") };
    },
    find(id) {
      const number = parseId(id);
      const [entry] = number === undefined ? [] : list(number - 1, 1);
      return entry && parseId(entry.envelope.id) === number ? entry : undefined;
    },
    body(id) {
      const number = parseId(id);
      return {
        async chunk(index) {
          const chunk = number === undefined ? undefined : read<"chunk">({ kind: "chunk", id: number, index });
          if (chunk === "corrupt")
            throw new QueueError("corrupt", `${id}: part ${index + 1} of its body cannot be read`);
          return chunk && Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
        },
      };
    },
    close,
  };
}

/** undefined: there is no such file. */
export function openReadOnly(path: string): Sqlite.Database | undefined {
  try {
    return new Sqlite(path, { readonly: true, fileMustExist: true, timeout: 5000 });
  } catch (error) {
    // The directory is missing: the driver says so with a TypeError. A missing file SQLite cannot tell from a forbidden one.
    if (error instanceof TypeError) return undefined;
    throw error;
  }
}
