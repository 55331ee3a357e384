import { type ChildProcess, fork, type SpawnOptions, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadConf } from "../../src/conf/load.ts";
import { allParams } from "../../src/relay/params.ts";
import type { Begin, FromRelay } from "../../src/relay/protocol.ts";
import { realRuntime } from "../../src/runtime/real.ts";

/**
 * Has each program of a build do what it does first, in a directory of its own and with no socket open, so that it leaves
 * behind what V8 has compiled for it (bin/programs.cjs). Throws where one of them cannot be run.
 */
export async function warmUp(directory: string): Promise<void> {
  const place = mkdtempSync(join(tmpdir(), "postern-build-"));
  try {
    const etc = join(place, "etc");
    const queue = join(place, "queue");
    mkdirSync(etc);
    for (const name of ["maildrop", "queue", "public", "lock"]) {
      mkdirSync(join(queue, "postern", name), { recursive: true });
    }
    writeFileSync(join(etc, "main.cf"), mainCf(queue));
    writeFileSync(join(etc, "master.cf"), "");
    for (const command of commands) {
      const args = [join(import.meta.dirname, "commands.cjs"), directory, "-c", etc, ...command];
      await ended(spawn(process.execPath, args, options));
    }
    await ended(spawn(process.execPath, [join(directory, "queue-sqlite-worker.cjs")], options));
    await startAndStop(join(directory, "relay-process.cjs"), etc);
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
}

/** The first that loads a program is the one whose compiled code is kept. */
const commands = [
  ["sendmail", "somebody@example.com"],
  ["mailq"],
  ["postconf", "myhostname"],
  ["status"],
  ["check"],
] as const;

const options: SpawnOptions = { stdio: ["ignore", "ignore", "ignore"] };

const mainCf = (queue: string): string => `compatibility_level = 3.6
queue_directory = ${queue}
myhostname = relay.example.org
inet_interfaces = 127.0.0.1
alias_maps =
`;

async function ended(child: ChildProcess): Promise<void> {
  const status = await new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code, signal) => resolve(code ?? signal));
  });
  if (status !== 0) throw new Error(`${child.spawnargs.join(" ")} ended with ${status}`);
}

/** A relay, whose master we are: it comes up, and is stopped. */
async function startAndStop(program: string, etc: string): Promise<void> {
  const { files, host } = realRuntime();
  const { texts } = await loadConf(files, etc, { declared: allParams, host });
  const child = fork(program, { serialization: "advanced", execArgv: [] });
  const end = ended(child);
  child.on("message", (message: FromRelay) => {
    if (message.kind === "ready") child.send({ kind: "stop" });
    if (message.kind === "failed") end.catch(() => {}).finally(() => process.stderr.write(`${message.text}\n`));
  });
  const begin: Begin = {
    ...{ kind: "begin", conf: texts, generation: 1, owner: "build-1", sockets: [], refused: [] },
    ...{ dropTo: undefined, wait: false, syslog: false, verbose: false },
  };
  child.send(begin);
  await end;
}
