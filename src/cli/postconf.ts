import { EditError, type EditMode, editText, parseEdits, rewriteFile, systemText } from "../conf/edit.ts";
import { ConfError, evaluate } from "../conf/evaluate.ts";
import { readGiven, withGiven } from "../conf/given.ts";
import { knownNames } from "../conf/load.ts";
import { type MainCf, parseMainCf, type Setting } from "../conf/main-cf.ts";
import { globalParams } from "../conf/params.ts";
import { postfixParameters, unexpanded } from "../conf/postfix-parameters.ts";
import { describeProblem } from "../conf/problem.ts";
import { Settings } from "../conf/settings.ts";
import { file_limit, LineTooLong, splitNameValue } from "../conf/text.ts";
import { qmgrParams } from "../qmgr/params.ts";
import { allParams } from "../relay/params.ts";
import { readWhole } from "../runtime/files.ts";
import type { CommandIo } from "./io.ts";
import { expandedTexts, listed, templateTexts, tlsFact } from "./postconf/facts.ts";
import { foldLine, jsonLine } from "./postconf/format.ts";
import { editMaster, type MasterMode, parseMasterEdits } from "./postconf/master-edit.ts";
import { EntryError, type MasterEntry, masterEntries } from "./postconf/master-entries.ts";
import { shownEntries, shownFields, shownServiceParameters } from "./postconf/master-show.ts";
import { MacroError, ParameterTable } from "./postconf/parameter-table.ts";
import { parseRequest, type Request, RequestError } from "./postconf/request.ts";

/**
 * postconf(1): shows and edits main.cf and master.cf, with Postfix's own options and output.
 *
 *   postconf [-c directory] [-C class] [-dfhHjnpqvx] [-o name=value] [name ...]
 *   postconf [-c directory] -M|-F|-P [-fhHjqvx] [-o name=value] [name/type ...]
 *   postconf [-c directory] [-M|-F|-P] [-e|-X|-#] name[=value] ...
 *
 * Files are taken as bytes, a character a byte, so that what is not UTF-8 is
 * shown and kept as it is. Exit status 0, or 1 after "postconf: fatal: …".
 */
export async function postconf(args: readonly string[], io: CommandIo): Promise<number> {
  const warn = (text: string) => io.err(`postconf: warning: ${printable(text)}\n`);
  try {
    return await run(args, io, warn);
  } catch (error) {
    if (!expected.some((each) => error instanceof each)) throw error;
    if (!(error instanceof Error)) throw error;
    if (error instanceof RequestError && error.notice !== undefined) io.err(`postconf: ${printable(error.notice)}\n`);
    io.err(`postconf: fatal: ${printable(error.message)}\n`);
    return 1;
  }
}

class Fatal extends Error {}

/** Errors that are answers; others are mistakes of our own. */
const expected = [Fatal, RequestError, MacroError, EditError, EntryError, ConfError];

type Warn = (text: string) => void;

/** Command-line text as bytes, a character a byte. */
const inward = (text: string) => Buffer.from(text).toString("latin1");
const outward = (text: string) => Buffer.from(text, "latin1").toString();
/** For messages: control characters, and what is not UTF-8, as "?". */
const printable = (text: string) => outward(text).replace(/[\x00-\x1f\x7f\ufffd]/g, "?");

/** A command line, its texts as bytes, and where the files are. */
interface Task extends Request {
  readonly directory: string;
  /** -c or MAIL_CONFIG was given. */
  readonly chosen: boolean;
}

async function run(args: readonly string[], io: CommandIo, warn: Warn): Promise<number> {
  const request = parseRequest(args.map(inward));
  const directory = request.directory ?? inward(io.env.MAIL_CONFIG ?? io.directory);
  const chosen = (request.directory ?? io.env.MAIL_CONFIG) !== undefined || io.directory !== "/etc/postfix";
  const task = { ...request, directory, chosen };
  const mode = editMode(request.letters);
  const master = masterModes.find((letter) => request.letters.has(letter));
  if (mode && request.operands.length === 0) throw new Fatal("missing service argument");
  const fact = factLetters.find((letter) => request.letters.has(letter));
  if (fact) return showFact(task, fact, io, warn);
  if (mode) await (master ? editServices(task, master, mode, io, warn) : edit(task, mode, io, warn));
  else if (master) await showServices(task, master, io, warn);
  else await show(task, io, warn);
  return 0;
}

const factLetters = ["a", "A", "b", "l", "m", "t", "T"] as const;

/** What is not a matter of parameters. */
async function showFact(task: Task, letter: (typeof factLetters)[number], io: CommandIo, warn: Warn): Promise<number> {
  switch (letter) {
    case "b":
    case "t":
      await showTemplates(task, letter, io, warn);
      return 0;
    case "T": {
      const fact = tlsFact(task.tls, io.runtime.crypto);
      if (fact === undefined) warn(`unknown 'postconf -T' mode: ${task.tls}`);
      io.out(fact ?? "");
      return fact === undefined ? 1 : 0;
    }
    default:
      io.out(listed(letter));
      return 0;
  }
}

async function showTemplates(task: Task, letter: "b" | "t", io: CommandIo, warn: Warn): Promise<void> {
  const { operands } = task;
  if (operands.length > 1) throw new Fatal("options -b and -t require at most one template file");
  if (operands.length > 0) throw new Fatal(`${operands[0]}: bounce_template_file is not supported by Postern`);
  if (letter === "t") return io.out(templateTexts());
  const settings = settingsOf(await readMain(task, io, warn), io);
  const { delay_warning_time, maximal_queue_lifetime } = qmgrParams;
  const { myhostname } = globalParams;
  const conf = evaluate({ myhostname, delay_warning_time, maximal_queue_lifetime }, settings);
  io.out(Buffer.from(expandedTexts(conf), "latin1"));
}

const masterModes = ["M", "F", "P"] as const;

function editMode(letters: ReadonlySet<string>): EditMode | undefined {
  if (letters.has("e")) return "set";
  if (letters.has("X")) return "remove";
  return letters.has("#") ? "comment" : undefined;
}

async function edit({ directory, operands }: Task, mode: EditMode, io: CommandIo, warn: Warn): Promise<void> {
  const edits = parseEdits(operands, warn, mode);
  const path = `${directory}/main.cf`;
  await rewriteFile(io.runtime, outward(path), (text) =>
    editText(text, edits, (name) => warn(`${path}: multiple entries for "${name}"`), mode),
  );
}

async function editServices(task: Task, master: MasterMode, mode: EditMode, io: CommandIo, warn: Warn): Promise<void> {
  const requests = parseMasterEdits(task.operands, master, mode);
  const path = `${task.directory}/master.cf`;
  await rewriteFile(io.runtime, outward(path), (text) => editMaster(text, { path, master, mode, requests, warn }));
}

const views = { M: shownEntries, F: shownFields, P: shownServiceParameters };

async function showServices(task: Task, master: MasterMode, io: CommandIo, warn: Warn): Promise<void> {
  const { letters, operands } = task;
  const entries = await readMaster(task.directory, io, warn, true);
  const table = tableOf(task, await readMain(task, io, warn), entries, io, warn);
  table.findUserParameters();
  const expand = letters.has("x") ? (value: string, entry: MasterEntry) => table.expand(value, entry) : undefined;
  const text = views[master]({ entries, patterns: operands, letters, expand, warn });
  io.out(Buffer.from(text, "latin1"));
  if (!letters.has("q")) table.flagUnusedOfServices();
}

async function show(task: Task, io: CommandIo, warn: Warn): Promise<void> {
  const { letters } = task;
  const defaults = letters.has("d");
  const written = defaults ? new Map<string, Setting>() : await readMain(task, io, warn);
  const table = tableOf(task, written, await readMaster(task.directory, io, warn, false), io, warn);
  if (!defaults) table.findUserParameters();
  // After a fatal error nothing is shown.
  io.out(Buffer.from(shownParameters(task, table, warn), "latin1"));
  if (!defaults && !letters.has("q")) table.flagUnused();
}

function tableOf(
  { directory }: Task,
  written: ReadonlyMap<string, Setting>,
  entries: readonly MasterEntry[],
  io: CommandIo,
  warn: Warn,
): ParameterTable {
  const process = { name: "postconf", id: io.runtime.processes.pid };
  const settings = settingsOf(written, io);
  return new ParameterTable({ settings, declared: allParams, entries, directory, warn }, written, process);
}

function settingsOf(written: ReadonlyMap<string, Setting>, io: CommandIo): Settings {
  const { host } = io.runtime;
  const facts = { name: host.name(), interfaces: host.interfaces() };
  return new Settings({ written, declared: allParams, host: facts, directory: inward(io.directory) });
}

async function readMain(
  { directory, chosen, letters, overrides }: Task,
  io: CommandIo,
  warn: Warn,
): Promise<Map<string, Setting>> {
  const path = `${directory}/main.cf`;
  let text: string;
  try {
    text = (await readWhole(io.runtime.files, outward(path), file_limit)).bytes.toString("latin1");
  } catch (error) {
    throw new Fatal(`open ${path}: ${systemText(error)}`);
  }
  const main: MainCf = parseMainCf(text, path);
  const own = { value: directory, file: "", line: 0 };
  const written = new Map<string, Setting>(chosen ? [["config_directory", own]] : []);
  for (const [name, setting] of main.settings) {
    if (name === "config_directory" && chosen && setting.value !== directory) {
      warn(`${path}, line ${setting.line}: overriding earlier entry: config_directory=${directory}`);
    }
    written.set(name, setting);
  }
  for (const each of main.warnings) warn(describeProblem(each));
  for (const { file, line, text: what } of main.problems) throw new Fatal(`${file}, line ${line}: ${what}`);
  const given = await givenSettings(written, letters, io, warn);
  for (const override of overrides) {
    const parsed = splitNameValue(override);
    if (parsed.error !== undefined) throw new Fatal(`invalid parameter override: ${override}: ${parsed.error}`);
    given.set(parsed.name, { value: parsed.value, file: "", line: 0 });
  }
  return given;
}

/** `written` with what the environment says above it. -n tells where what it shows is from. */
async function givenSettings(
  written: ReadonlyMap<string, Setting>,
  letters: ReadonlySet<string>,
  io: CommandIo,
  warn: Warn,
): Promise<Map<string, Setting>> {
  const read = async (path: string) => (await readWhole(io.runtime.files, path, file_limit)).bytes.toString();
  const { given, problems } = await readGiven(io.env, read, knownNames(allParams));
  for (const each of [...(given?.warnings ?? []), ...problems]) warn(inward(describeProblem(each)));
  const settings = withGiven(written, given);
  for (const [name, { file, value }] of settings) {
    if (!file.startsWith("the environment (")) continue;
    settings.set(name, { file, line: 0, value: inward(value) });
    if (letters.has("n") && !letters.has("q")) warn(inward(`${name} is set by ${file}`));
  }
  return settings;
}

/** The services of master.cf; without the file none, unless it is `needed`. */
async function readMaster(
  directory: string,
  io: CommandIo,
  warn: Warn,
  needed: boolean,
): Promise<readonly MasterEntry[]> {
  const path = `${directory}/master.cf`;
  let text: string;
  try {
    text = (await readWhole(io.runtime.files, outward(path), file_limit)).bytes.toString("latin1");
  } catch (error) {
    if (needed) throw new Fatal(`open ${path}: ${systemText(error)}`);
    warn(`open ${path}: ${systemText(error)}`);
    return [];
  }
  try {
    return masterEntries(text, path, warn);
  } catch (error) {
    if (error instanceof LineTooLong) throw new Fatal(`file ${path}: line ${error.line}: ${error.message}`);
    throw error;
  }
}

function shownParameters({ letters, classes, operands }: Task, table: ParameterTable, warn: Warn): string {
  let text = "";
  const all = operands.length === 0;
  for (const name of all ? [...table.known.keys()].sort() : operands) {
    const known = table.known.get(name);
    if (!known) {
      warn(`${name}: unknown parameter`);
      continue;
    }
    if (all && (!classes.has(known.class) || isNewer(name, table))) continue;
    const value = letters.has("n") ? table.written.get(name)?.value : table.value(name);
    if (value === undefined) continue;
    const shown = letters.has("x") && !unexpanded.has(name) ? table.expand(value) : value;
    const line = letters.has("H") ? name : letters.has("h") ? shown : `${name} = ${shown}`;
    text += `${letters.has("j") ? jsonLine(name, shown) : foldLine(line, letters.has("f"))}\n`;
  }
  return text;
}

/** Listed only where it is set or supported: one looks for the parameters of Postfix 3.7. */
function isNewer(name: string, table: ParameterTable): boolean {
  return postfixParameters().get(name)?.newer === true && !table.written.has(name) && !Object.hasOwn(allParams, name);
}
