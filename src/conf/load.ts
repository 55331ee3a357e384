import { errorCode, type Files, readWhole } from "../runtime/files.ts";
import type { Host } from "../runtime/host.ts";
import type { Names } from "../runtime/names.ts";
import { type Environment, type Given, readGiven, withGiven } from "./given.ts";
import type { HostFacts } from "./host-defaults.ts";
import { parseMainCf } from "./main-cf.ts";
import { type MasterService, parseMasterCf } from "./master-cf.ts";
import { type Params, splitList } from "./param.ts";
import { portTable } from "./ports.ts";
import { postfixParameters } from "./postfix-parameters.ts";
import type { Problem } from "./problem.ts";
import { Settings } from "./settings.ts";
import { file_limit, trimSpace } from "./text.ts";

/**
 * Everything that a configuration is made of, as plain data: the master reads
 * it once, and hands it to the processes that it starts, so that all see the
 * same.
 */
export interface ConfTexts {
  readonly directory: string;
  readonly mainCf: string;
  readonly masterCf: string;
  readonly host: HostFacts;
  /** The text of /etc/services. */
  readonly services?: string;
  /** What stands in the file that myorigin names, where it names one. */
  readonly myorigin?: string;
  /** What the environment says, put above main.cf. */
  readonly given?: Given;
  /** Put above main.cf, as `-o name=value` on a command line does. */
  readonly overrides?: Readonly<Record<string, string>>;
}

export interface Conf {
  readonly settings: Settings;
  readonly services: readonly MasterService[];
  readonly warnings: readonly Problem[];
  /** What keeps the configuration from being used: if there is any, use it for nothing but telling so. */
  readonly problems: readonly Problem[];
}

/** A configuration from its texts. `declared` is what the rooms declare. */
export function parseConf(texts: ConfTexts, declared: Params): Conf {
  const { directory, host } = texts;
  const main = parseMainCf(texts.mainCf, `${directory}/main.cf`);
  const master = parseMasterCf(texts.masterCf, `${directory}/master.cf`, portTable(texts.services));
  const written = withGiven(main.settings, texts.given);
  for (const [name, value] of Object.entries(texts.overrides ?? {})) written.set(name, { value, file: "", line: 0 });
  const origin = written.get("myorigin");
  if (origin && texts.myorigin !== undefined) written.set("myorigin", { ...origin, value: texts.myorigin });
  return {
    settings: new Settings({ written, declared, host, directory }),
    services: master.services,
    warnings: [...main.warnings, ...(texts.given?.warnings ?? []), ...master.warnings],
    problems: [...main.problems, ...master.problems],
  };
}

export interface LoadOptions {
  readonly declared: Params;
  readonly host: Host;
  /** For names in inet_interfaces when mynetworks is left to mynetworks_style. */
  readonly names?: Pick<Names, "native">;
  readonly overrides?: Readonly<Record<string, string>>;
  /** The environment, for what it says of the configuration. */
  readonly env?: Environment;
  /** Files that the environment names must be readable; for those who will need what is in them. */
  readonly secrets?: boolean;
  /** For commands that want nothing of master.cf: it is not read, and there are no services. */
  readonly mainOnly?: boolean;
}

export interface LoadedConf extends Conf {
  /** For parseConf() in another process. */
  readonly texts: ConfTexts;
}

/** Reads a configuration directory. A file that cannot be read is a problem in the result. */
export async function loadConf(files: Files, directory: string, options: LoadOptions): Promise<LoadedConf> {
  const problems: Problem[] = [];
  const mainCf = await readText(files, `${directory}/main.cf`, problems);
  const masterCf = options.mainOnly ? "" : await readText(files, `${directory}/master.cf`, problems);
  const services = options.mainOnly ? "" : await readText(files, "/etc/services", []);
  const host: HostFacts = { name: options.host.name(), interfaces: options.host.interfaces() };
  let texts: ConfTexts = { directory, mainCf, masterCf, host, services };
  const given = await givenBy(files, options, problems);
  if (given) texts = { ...texts, given };
  if (options.overrides) texts = { ...texts, overrides: options.overrides };
  let conf = parseConf(texts, options.declared);
  const origin = await originOf(files, conf.settings, problems);
  if (origin !== undefined) texts = { ...texts, myorigin: origin };
  const addressesOf = await interfaceAddresses(conf.settings, options.names, problems);
  if (addressesOf) texts = { ...texts, host: { ...host, addressesOf } };
  if (origin !== undefined || addressesOf) conf = parseConf(texts, options.declared);
  return { ...conf, problems: [...problems, ...conf.problems], texts };
}

async function givenBy(files: Files, options: LoadOptions, problems: Problem[]): Promise<Given | undefined> {
  const read = async (path: string): Promise<string> => {
    try {
      return (await readWhole(files, path, file_limit)).bytes.toString();
    } catch (error) {
      throw new Error(cannotRead(error));
    }
  };
  const found = await readGiven(options.env ?? {}, read, knownNames(options.declared));
  if (options.secrets) problems.push(...found.problems);
  return found.given;
}

/** Every name that a configuration may have a value for, as far as they do not depend on master.cf. */
export function knownNames(declared: Params): ReadonlySet<string> {
  return new Set([...Object.keys(declared), ...postfixParameters().keys()]);
}

async function readText(files: Files, path: string, problems: Problem[]): Promise<string> {
  try {
    return (await readWhole(files, path, file_limit)).bytes.toString();
  } catch (error) {
    problems.push({ file: path, line: 0, text: cannotRead(error), remedy: "" });
    return "";
  }
}

function cannotRead(error: unknown): string {
  const code = errorCode(error);
  const words: Readonly<Record<string, string>> = {
    ENOENT: "no such file",
    EACCES: "permission denied",
    EISDIR: "is a directory",
    EFBIG: `larger than ${file_limit} bytes`,
  };
  return `cannot be read: ${words[code] ?? (error instanceof Error ? error.message : String(error))}`;
}

/** The first line of the file that myorigin names; undefined where it names none. */
async function originOf(files: Files, settings: Settings, problems: Problem[]): Promise<string | undefined> {
  const path = settings.value("myorigin");
  if (!path.startsWith("/")) return undefined;
  const place = settings.at("myorigin") ?? { file: "", line: 0 };
  try {
    const { bytes } = await readWhole(files, path, 64 * 1024);
    const line = trimSpace(bytes.toString().split("\n", 1)[0] ?? "");
    if (line !== "") return line;
    problems.push({
      ...place,
      text: `myorigin file ${path} is empty`,
      remedy: "Write the domain into its first line.",
    });
  } catch (error) {
    const remedy = "Create it with the domain in its first line, or set myorigin to the domain itself.";
    problems.push({ ...place, text: `myorigin file ${path} ${cannotRead(error)}`, remedy });
  }
  return undefined;
}

async function interfaceAddresses(
  settings: Settings,
  names: Pick<Names, "native"> | undefined,
  problems: Problem[],
): Promise<Record<string, readonly string[]> | undefined> {
  if (!names || settings.has("mynetworks")) return undefined;
  const found: Record<string, readonly string[]> = {};
  for (const word of wordsOf(settings.value("inet_interfaces"))) {
    if (/^(all|loopback-only)$/i.test(word) || /^[\d.]+$/.test(word) || word.includes(":")) continue;
    try {
      found[word] = (await names.native(word)).map(({ address }) => address);
    } catch {
      const place = settings.at("inet_interfaces") ?? { file: "", line: 0 };
      problems.push({
        ...place,
        text: `parameter inet_interfaces: host not found: ${word}`,
        remedy: "Write its address.",
      });
    }
  }
  return Object.keys(found).length > 0 ? found : undefined;
}

function wordsOf(value: string): readonly string[] {
  try {
    return splitList(value);
  } catch {
    return [];
  }
}
