import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, fstatSync, mkdtempSync, openSync, readSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort, listening } from "../../test/peers/place.ts";

/** The far end: a process that takes mail, throws it away, and says how many messages it has had. */
export interface Sink {
  readonly port: number;
  /** Messages that have arrived so far. */
  arrived(): number;
  stop(): Promise<void>;
}

/** Postfix's smtp-sink(1), in clear and without a login. */
export async function startSmtpSink(given?: number): Promise<Sink> {
  const port = given ?? (await freePort());
  return start("smtp-sink", ["-c", "-u", "postfix", `127.0.0.1:${port}`, "1000"], port);
}

/** A server that demands STARTTLS and AUTH: what npm start practises with, in a process of its own. */
export async function startLoginSink(): Promise<Sink> {
  const port = await freePort();
  return start(process.execPath, [join(import.meta.dirname, "login-sink.ts"), String(port)], port);
}

/**
 * Both write "... mesg=N" to their standard output, over and over. That is a file, which costs them next to nothing and nobody
 * is woken by it.
 */
async function start(program: string, args: readonly string[], port: number): Promise<Sink> {
  const directory = mkdtempSync(join(tmpdir(), "postern-sink-"));
  const counters = openSync(join(directory, "counters"), "a+");
  const child = spawn(program, args, { stdio: ["ignore", counters, "inherit"] });
  const ended = exitOf(child);
  const stop = async (): Promise<void> => {
    child.kill("SIGTERM");
    await ended;
    closeSync(counters);
    rmSync(directory, { recursive: true, force: true });
  };
  try {
    await listening({ port }, () => `${program} has not started`);
  } catch (error) {
    await stop();
    throw error;
  }
  process.once("exit", () => child.kill("SIGKILL"));
  return { port, arrived: () => lastCount(counters), stop };
}

function exitOf(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    child.once("exit", () => resolve());
    child.once("error", reject);
  });
}

function lastCount(file: number): number {
  const tail = Buffer.alloc(200);
  const { size } = fstatSync(file);
  const length = readSync(file, tail, 0, tail.length, Math.max(0, size - tail.length));
  // The last one may be written at this moment: only one that has its end counts.
  const counts = [...tail.toString("latin1", 0, length).matchAll(/mesg=(\d+)[\r\n]/g)];
  return Number(counts.at(-1)?.[1] ?? 0);
}
