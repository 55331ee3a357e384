import { read } from "node:fs";
import type { Runtime } from "../runtime/runtime.ts";
import { realScreen, type Screen } from "./screen.ts";
import { realTerminal, type Terminal } from "./terminal.ts";

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
  /** Somebody who can be asked; undefined where nobody sits there. */
  readonly terminal?: () => Terminal | undefined;
  /** The whole terminal, to draw on; undefined where there is none, or one that cannot be drawn on. */
  readonly screen?: () => Screen | undefined;
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
  /** Made when there is something to write: streams take a while to load. */
  let streams: { readonly stdout: NodeJS.WriteStream; readonly stderr: NodeJS.WriteStream } | undefined;
  const opened = () => {
    if (streams) return streams;
    streams = { stdout: process.stdout, stderr: process.stderr };
    streams.stdout.on("error", stop);
    streams.stderr.on("error", () => {});
    return streams;
  };

  const flush = (then?: () => void): void => {
    const bytes = waiting.length === 1 && waiting[0] ? waiting[0] : Buffer.concat(waiting, waiting_bytes);
    waiting = [];
    waiting_bytes = 0;
    if (broken || (bytes.length === 0 && !streams)) then?.();
    else if (bytes.length > 0 || then) opened().stdout.write(bytes, () => then?.());
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
      opened().stderr.write(text);
    },
    directory,
    columns: {
      get out() {
        return columnsOf(opened().stdout);
      },
      get err() {
        return columnsOf(opened().stderr);
      },
    },
    launch: [process.argv[1] ?? ""],
    terminal: () => realTerminal(process.stdin, process.stderr),
    screen: () => realScreen(process.stdin, process.stdout, process.env.TERM),
    finish: () => new Promise((resolve) => flush(resolve)),
  };
}

function columnsOf(stream: NodeJS.WriteStream): number | undefined {
  return stream.isTTY ? (stream.columns ?? 80) : undefined;
}

const inputSize_bytes = 64 * 1024;

/** Read as a file, whatever it is: a stream takes a while to load. One that its owner has made non-blocking needs a stream. */
async function* standardInput(): AsyncGenerator<Buffer> {
  for (;;) {
    const bytes = Buffer.allocUnsafe(inputSize_bytes);
    const count = await readInput(bytes);
    if (count === "not now") return yield* process.stdin;
    if (count === 0) return;
    yield bytes.subarray(0, count);
  }
}

function readInput(into: Buffer): Promise<number | "not now"> {
  return new Promise((resolve, reject) =>
    read(0, into, 0, into.length, null, (error, count) => {
      if (!error) resolve(count);
      else if (error.code === "EAGAIN") resolve("not now");
      else reject(error);
    }),
  );
}
