import { ConfError } from "../conf/problem.ts";
import { realRuntime } from "../runtime/real.ts";
import { getopt } from "./getopt.ts";
import { type CommandIo, realIo } from "./io.ts";
import { type LifecycleCommand, lifecycleCommands } from "./lifecycle-commands.ts";

type Command = (args: readonly string[], io: CommandIo) => Promise<number>;

/** Programs that keep their own command line, each loaded only when it is called. */
const programs: Readonly<Record<string, () => Promise<Command>>> = {
  mailq: async () => (await import("./mailq.ts")).mailq,
  newaliases: async () => (await import("./postalias.ts")).newaliases,
  postalias: async () => (await import("./postalias.ts")).postalias,
  postcat: async () => (await import("./postcat.ts")).postcat,
  postconf: async () => (await import("./postconf.ts")).postconf,
  postmap: async () => (await import("./postmap.ts")).postmap,
  postqueue: async () => (await import("./postqueue.ts")).postqueue,
  postsuper: async () => (await import("./postsuper.ts")).postsuper,
  sendmail: async () => (await import("./sendmail.ts")).sendmail,
};

const defaultDirectory = "/etc/postfix";

const usageText = `usage: postern [-c config_directory] command

  start         take mail and deliver it, in the background
  start-fg      the same in the foreground
  stop, abort   end, with what is in hand finished, or at once
  reload        use the configuration as it is now
  status        is it running, and what is it doing
  check         say what is wrong, and how to mend it; ask the servers that mail goes to
  setup         have mail sent through a provider: ask, log in, show, write, test
  try           send a small message to an address, and show what happens to it
  flush         try all deferred mail at once
  logrotate     begin a new log file
  postfix …     the same commands, for those who know them by that name

  mailq newaliases postalias postcat postconf postmap postqueue postsuper sendmail
                as Postfix has them; a link of that name to this program does the same
`;

/** The exit status of one run. `calledAs` is the name of the program or of the link to it. */
export async function main(calledAs: string, args: readonly string[]): Promise<number> {
  const runtime = realRuntime();
  const real = realIo(runtime);
  const directory = real.env.MAIL_CONFIG ?? defaultDirectory;
  const io: CommandIo = { ...real, directory, args0: calledAs, launch: launchArguments() };
  try {
    return await run(calledAs, args, io);
  } catch (error) {
    if (!(error instanceof ConfError)) throw error;
    for (const line of error.message.split("\n")) io.err(`${calledAs}: fatal: ${line}\n`);
    return 78;
  } finally {
    await real.finish();
  }
}

async function run(calledAs: string, args: readonly string[], io: CommandIo): Promise<number> {
  const program = programs[calledAs];
  if (program) return (await program())(args, io);
  const { options, operands, problem } = getopt(args, "c:vh");
  const [command = "", ...rest] = operands;
  const directory = options.findLast(({ letter }) => letter === "c")?.value ?? io.directory;
  const inDirectory = { ...io, directory };
  if (problem || command === "" || command === "help" || options.some(({ letter }) => letter === "h")) {
    if (problem) io.err(`postern: ${problem}\n`);
    (problem || command === "" ? io.err : io.out)(usageText);
    return problem || command === "" ? 64 : 0;
  }
  if (command === "check") return (await import("./check.ts")).check(rest, inDirectory);
  if (command === "setup") return (await import("./setup.ts")).setup(rest, inDirectory);
  if (command === "try") return (await import("./try.ts")).tryCommand(rest, inDirectory);
  if (command === "postfix") return run("postern", ["-c", directory, ...rest], io);
  const named = programs[command];
  if (named) return (await named())(rest, { ...inDirectory, args0: command });
  if (isLifecycle(command)) {
    const { lifecycle } = await import("./lifecycle.ts");
    return lifecycle(command, rest, inDirectory);
  }
  io.err(`postern: unknown command: ${command}\n${usageText}`);
  return 64;
}

const isLifecycle = (command: string): command is LifecycleCommand =>
  lifecycleCommands.some((each) => each === command);

/** What stands between the interpreter and our own arguments: the launcher's script and the name to act under. */
function launchArguments(): string[] {
  return [process.argv[1] ?? "", "postern"];
}
