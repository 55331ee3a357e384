import { Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import { errorCode, type Files, openFlags } from "../runtime/files.ts";

/**
 * The mail log as files: the one that is written to, and those that it was before it was rotated (NAME.1, NAME.2.gz,
 * NAME.20261125-080000, …). They are read line by line, and no more is kept than is asked for.
 */
export interface LogFile {
  readonly path: string;
  readonly mtime_ms: number;
}

/** Where distributions have the mail log that syslog writes. */
export const syslogFiles = ["/var/log/mail.log", "/var/log/maillog"] as const;

const mostFiles = 60;
const piece_bytes = 256 * 1024;
/** A line that is longer is nobody's. */
const line_bytes = 1024 * 1024;

/** The log and its rotated neighbours, the newest first; none where it cannot be read. */
export async function logFiles(files: Files, path: string): Promise<LogFile[]> {
  const slash = path.lastIndexOf("/");
  const [directory, base] = [path.slice(0, slash) || "/", path.slice(slash + 1)];
  const names = await files.list(directory).catch(() => []);
  const found: LogFile[] = [];
  for (const name of names) {
    if (name !== base && !name.startsWith(`${base}.`) && !name.startsWith(`${base}-`)) continue;
    const each = `${directory === "/" ? "" : directory}/${name}`;
    const facts = await files.facts(each).catch(() => undefined);
    if (facts?.kind === "file") found.push({ path: each, mtime_ms: facts.mtime_ms });
  }
  // The one that is written to is the newest, whatever its time says.
  const rank = (each: LogFile): number => (each.path.endsWith(`/${base}`) ? Number.POSITIVE_INFINITY : each.mtime_ms);
  return found.sort((a, b) => rank(b) - rank(a)).slice(0, mostFiles);
}

/** Lines that have one of these texts in them, in their order. Throws Node's error, or zlib's. */
export async function* linesWith(files: Files, path: string, needles: readonly string[]): AsyncGenerator<string> {
  const bytes = needles.map((each) => Buffer.from(each));
  let rest = Buffer.alloc(0);
  for await (const piece of path.endsWith(".gz") ? unpacked(files, path) : pieces(files, path)) {
    const whole = rest.length > 0 ? Buffer.concat([rest, piece]) : piece;
    const end = whole.lastIndexOf(10) + 1;
    yield* matching(whole.subarray(0, end), bytes);
    rest = Buffer.from(whole.subarray(end));
    if (rest.length > line_bytes) rest = Buffer.alloc(0);
  }
  yield* matching(rest, bytes);
}

/** Lines are looked at one by one only where there is something to be found. */
function* matching(bytes: Buffer, needles: readonly Buffer[]): Generator<string> {
  for (let start = 0; start < bytes.length; ) {
    const found = needles.map((each) => bytes.indexOf(each, start)).filter((at) => at >= 0);
    if (found.length === 0) return;
    const at = Math.min(...found);
    const begin = bytes.lastIndexOf(10, at) + 1;
    const end = bytes.indexOf(10, at);
    yield bytes.toString("utf8", begin, end < 0 ? bytes.length : end);
    if (end < 0) return;
    start = end + 1;
  }
}

async function* pieces(files: Files, path: string): AsyncGenerator<Buffer> {
  const file = await files.open(path, openFlags.read | openFlags.nonBlocking);
  try {
    for (let position = 0; ; ) {
      const piece = Buffer.allocUnsafe(piece_bytes);
      const count = await file.read(piece, position);
      if (count === 0) return;
      position += count;
      yield piece.subarray(0, count);
    }
  } finally {
    await file.close();
  }
}

async function* unpacked(files: Files, path: string): AsyncGenerator<Buffer> {
  const packed = Readable.from(pieces(files, path));
  const gunzip = createGunzip();
  packed.on("error", (error) => gunzip.destroy(error));
  packed.pipe(gunzip);
  yield* gunzip as AsyncIterable<Buffer>;
}

export const isMissing = (error: unknown): boolean => errorCode(error) === "ENOENT";
