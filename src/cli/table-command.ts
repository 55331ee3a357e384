import type { Settings } from "../conf/settings.ts";
import { BuildError } from "../table/build.ts";
import { printable } from "../table/printable.ts";
import { TableError } from "../table/table.ts";
import type { CommandIo } from "./io.ts";
import { KeyTooLong } from "./key-lines.ts";
import { TableAsking } from "./table-asking.ts";
import { TableChanging } from "./table-changing.ts";
import { referenceTo, type TableJob, type TableProgram } from "./table-job.ts";
import { Fatal, parseTableOptions, type TableOptions } from "./table-options.ts";
import { tableSettings } from "./table-settings.ts";

/** Runs the program; its exit status. Never throws for what the operator or a file did wrong. */
export async function tableCommand(program: TableProgram, args: readonly string[], io: CommandIo): Promise<number> {
  const say = (kind: string, text: string) => io.err(`${program.name}: ${kind}${printable(Buffer.from(text))}\n`);
  try {
    const { options, operands } = parseTableOptions(args, program, (text) => say("", text));
    const warn = (text: string) => say("warning: ", text);
    const settings = await tableSettings(io, options.configDirectory, warn);
    const utf8 = usesUtf8(options, settings);
    return await run({ program, options, operands, settings, io, utf8, warn });
  } catch (error) {
    const known = [Fatal, BuildError, TableError, KeyTooLong].some((type) => error instanceof type);
    if (!known || !(error instanceof Error)) throw error;
    say("fatal: ", error.message);
    return 1;
  }
}

/** Keys and values have to be UTF-8, unless -u, smtputf8_enable or the use for messages (-b, -h) say otherwise. */
function usesUtf8({ utf8, forceUtf8, bodyKeys, headerKeys }: TableOptions, settings: Settings): boolean {
  const asked = utf8 && (forceUtf8 || !(bodyKeys || headerKeys));
  return asked && settings.value("smtputf8_enable").toLowerCase() === "yes";
}

async function run(job: TableJob): Promise<number> {
  const { options, operands, program, warn } = job;
  const { delete: deleted, query, list, bodyKeys, headerKeys, mimeKeys } = options;
  if ((bodyKeys || headerKeys || mimeKeys) && query !== "-") {
    throw new Fatal('specify -b -h or -m only with "-q -"');
  }
  if (mimeKeys && !bodyKeys && !headerKeys) warn("ignoring -m option without -b or -h");
  if (list && operands.length === 0) return 1;
  if (operands.length === 0) throw new Fatal(`usage: ${program.usage}`);
  const changing = new TableChanging(job);
  if (deleted !== undefined) return (await changing.delete(deleted)) ? 0 : 1;
  if (query === undefined && !list) {
    for (const operand of operands) await changing.build(referenceTo(job, operand));
    return 0;
  }
  const asking = new TableAsking(job);
  try {
    if (query === undefined) return await asking.list();
    return (await (query === "-" ? asking.queries() : asking.query(query))) ? 0 : 1;
  } finally {
    asking.close();
  }
}
