import { splitList } from "../conf/param.ts";
import { aliasLines } from "../table/alias-source.ts";
import { printable } from "../table/printable.ts";
import { getopt } from "./getopt.ts";
import type { CommandIo } from "./io.ts";
import { tableCommand } from "./table-command.ts";
import type { TableProgram } from "./table-job.ts";
import { Fatal } from "./table-options.ts";
import { tableSettings } from "./table-settings.ts";

/**
 * postalias(1): makes, asks and changes alias databases, with Postfix's own options and output.
 *
 *   postalias [-Nfinoprsuvw] [-c directory] [-d key] [-q key] [type:]file …
 *
 * Exit status 0; 1 where nothing was found, or after "postalias: fatal: …".
 */
export const postalias = (args: readonly string[], io: CommandIo): Promise<number> => tableCommand(program, args, io);

/** newaliases(1): rebuilds every database that alias_database names. */
export async function newaliases(args: readonly string[], io: CommandIo): Promise<number> {
  const say = (text: string) => io.err(`${program.name}: ${printable(Buffer.from(text))}\n`);
  const { options, operands, problem } = getopt(args, "c:C:v");
  if (problem !== undefined || operands.length > 0) {
    say(`fatal: usage: newaliases [-v] [-c config_dir]${problem === undefined ? "" : `: ${problem}`}`);
    return 1;
  }
  const given = options.findLast(({ letter }) => letter !== "v")?.value.replace(/\/main\.cf$/, "");
  const directory = given ?? io.directory;
  try {
    const settings = await tableSettings(io, directory, () => {});
    const databases = splitList(settings.value("alias_database"));
    return databases.length === 0 ? 0 : await postalias(["-c", directory, "--", ...databases], io);
  } catch (error) {
    if (!(error instanceof Fatal)) throw error;
    say(`fatal: ${error.message}`);
    return 1;
  }
}

const program: TableProgram = {
  name: "postalias",
  letters: "Nc:d:finopq:rsuvw",
  usage: "postalias [-Nfinoprsuvw] [-c config_dir] [-d key] [-q key] [map_type:]file...",
  separator: ":\t",
  lines: (building) =>
    aliasLines({ path: building.path, utf8: building.utf8, warn: building.warn }, (name, value) =>
      building.add(name, value),
    ),
  /** Sendmail's mark that the database is complete, and what NIS wants to know, which is stored without NULs. */
  finish(building, settings) {
    const replace = building.incremental;
    const seconds = String(Math.floor(building.now_ms / 1000)).padStart(10, "0");
    building.add(Buffer.from("@"), Buffer.from("@"), { replace });
    building.add(Buffer.from("YP_LAST_MODIFIED"), Buffer.from(seconds), { plain: true, replace });
    building.add(Buffer.from("YP_MASTER_NAME"), Buffer.from(settings.value("myhostname")), { plain: true, replace });
  },
};
