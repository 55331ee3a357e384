import { ConfError } from "../conf/problem.ts";
import { realRuntime } from "../runtime/real.ts";
import { commands, programs, usage } from "./commands.ts";
import { getopt } from "./getopt.ts";
import { type CommandIo, realIo } from "./io.ts";

const defaultDirectory = "/etc/postfix";

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
    (problem || command === "" ? io.err : io.out)(usage());
    return problem || command === "" ? 64 : 0;
  }
  if (command === "postfix") return run("postern", ["-c", directory, ...rest], io);
  const named = programs[command];
  if (named) return (await named())(rest, { ...inDirectory, args0: command });
  const known = commands.find(({ name }) => name === command);
  if (known) return (await known.load())(rest, inDirectory);
  io.err(`postern: unknown command: ${command}\n${usage()}`);
  return 64;
}

/** What stands between the interpreter and our own arguments: the launcher's script and the name to act under. */
function launchArguments(): string[] {
  return [process.argv[1] ?? "", "postern"];
}
