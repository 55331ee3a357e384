import { fstatSync } from "node:fs";
import type { Runtime } from "../runtime/runtime.ts";

/**
 * What a command has to do with the world beside its arguments. A command is a
 * function of arguments and a CommandIo that resolves to its exit status, so a
 * test runs it like any other function.
 */
export interface CommandIo {
  readonly runtime: Runtime;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The name that the command was called by, without directories. */
  readonly args0: string;
  /** Standard input; not touched before it is iterated. */
  readonly stdin: AsyncIterable<Buffer>;
  /** Standard output, buffered. What cannot be written because nobody reads any more is dropped. */
  out(text: string | Uint8Array): void;
  /** Sends what `out` has gathered on its way. */
  flush(): void;
  /** Standard error. What went to `out` before comes first. */
  err(text: string): void;
  /** What goes between the interpreter and our own arguments to run this program again. */
  readonly launch: readonly string[];
  /** Where main.cf is unless -c or MAIL_CONFIG says otherwise. */
  readonly directory: string;
  /** How wide the terminal is that a stream goes to, in columns; undefined where it goes to none. */
  readonly columns?: { readonly out: number | undefined; readonly err: number | undefined };
}

export interface RealIo extends CommandIo {
  /** Resolves when all output has left the process. Call it before exiting. */
  finish(): Promise<void>;
}

const flushAt_bytes = 64 * 1024;

/** The process's own streams. A broken pipe ends output quietly, not the command: what it is doing to files still completes. */
export function realIo(runtime: Runtime, directory = "/etc/postfix"): RealIo {
  let waiting: Buffer[] = [];
  let waiting_bytes = 0;
  let broken = false;
  const stop = () => {
    broken = true;
  };
  process.stdout.on("error", stop);
  process.stderr.on("error", () => {});

  const flush = (then?: () => void): void => {
    const bytes = waiting.length === 1 && waiting[0] ? waiting[0] : Buffer.concat(waiting, waiting_bytes);
    waiting = [];
    waiting_bytes = 0;
    if (broken) then?.();
    else if (bytes.length > 0 || then) process.stdout.write(bytes, () => then?.());
  };

  return {
    runtime,
    env: process.env,
    args0: (process.argv[1] ?? "postern").replace(/^.*\//, ""),
    stdin: { [Symbol.asyncIterator]: standardInput },
    out(text) {
      if (broken) return;
      const bytes = typeof text === "string" ? Buffer.from(text) : Buffer.from(text);
      waiting.push(bytes);
      waiting_bytes += bytes.length;
      if (waiting_bytes >= flushAt_bytes) flush();
    },
    flush: () => flush(),
    err(text) {
      flush();
      process.stderr.write(text);
    },
    directory,
    columns: { out: columnsOf(process.stdout), err: columnsOf(process.stderr) },
    launch: [process.argv[1] ?? ""],
    finish: () => new Promise((resolve) => flush(resolve)),
  };
}

function columnsOf(stream: NodeJS.WriteStream): number | undefined {
  return stream.isTTY ? (stream.columns ?? 80) : undefined;
}

/** Node takes what it cannot read, a directory for one, for empty. */
function standardInput(): AsyncIterator<Buffer> {
  if (fstatSync(0).isDirectory())
    throw Object.assign(new Error("EISDIR: standard input is a directory"), { code: "EISDIR" });
  return process.stdin[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
}
