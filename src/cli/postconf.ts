import { type MainCf, parseMainCf, type Setting } from "../conf/main-cf.ts";
import { postfixParameters, unexpanded } from "../conf/postfix-parameters.ts";
import { describeProblem } from "../conf/problem.ts";
import { Settings } from "../conf/settings.ts";
import { file_limit, LineTooLong, splitNameValue } from "../conf/text.ts";
import { allParams } from "../relay/params.ts";
import { readWhole } from "../runtime/files.ts";
import { getopt } from "./getopt.ts";
import type { CommandIo } from "./io.ts";
import { EditError, editText, parseEdits, rewriteFile, systemText } from "./postconf/edit.ts";
import { type MasterEntry, masterEntries } from "./postconf/master-entries.ts";
import { MacroError, ParameterTable } from "./postconf/parameter-table.ts";

/**
 * postconf(1): shows and edits main.cf, with Postfix's own options and output.
 *
 *   postconf [-c directory] [-C class] [-dfhHnpqvx] [-o name=value] [name ...]
 *   postconf [-c directory] [-e] name=value ...
 *
 * Files are taken as bytes, a character a byte, so that what is not UTF-8 is
 * shown and kept as it is. Exit status 0, or 1 after "postconf: fatal: …".
 */
export async function postconf(args: readonly string[], io: CommandIo): Promise<number> {
  const warn = (text: string) => io.err(`postconf: warning: ${printable(text)}\n`);
  try {
    await run(args, io, warn);
    return 0;
  } catch (error) {
    if (!(error instanceof Fatal || error instanceof MacroError || error instanceof EditError)) throw error;
    io.err(`postconf: fatal: ${printable(error.message)}\n`);
    return 1;
  }
}

class Fatal extends Error {}

type Warn = (text: string) => void;

/** Command-line text as bytes, a character a byte. */
const inward = (text: string) => Buffer.from(text).toString("latin1");
const outward = (text: string) => Buffer.from(text, "latin1").toString();
/** For messages: control characters, and what is not UTF-8, as "?". */
const printable = (text: string) => outward(text).replace(/[\x00-\x1f\x7f\ufffd]/g, "?");

interface Request {
  readonly letters: ReadonlySet<string>;
  readonly classes: ReadonlySet<string>;
  readonly directory: string;
  /** -c or MAIL_CONFIG was given. */
  readonly chosen: boolean;
  readonly overrides: readonly string[];
  readonly operands: readonly string[];
}

async function run(args: readonly string[], io: CommandIo, warn: Warn): Promise<void> {
  const request = parseRequest(args, io);
  if (request.letters.has("e")) await edit(request, io, warn);
  else await show(request, io, warn);
}

const usage =
  "usage: postconf [-c config_dir] [-C param_class] [-d (parameter defaults)] [-e (edit configuration)] [-f (fold lines)]" +
  " [-h (no names)] [-H (no values)] [-n (non-default parameters)] [-o name=value (override parameter value)]" +
  " [-p (main.cf, default)] [-q] [-v (verbose)] [-x (expand parameter values)] [name...]";

/** What Postfix's postconf has and this one does not. */
const refused = "aAbFjlmMPtTX#";

function parseRequest(args: readonly string[], io: CommandIo): Request {
  const { options, operands, problem } = getopt(args, "aAbc:C:deEfFhHjlmMno:pPqtT:vxX#");
  const letters = new Set(options.map(({ letter }) => letter));
  const lacking = [...letters].find((letter) => refused.includes(letter));
  if (lacking !== undefined) throw new Fatal(`option -${lacking} is not supported by this version of Postern`);
  if (problem !== undefined) {
    io.err(`postconf: ${problem}\n`);
    throw new Fatal(usage);
  }
  const last = (letter: string) => options.findLast((each) => each.letter === letter)?.value;
  const directory = last("c") ?? io.env.MAIL_CONFIG;
  if (operands[0]?.includes("=")) letters.add("e");
  checkCombination(letters);
  if (letters.has("e") && operands.length === 0) throw new Fatal("-e requires name=value argument");
  return {
    letters,
    classes: parseClasses(last("C")),
    directory: inward(directory ?? io.directory),
    chosen: directory !== undefined || io.directory !== "/etc/postfix",
    overrides: options.filter(({ letter }) => letter === "o").map(({ value }) => inward(value)),
    operands: operands.map(inward),
  };
}

/** Of each of these at most one makes sense. In the order in which the message lists them. */
const exclusive = ["den", "ef", "ex", "deo", "ehH"];

function checkCombination(letters: ReadonlySet<string>): void {
  for (const group of exclusive) {
    const given = [...group].filter((letter) => letters.has(letter));
    if (given.length > 1) throw new Fatal(`specify one of ${given.map((letter) => `-${letter}`).join(" ")}`);
  }
}

function parseClasses(text = "all"): Set<string> {
  const classes = new Set<string>();
  for (const word of text
    .toLowerCase()
    .split(/[\s,]+/)
    .filter(Boolean)) {
    if (word === "all") for (const each of ["builtin", "service", "user"]) classes.add(each);
    else if (["builtin", "service", "user"].includes(word)) classes.add(word);
    else throw new Fatal(`unknown -C option value "${word}" in "${text}"`);
  }
  return classes;
}

async function edit({ directory, operands }: Request, io: CommandIo, warn: Warn): Promise<void> {
  const edits = parseEdits(operands, warn);
  const path = `${directory}/main.cf`;
  await rewriteFile(io.runtime, outward(path), (text) =>
    editText(text, edits, (name) => warn(`${path}: multiple entries for "${name}"`)),
  );
}

async function show(request: Request, io: CommandIo, warn: Warn): Promise<void> {
  const { letters, directory } = request;
  const defaults = letters.has("d");
  const written = defaults ? new Map<string, Setting>() : await readMain(request, io, warn);
  const entries = await readMaster(directory, io, warn);
  const { host, processes } = io.runtime;
  const facts = { name: host.name(), interfaces: host.interfaces() };
  const settings = new Settings({ written, declared: allParams, host: facts, directory: inward(io.directory) });
  const process = { name: "postconf", id: processes.pid };
  const table = new ParameterTable({ settings, declared: allParams, entries, directory, warn }, written, process);
  if (!defaults) table.findUserParameters();
  // After a fatal error nothing is shown.
  io.out(Buffer.from(shownParameters(request, table, warn), "latin1"));
  if (!defaults && !letters.has("q")) table.flagUnused();
}

async function readMain(
  { directory, chosen, overrides }: Request,
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
  for (const override of overrides) {
    const parsed = splitNameValue(override);
    if (parsed.error !== undefined) throw new Fatal(`invalid parameter override: ${override}: ${parsed.error}`);
    written.set(parsed.name, { value: parsed.value, file: "", line: 0 });
  }
  return written;
}

async function readMaster(directory: string, io: CommandIo, warn: Warn): Promise<readonly MasterEntry[]> {
  const path = `${directory}/master.cf`;
  let text: string;
  try {
    text = (await readWhole(io.runtime.files, outward(path), file_limit)).bytes.toString("latin1");
  } catch (error) {
    warn(`open ${path}: ${systemText(error)}`);
    return [];
  }
  try {
    return masterEntries(text, path, warn);
  } catch (error) {
    if (error instanceof LineTooLong) throw new Fatal(`file ${path}: line ${error.line}: ${error.message}`);
    throw new Fatal(error instanceof Error ? error.message : String(error));
  }
}

function shownParameters({ letters, classes, operands }: Request, table: ParameterTable, warn: Warn): string {
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
    text += `${foldLine(line, letters.has("f"))}\n`;
  }
  return text;
}

/** Listed only where it is set or supported: one looks for the parameters of Postfix 3.7. */
function isNewer(name: string, table: ParameterTable): boolean {
  return postfixParameters().get(name)?.newer === true && !table.written.has(name) && !Object.hasOwn(allParams, name);
}

const width = 80;
const indent = "    ";

/** One space between words; with `fold`, lines shorter than 80, where words allow it. */
function foldLine(text: string, fold: boolean): string {
  let folded = "";
  let length = 0;
  for (const word of text.split(/[ \t\r\n]+/).filter(Boolean)) {
    if (length > 0) {
      const fits = !fold || length + word.length < width;
      folded += fits ? " " : `\n${indent}`;
      length = fits ? length + 1 : indent.length;
    }
    folded += word;
    length += word.length;
  }
  return folded;
}
