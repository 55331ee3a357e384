import { resolve } from "node:path";
import type { Started } from "../master/supervise.ts";
import { pause } from "../runtime/clock.ts";
import { readWhole } from "../runtime/files.ts";
import { writeToStandardOutput } from "../runtime/standard-output.ts";
import type { CommandIo } from "./io.ts";
import type { LifecycleCommand } from "./lifecycle-commands.ts";
import { askMaster, masterPlace } from "./master-client.ts";

/** sysexits(3) */
const exit = { unavailable: 69, tempFail: 75, config: 78 } as const;

const stopPoll_ms = 50;
/** Longer than the master gives its relays. */
const stopLimit_ms = 60_000;

/** `postern start`, `postfix reload` and their like. */
export async function lifecycle(command: LifecycleCommand, args: readonly string[], io: CommandIo): Promise<number> {
  if (args.length > 0) {
    io.err(`postern: ${command} takes no arguments, and got: ${args.join(" ")}\n`);
    return 64;
  }
  switch (command) {
    case "start":
      return start(io);
    case "start-fg":
      return foreground(io);
    case "stop":
    case "abort":
      return stop(command, io);
    case "reload":
    case "flush":
    case "logrotate":
      return order(command, io);
    default:
      return command satisfies never;
  }
}

/** Starts a process of its own and comes back once it takes mail, or has said why not. */
async function start(io: CommandIo): Promise<number> {
  const { processes } = io.runtime;
  const { program, args } = processes.self;
  const outcome = Promise.withResolvers<Started>();
  const child = await processes.spawn(program, [...args, ...io.launch, "-c", resolve(io.directory), "start-fg"], {
    // It must not keep a file system busy that somebody wants to unmount.
    directory: "/",
    env: definedOnly(io.env),
    detached: true,
    quiet: true,
    message: (message) => outcome.resolve(message as Started),
  });
  void child.exited.then(({ status, signal }) =>
    outcome.resolve({
      ok: false,
      text: `it ended at once: ${signal ?? `exit status ${status}`}`,
      status: exit.tempFail,
    }),
  );
  const started = await outcome.promise;
  if (started.ok) child.leave();
  return report(started, io);
}

async function foreground(io: CommandIo): Promise<number> {
  const { supervise } = await import("../master/supervise.ts");
  const { parent } = io.runtime.processes;
  return supervise(io.runtime, {
    directory: io.directory,
    env: io.env,
    output: writeToStandardOutput,
    // Whoever starts us over a channel, as `start` does, has taken our standard output away.
    background: parent !== undefined,
    started(outcome) {
      if (parent) parent.send(outcome);
      else report(outcome, io);
    },
  });
}

function report(started: Started, io: CommandIo): number {
  if (started.ok) {
    for (const note of started.notes) io.err(`postern: ${note}\n`);
    return 0;
  }
  for (const line of started.text.split("\n")) io.err(`postern: fatal: ${line}\n`);
  return started.status;
}

async function stop(command: "stop" | "abort", io: CommandIo): Promise<number> {
  const answer = await askMaster(command, io);
  if (!answer) return notRunning(io);
  if (answer.status !== 0) io.err(`postern: fatal: ${answer.text}\n`);
  const { masterPid } = await masterPlace(io);
  const { clock } = io.runtime;
  const begun_ms = clock.monotonic();
  while (await isThere(io, masterPid)) {
    if (clock.monotonic() - begun_ms > stopLimit_ms) {
      io.err(`postern: fatal: the mail system has not ended within ${stopLimit_ms / 1000} s: try 'postern abort'\n`);
      return exit.tempFail;
    }
    await pause(clock, stopPoll_ms);
  }
  return 0;
}

async function order(command: "reload" | "flush" | "logrotate", io: CommandIo): Promise<number> {
  const answer = await askMaster(command, io);
  if (!answer) return notRunning(io);
  const label = answer.status === 0 ? "" : "fatal: ";
  for (const line of answer.text.split("\n").filter((each) => each !== "")) io.err(`postern: ${label}${line}\n`);
  return answer.status;
}

function notRunning(io: CommandIo): number {
  io.err("postern: fatal: the mail system is not running\n");
  return exit.unavailable;
}

/** Is there a master on this configuration? */
export async function isRunning(io: CommandIo): Promise<boolean> {
  return (await askMaster("status", io)) !== undefined;
}

/** The file with the master's process id goes last, when everything has ended; a master that was killed has left it behind. */
async function isThere({ runtime }: CommandIo, path: string): Promise<boolean> {
  const text = await readWhole(runtime.files, path, 64).then(
    ({ bytes }) => bytes.toString().trim(),
    () => undefined,
  );
  if (text === undefined) return false;
  return !/^\d+$/.test(text) || runtime.processes.signal(Number(text), 0);
}

function definedOnly(env: CommandIo["env"]): Record<string, string> {
  return Object.fromEntries(Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined));
}
