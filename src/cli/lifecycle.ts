import { resolve } from "node:path";
import { evaluate } from "../conf/evaluate.ts";
import { loadConf } from "../conf/load.ts";
import { globalParams } from "../conf/params.ts";
import { ConfError } from "../conf/problem.ts";
import { queuePaths } from "../conf/queue-paths.ts";
import type { Started } from "../master/supervise.ts";
import { pause } from "../runtime/clock.ts";
import { errorCode, readWhole } from "../runtime/files.ts";
import { writeToStandardOutput } from "../runtime/standard-output.ts";
import type { CommandIo } from "./io.ts";
import type { LifecycleCommand } from "./lifecycle-commands.ts";

/** sysexits(3) */
const exit = { unavailable: 69, tempFail: 75, config: 78 } as const;

const answerLimit_bytes = 1024 * 1024;
/** Longer than a reload may take: the relay before may have to end first, and the next to come up. */
const answerTimeout_ms = 600_000;
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
    case "status":
      return status(io);
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
  const answer = await ask(command, io);
  if (!answer) return notRunning(io);
  if (answer.status !== 0) io.err(`postern: fatal: ${answer.text}\n`);
  const { masterPid } = await place(io);
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

async function status(io: CommandIo): Promise<number> {
  const answer = await ask("status", io);
  if (!answer) {
    io.err("postern: the mail system is not running\n");
    return 1;
  }
  io.err(`postern: the mail system is ${answer.text}\n`);
  const { printStatus } = await import("./status.ts");
  await printStatus(io, (await place(io)).public);
  return 0;
}

async function order(command: "reload" | "flush" | "logrotate", io: CommandIo): Promise<number> {
  const answer = await ask(command, io);
  if (!answer) return notRunning(io);
  const label = answer.status === 0 ? "" : "fatal: ";
  for (const line of answer.text.split("\n").filter((each) => each !== "")) io.err(`postern: ${label}${line}\n`);
  return answer.status;
}

function notRunning(io: CommandIo): number {
  io.err("postern: fatal: the mail system is not running\n");
  return exit.unavailable;
}

/** Gives the master an order and waits until it is carried out. Undefined: there is no master. */
async function ask(command: string, io: CommandIo): Promise<{ text: string; status: number } | undefined> {
  const { masterSocket } = await place(io);
  const { net, clock } = io.runtime;
  const connection = await net.connect({ address: masterSocket, port: 0, timeout_ms: 5000 }).catch((error: unknown) => {
    if (errorCode(error) !== "EACCES") return undefined;
    throw new ConfError([
      {
        file: masterSocket,
        line: 0,
        text: "only the user that started Postern may give it orders",
        remedy: "Run this as root.",
      },
    ]);
  });
  if (!connection) return undefined;
  return new Promise((resolve) => {
    const parts: Buffer[] = [];
    let received = 0;
    const timer = clock.after(answerTimeout_ms, () => connection.destroy());
    connection.listen({
      data(bytes) {
        parts.push(bytes);
        received += bytes.length;
        if (received > answerLimit_bytes) connection.destroy();
      },
      ended: () => connection.end(),
      drained() {},
      closed() {
        timer.cancel();
        try {
          resolve(JSON.parse(Buffer.concat(parts).toString()));
        } catch {
          resolve({
            text: `the mail system did not answer to ${command}: it has ended, or is stuck`,
            status: exit.tempFail,
          });
        }
      },
    });
    connection.write(`${command}\n`);
  });
}

/** Is there a master on this configuration? */
export async function isRunning(io: CommandIo): Promise<boolean> {
  return (await ask("status", io)) !== undefined;
}

async function place(io: CommandIo): Promise<ReturnType<typeof queuePaths>> {
  const { files, host } = io.runtime;
  const { queue_directory } = globalParams;
  const { settings, problems } = await loadConf(files, io.directory, {
    ...{ declared: globalParams, host, env: io.env, mainOnly: true },
  });
  const missing = problems.find(({ file, line }) => file.endsWith("/main.cf") && line === 0);
  if (missing) throw new ConfError([missing]);
  return queuePaths(evaluate({ queue_directory }, settings).queue_directory);
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
