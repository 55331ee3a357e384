import { parseArgs } from "node:util";
import { MailLog } from "../master/mail-log.ts";
import { isAlone, ownerLocks } from "../relay/gone-owners.ts";
import type { CommandIo } from "./io.ts";
import { becomeQueueOwner, isThere, mayOperate, type QueuePlace, queuePlace } from "./queue-place.ts";

export const repairUsage = `usage: postern [-c config_directory] repair [options]

Reads the whole queue, and where it is damaged puts what can be read into a new file.
Only while Postern does not run. The damaged file is kept.

  -f, --force    also where nothing is found
  -n, --dry-run  say what is wrong, and change nothing

  exit status: 0 nothing is wrong, or all mail was saved as it was; 1 not all;
  69 Postern runs; 75 it could not be done
`;

/** sysexits(3), and what `check` has: 1 for what an administrator should look at. */
const exit = { done: 0, lookAtIt: 1, usage: 64, unavailable: 69, cannot: 75 } as const;

/** `postern repair`. A start mends what it finds damaged, but does not look everywhere; this does. */
export async function repair(args: readonly string[], io: CommandIo): Promise<number> {
  const parsed = parse(args);
  if (typeof parsed === "string") {
    io.err(`postern repair: ${parsed}\n${repairUsage}`);
    return exit.usage;
  }
  if (parsed.help) {
    io.out(repairUsage);
    return exit.done;
  }
  const fatal = (text: string, status: number): number => {
    io.err(`postern: fatal: ${text}\n`);
    return status;
  };
  try {
    const place = await queuePlace(io);
    if (!(await mayOperate(io, place)))
      return fatal("use of this command is reserved for the superuser", exit.unavailable);
    if (!(await isThere(io, place.paths.queue))) {
      io.err("postern: there is no queue yet\n");
      return exit.done;
    }
    const { preloadLocks, tryLock } = await import("../queue/owner-lock.ts");
    preloadLocks();
    // As a master holds it: none can start meanwhile.
    const before = io.runtime.processes.umask(0o077);
    const lock = tryLock(place.paths.masterLock);
    io.runtime.processes.umask(before);
    if (!lock) return fatal("the mail system is running: stop it first", exit.unavailable);
    try {
      return await work(io, place, { force: parsed.force ?? false, look: parsed["dry-run"] ?? false });
    } finally {
      lock.release();
    }
  } catch (error) {
    return fatal(error instanceof Error ? error.message : String(error), exit.cannot);
  }
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options, strict: true }).values;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

const options = {
  force: { type: "boolean", short: "f" },
  "dry-run": { type: "boolean", short: "n" },
  help: { type: "boolean", short: "h" },
} as const;

async function work(io: CommandIo, place: QueuePlace, how: { force: boolean; look: boolean }): Promise<number> {
  const { files, clock, processes } = io.runtime;
  const directory = place.paths.queue;
  const [{ inspectQueue }, { finishRepair, repairQueue }] = await Promise.all([
    import("../queue/inspect.ts"),
    import("../queue/repair.ts"),
  ]);
  const output = async (): Promise<void> => {};
  const about = { files, clock, host: place.hostName, pid: processes.pid, output, background: true };
  const mailLog = await MailLog.open(about, place.log);
  try {
    await becomeQueueOwner(io, place);
    if ((await isThere(io, ownerLocks(directory))) && !(await isAlone(files, directory, ""))) {
      io.err("postern: fatal: a relay, or a command, has the queue open: wait until it has ended\n");
      return exit.unavailable;
    }
    if (!how.look && (await finishRepair(files, directory))) say(io, "a repair that had been interrupted is complete");
    let damage: string | undefined;
    for await (const { kind, id, text } of inspectQueue(files, directory, false)) {
      say(io, `${kind === "damage" ? "" : "note: "}${id === undefined ? "" : `${id}: `}${text}`);
      if (kind === "damage") damage ??= id === undefined ? text : `${id}: ${text}`;
    }
    if (damage === undefined && !how.force) {
      say(io, "the queue is sound");
      return exit.done;
    }
    if (how.look) return damage === undefined ? exit.done : exit.lookAtIt;
    const log = mailLog.log.as("repair");
    const warning = (text: string): void => {
      say(io, text);
      log.warning(text);
    };
    const repaired = await repairQueue(
      { files, clock, directory, log: { warning } },
      damage ?? "a repair was asked for",
    );
    const { held, setAside, lost } = repaired.counts;
    return held + setAside + lost > 0 ? exit.lookAtIt : exit.done;
  } finally {
    await mailLog.close();
  }
}

const say = (io: CommandIo, text: string): void => io.err(`postern: ${text}\n`);
