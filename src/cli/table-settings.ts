import { readGiven, withGiven } from "../conf/given.ts";
import { parseMainCf } from "../conf/main-cf.ts";
import { globalParams } from "../conf/params.ts";
import { describeProblem } from "../conf/problem.ts";
import { Settings } from "../conf/settings.ts";
import { file_limit } from "../conf/text.ts";
import { readWhole } from "../runtime/files.ts";
import { errorText } from "../table/error-text.ts";
import type { CommandIo } from "./io.ts";
import { Fatal } from "./table-options.ts";

/** main.cf alone: postmap runs often, and needs a handful of parameters. Throws Fatal where it cannot be used. */
export async function tableSettings(
  io: CommandIo,
  configDirectory: string | undefined,
  warn: (text: string) => void,
): Promise<Settings> {
  const directory = configDirectory ?? io.directory;
  const path = `${directory}/main.cf`;
  const text = await readWhole(io.runtime.files, path, file_limit).catch((error: unknown) => {
    throw new Fatal(`open ${path}: ${errorText(error)}`);
  });
  const { settings, warnings, problems } = parseMainCf(text.bytes.toString(), path);
  for (const problem of warnings) warn(describeProblem(problem));
  const [problem] = problems;
  if (problem) throw new Fatal(describeProblem(problem));
  const { host } = io.runtime;
  const facts = { name: host.name(), interfaces: host.interfaces() };
  const read = async (file: string) => (await readWhole(io.runtime.files, file, file_limit)).bytes.toString();
  const { given } = await readGiven(io.env, read, new Set(Object.keys(globalParams)));
  const written = withGiven(settings, given);
  return new Settings({ written, declared: globalParams, host: facts, directory });
}
