import { statSync } from "node:fs";
import { parentPort } from "node:worker_threads";
import Sqlite from "better-sqlite3";
import type { SqliteReply, SqliteRequest } from "./protocol.ts";

/**
 * The thread of the sqlite tables: queries block, so they are not on the event loop.
 *
 * Files are opened to be read alone, and kept open: the first time is as root, before privileges
 * are dropped. One that was replaced by another file is opened anew.
 */
const port = parentPort;
if (!port) throw new Error("this is a thread's code");

/** How long a table may be locked by a writer, before that is an answer. */
const busy_ms = 5_000;
/** The most that one query may give. */
const valuesLimit_bytes = 16 * 1024 * 1024;

interface OpenFile {
  readonly database: Sqlite.Database;
  readonly identity: string;
}

const files = new Map<string, OpenFile>();

port.on("message", (request: SqliteRequest) => port.postMessage(answer(request)));
new Sqlite(":memory:").close();

function answer(request: SqliteRequest): SqliteReply {
  const { number, path } = request;
  try {
    const { database } = fileAt(path);
    return { number, values: request.kind === "query" ? queried(database, request.query) : [] };
  } catch (error) {
    return { number, problem: error instanceof Error ? error.message : String(error) };
  }
}

function fileAt(path: string): OpenFile {
  const known = files.get(path);
  const identity = identityOf(path, known);
  if (known?.identity === identity) return known;
  const opened = { database: new Sqlite(path, { readonly: true, fileMustExist: true, timeout: busy_ms }), identity };
  known?.database.close();
  files.set(path, opened);
  return opened;
}

/** Where privileges are gone and the directory is closed to us, the file is taken for the one that is open. */
function identityOf(path: string, known: OpenFile | undefined): string {
  try {
    const { dev, ino } = statSync(path);
    return `${dev}:${ino}`;
  } catch (error) {
    if (known && error instanceof Error && "code" in error && error.code === "EACCES") return known.identity;
    throw error;
  }
}

function queried(database: Sqlite.Database, query: string): (string | null)[] {
  const statement = database.prepare<[], unknown[]>(query);
  if (!statement.reader) throw new Error("the query gives no rows");
  const values: (string | null)[] = [];
  let size = 0;
  for (const row of statement.raw(true).safeIntegers(true).iterate()) {
    const value = asText(row[0]);
    values.push(value);
    size += (value?.length ?? 0) + 16;
    if (size > valuesLimit_bytes) throw new Error(`the answer is longer than ${valuesLimit_bytes} bytes`);
  }
  return values;
}

/** As sqlite3_column_text() gives it. */
function asText(value: unknown): string | null {
  if (value === null || value === undefined) return null;
  if (typeof value === "number") return realAsText(value);
  if (Buffer.isBuffer(value)) return untilNul(value.toString());
  return untilNul(String(value));
}

const untilNul = (text: string): string => text.replace(/\0.*/s, "");

/** SQLite writes fifteen digits, and a point always. */
function realAsText(value: number): string {
  if (!Number.isFinite(value)) return value > 0 ? "Inf" : "-Inf";
  const text = String(Number(value.toPrecision(15)));
  const [digits = "", exponent] = text.split("e");
  const pointed = digits.includes(".") ? digits : `${digits}.0`;
  if (exponent === undefined) return pointed;
  return `${pointed}e${exponent[0]}${exponent.slice(1).padStart(2, "0")}`;
}
