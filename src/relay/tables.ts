import { splitList } from "../conf/param.ts";
import type { Problem } from "../conf/problem.ts";
import type { Settings } from "../conf/settings.ts";
import { pause } from "../runtime/clock.ts";
import { environment } from "../runtime/environment.ts";
import { errorCode, type Files, readWhole } from "../runtime/files.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { given } from "../table/given.ts";
import { Maps, noMaps } from "../table/maps.ts";
import { readIndex } from "../table/read-index.ts";
import { type FileSnapshot, TableError } from "../table/table.ts";
import { TableSet } from "../table/table-set.ts";
import { tableTypes } from "../table/types.ts";
import type { Configuration } from "./configuration.ts";
import { allParams, type RelayConf } from "./params.ts";
import { tableFileLimit_bytes, type WatchedFile } from "./protocol.ts";

/** How large a /file of patterns may be. */
const patternFileLimit_bytes = 16 * 1024 * 1024;

/** /files that name /files, to this depth. */
const nestingLimit = 20;

/**
 * Every lookup table and /file that a configuration names, read as root at start and
 * from then on exchanged for what the master sends. Look-ups need no privileges and wait for nothing.
 *
 * A table that main.cf names must open, or the start is refused; one that only a default
 * names (alias_maps on a host without /etc/aliases.db) may be missing.
 */
export class Tables {
  readonly #set: TableSet;
  readonly #maps = new Map<string, Maps>();
  readonly #texts = new Map<string, string | undefined>();
  readonly #readTimes = new Map<string, number>();
  readonly #sourceTimes = new Map<string, number | undefined>();
  readonly #files: Files;
  /** Sources that stand in place of files. */
  readonly #given: ReadonlyMap<string, string>;
  readonly problems: Problem[] = [];
  readonly warnings: Problem[] = [];

  private constructor(
    { files, clock, random, net, names }: World,
    configuration: Configuration,
    warn: (text: string) => void,
  ) {
    this.#files = files;
    this.#given = configuration.given.files;
    this.#set = new TableSet({
      defaultType: configuration.conf.default_database_type,
      types: [...tableTypes, given],
      read: async (path) => {
        const text = this.#given.get(path);
        if (text !== undefined) return { bytes: Buffer.from(text), mtime_ms: 0 };
        const snapshot = await readSettled({ files, clock }, path);
        this.#readTimes.set(path, snapshot.mtime_ms);
        return snapshot;
      },
      modified: (path) => this.#modified(path),
      world: {
        env: environment(),
        random,
        given: configuration.given.tables,
        network: { net, names, clock },
        parameter: (name) => writtenValue(configuration.settings, name),
      },
      warn,
    });
  }

  static async open(world: World, configuration: Configuration, warn: (text: string) => void): Promise<Tables> {
    const tables = new Tables(world, configuration, warn);
    await tables.#openAll(configuration.conf, configuration.settings);
    const { smtpd, transports, cleanups } = configuration;
    for (const { conf, settings } of [...smtpd, ...transports, ...cleanups.values()]) {
      await tables.#openAll(conf, settings);
    }
    return tables;
  }

  /** The tables of one parameter. All were opened at start; what is no table is passed over. */
  readonly maps = (references: readonly string[]): Maps => {
    const slots = references.flatMap((reference) => this.#maps.get(reference)?.slots ?? []);
    return slots.length === 0 ? noMaps : new Maps(slots);
  };

  /** The text of a /file; undefined where it cannot be read. */
  readonly file = (path: string): string | undefined => this.#texts.get(path);

  /** What the master has to follow for us. */
  watched(): WatchedFile[] {
    const watched = (path: string, role: WatchedFile["role"], limit_bytes: number): WatchedFile => {
      const read_ms = this.#readTimes.get(path);
      return { path, role, limit_bytes, ...(read_ms === undefined ? {} : { read_ms }) };
    };
    const contents = this.#set.contents().filter((path) => !this.#given.has(path));
    const indexes = contents.map((path) => watched(path, "index", tableFileLimit_bytes));
    const sources = this.#set.sources().map((path) => watched(path, "source", 0));
    return [...indexes, ...sources];
  }

  /** Files in which the password of a database stands. */
  secrets(): string[] {
    return this.#set.secrets();
  }

  /** New bytes of a table's file. False when they are not in use: they were half-written, or are broken. */
  replace(path: string, snapshot: FileSnapshot): Promise<boolean> {
    return this.#set.replace(path, snapshot);
  }

  sourceChanged(path: string, mtime_ms: number): void {
    this.#sourceTimes.set(path, mtime_ms);
    this.#set.sourceChanged(path, mtime_ms || undefined);
  }

  stale(now_ms: number): string[] {
    return this.#set.stale(now_ms);
  }

  /** When stale() may next have something to say, as things are; undefined: not before something changes. */
  nextStale_ms(): number | undefined {
    return this.#set.nextStale_ms();
  }

  async #openAll(conf: RelayConf, settings: Settings): Promise<void> {
    for (const [name, param] of Object.entries(allParams)) {
      if (param.kind !== "lookup tables" && param.kind !== "list") continue;
      const words = conf[name as keyof RelayConf] as unknown as readonly string[];
      for (const word of words) {
        if (param.kind === "lookup tables") await this.#openTable(word, name, settings);
        else await this.#openPattern(word, name, settings, 0);
      }
    }
  }

  /** In a list, only some words are tables or files: `!type:name`, `/path`. Network addresses have colons too. */
  async #openPattern(pattern: string, name: string, settings: Settings, depth: number): Promise<void> {
    const word = pattern.replace(/^!+/, "");
    if (word.startsWith("/")) return this.#readFile(word, name, settings, depth);
    if (tableTypes.some((type) => word.startsWith(`${type.name}:`))) await this.#openTable(word, name, settings);
  }

  async #openTable(reference: string, name: string, settings: Settings): Promise<void> {
    if (this.#maps.has(reference)) return;
    const place = settings.at(name) ?? { file: "", line: 0 };
    try {
      const maps = await this.#set.maps([this.#withoutIndex(reference)], { foldCase: true });
      const error = maps.slots.map(({ current }) => current).find((current) => current instanceof TableError);
      if (!error) {
        this.#maps.set(reference, maps);
        return;
      }
      throw error;
    } catch (error) {
      if (!(error instanceof TableError)) throw error;
      const problem = {
        ...place,
        text: `${name}: ${reference}: ${error.message}`,
        ...remedyFor(reference, error.message, name),
      };
      if (settings.has(name)) this.problems.push(problem);
      else if (isKnownType(reference))
        this.warnings.push({ ...problem, text: `${problem.text}; it is a default, and left out` });
    }
  }

  /** There is no index of a source that is given, and none is needed: it is looked into itself. */
  #withoutIndex(reference: string): string {
    const colon = reference.indexOf(":");
    const path = reference.slice(colon + 1);
    const type = tableTypes.find(({ name }) => name === reference.slice(0, colon));
    return this.#given.has(path) && (colon < 0 || type?.index) ? `texthash:${path}` : reference;
  }

  async #readFile(path: string, name: string, settings: Settings, depth: number): Promise<void> {
    if (this.#texts.has(path) || depth > nestingLimit || !isPatternFile(name)) return;
    try {
      const { bytes } = await readWhole(this.#files, path, patternFileLimit_bytes);
      const text = bytes.toString();
      this.#texts.set(path, text);
      for (const line of text.split("\n")) {
        for (const word of splitList(line.replace(/#.*/, ""))) await this.#openPattern(word, name, settings, depth + 1);
      }
    } catch (error) {
      const place = settings.at(name) ?? { file: "", line: 0 };
      const why = errorCode(error) || String(error);
      this.problems.push({
        ...place,
        text: `${name}: ${path} cannot be read: ${why}`,
        remedy: "Create it, or remove it from the list.",
      });
    }
  }

  async #modified(path: string): Promise<number | undefined> {
    if (this.#sourceTimes.has(path)) return this.#sourceTimes.get(path);
    return this.#files.facts(path).then(
      ({ mtime_ms }) => {
        this.#readTimes.set(path, mtime_ms);
        return mtime_ms;
      },
      () => undefined,
    );
  }
}

const writtenValue = (settings: Settings, name: string): string | undefined =>
  settings.has(name) ? settings.value(name) : undefined;

/** Lists in which a word with a slash in front is something else than a file of patterns. */
const otherPaths = new Set(["maillog_file_prefixes", "import_environment"]);
const isPatternFile = (name: string): boolean => !otherPaths.has(name);

function remedyFor(reference: string, text: string, parameter: string): Pick<Problem, "remedy" | "commands"> {
  const make = `${/^alias_/.test(parameter) ? "postalias" : "postmap"} ${reference}`;
  if (/magic|Berkeley DB|constant database|LMDB|damaged/i.test(text)) {
    return { remedy: `Make it again: ${make}`, commands: [make] };
  }
  if (!/no such file/i.test(text)) return { remedy: "" };
  const [type = "", name = ""] = [
    reference.slice(0, reference.indexOf(":")),
    reference.slice(reference.indexOf(":") + 1),
  ];
  const made = tableTypes.some((each) => each.name === type && each.index);
  if (made) return { remedy: `Make it: ${make}`, commands: [make] };
  return { remedy: `Create ${name}, or remove it from the configuration.` };
}

/** A type that only a default names, such as nis:, is nobody's wish. */
const isKnownType = (reference: string): boolean =>
  tableTypes.some((type) => reference.replace(/^(proxy:)+/, "").startsWith(`${type.name}:`));

type World = Pick<Runtime, "files" | "clock" | "random" | "net" | "names">;

/** At start, an index that somebody is writing is waited for, this often and this long. */
const settleTries = 50;
const settlePause_ms = 100;

async function readSettled({ files, clock }: Pick<World, "files" | "clock">, path: string): Promise<FileSnapshot> {
  for (let tried = 1; ; tried++) {
    try {
      return await readIndex(files, path, tableFileLimit_bytes);
    } catch (error) {
      if (!(error instanceof TableError) || error.kind !== "retry" || tried >= settleTries) throw error;
      await pause(clock, settlePause_ms);
    }
  }
}
