import { entryLines } from "../table/source.ts";
import type { CommandIo } from "./io.ts";
import { tableCommand } from "./table-command.ts";
import type { TableProgram } from "./table-job.ts";

/**
 * postmap(1): makes, asks and changes lookup tables, with Postfix's own options and output.
 *
 *   postmap [-bfFhimnNoprsuUvw] [-c directory] [-d key] [-q key] [type:]file …
 *
 * Exit status 0; 1 where nothing was found, or after "postmap: fatal: …".
 */
export const postmap = (args: readonly string[], io: CommandIo): Promise<number> => tableCommand(program, args, io);

const program: TableProgram = {
  name: "postmap",
  letters: "bc:d:fFhimnNopq:rsuUvw",
  usage: "postmap [-bfFhimnNoprsuUvw] [-c config_dir] [-d key] [-q key] [map_type:]file...",
  separator: "\t",
  lines: (building) =>
    entryLines(
      { path: building.path, utf8: building.utf8, sayIgnored: false, warn: building.warn },
      (line, keyEnd, valueStart, valueEnd, number) =>
        building.addValue(
          line.subarray(0, keyEnd),
          line.subarray(valueStart, valueEnd),
          `${building.path}, line ${number}`,
        ),
    ),
};
