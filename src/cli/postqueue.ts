import { evaluate } from "../conf/evaluate.ts";
import { loadConf } from "../conf/load.ts";
import { globalParams } from "../conf/params.ts";
import { describeProblem } from "../conf/problem.ts";
import { queuePaths } from "../conf/queue-paths.ts";
import { isHostName } from "../dns/host-name.ts";
import type { QueueEntry } from "../queue/store.ts";
import type { ControlRequest } from "../relay/control.ts";
import { addressBytes } from "../rfc5321/ip.ts";
import { askRelay, NotRunning } from "./control-client.ts";
import { getopt } from "./getopt.ts";
import type { CommandIo } from "./io.ts";
import { jsonEntry, QueueListing } from "./queue-listing.ts";

/** sysexits(3): what postqueue ends with, whatever is wrong. */
const unavailable = 69;

/**
 * postqueue(1): `-p` and `-j` list the queue, `-f`, `-i ID` and `-s SITE` have mail tried at once. Where no relay runs, the
 * queue is listed from its file, with a warning, as Postfix does it.
 */
export async function postqueue(args: readonly string[], io: CommandIo): Promise<number> {
  const { options, operands, problem } = getopt(args, "c:fi:jps:v");
  const directory = options.findLast(({ letter }) => letter === "c")?.value ?? io.directory;
  const actions = options.filter(({ letter }) => letter !== "c" && letter !== "v");
  const action = actions[0];
  if (problem || operands.length > 0 || actions.length !== 1 || !action) {
    if (problem) io.err(`postqueue: ${problem}\n`);
    return fatal(io, "usage: postqueue -f | postqueue -i queueid | postqueue -j | postqueue -p | postqueue -s site");
  }
  const asIn = { ...io, directory };
  switch (action.letter) {
    case "p":
    case "j":
      return list(action.letter === "j", asIn);
    case "f":
      return flush({ command: "flush" }, asIn);
    case "i":
      if (!/^[A-Za-z0-9_]+$/.test(action.value)) {
        return fatal(io, `Cannot flush queue ID - invalid name: "${action.value.slice(0, 100)}"`);
      }
      return flush({ command: "flush", id: action.value }, asIn);
    default:
      if (!isSite(action.value)) {
        return fatal(io, `Cannot flush mail queue - invalid destination: "${action.value.slice(0, 100)}"`);
      }
      return flush({ command: "flush", site: action.value }, asIn);
  }
}

/** A host's or domain's name, or an address in brackets. */
function isSite(site: string): boolean {
  const [, literal] = /^\[(?:ipv6:)?(.*)\]$/i.exec(site) ?? [];
  return literal === undefined ? isHostName(site) : addressBytes(literal) !== undefined;
}

async function list(json: boolean, io: CommandIo): Promise<number> {
  const listing = new QueueListing((time_ms) => io.runtime.clock.zoneOffset_min(time_ms));
  try {
    for await (const entry of await entries(io)) io.out(json ? jsonEntry(entry) : listing.entry(entry));
  } catch (error) {
    return fatal(io, error instanceof Error ? error.message : String(error));
  }
  if (!json) io.out(listing.summary());
  return 0;
}

/** From the relay, or, where none runs and we may read it, from the queue itself. */
async function* entries(io: CommandIo): AsyncGenerator<QueueEntry> {
  const paths = await place(io);
  try {
    for await (const value of askRelay(io.runtime, `${paths.public}/control`, { command: "list" })) {
      yield value as QueueEntry;
    }
  } catch (error) {
    if (!(error instanceof NotRunning)) throw error;
    yield* fromFile(io, paths.queue, error.message);
  }
}

async function* fromFile(io: CommandIo, directory: string, why: string): AsyncGenerator<QueueEntry> {
  const { openQueueReader } = await import("../queue/sqlite/reader.ts");
  const { queueFile } = await import("../queue/open.ts");
  try {
    await io.runtime.files.facts(queueFile(directory));
  } catch (error) {
    if ((error as { code?: string }).code !== "ENOENT") {
      throw new Error("Queue report unavailable - mail system is down, and only root can read the queue itself");
    }
  }
  const reader = openQueueReader(queueFile(directory));
  io.err(`postqueue: warning: Mail system is down -- accessing queue directly (${why})\n`);
  try {
    for (let after: string | undefined; ; ) {
      const page = reader.list(after, 500);
      yield* page;
      after = page.at(-1)?.envelope.id;
      if (after === undefined) return;
    }
  } finally {
    reader.close();
  }
}

async function flush(request: ControlRequest, io: CommandIo): Promise<number> {
  try {
    const paths = await place(io);
    for await (const _ of askRelay(io.runtime, `${paths.public}/control`, request));
    return 0;
  } catch (error) {
    if (error instanceof NotRunning) {
      return fatal(io, "Cannot flush mail queue - mail system is down");
    }
    return fatal(io, error instanceof Error ? error.message : String(error));
  }
}

async function place(io: CommandIo): Promise<ReturnType<typeof queuePaths>> {
  const { files, host } = io.runtime;
  const { settings, problems } = await loadConf(files, io.directory, {
    ...{ declared: globalParams, host, env: io.env, mainOnly: true },
  });
  const unreadable = problems.find(({ file, line }) => file.endsWith("/main.cf") && line === 0);
  if (unreadable) throw new Error(describeProblem(unreadable));
  const { queue_directory } = globalParams;
  return queuePaths(evaluate({ queue_directory }, settings).queue_directory);
}

function fatal(io: CommandIo, text: string): number {
  io.err(`postqueue: fatal: ${text}\n`);
  return unavailable;
}
