import { isUtf8 } from "node:buffer";
import type { Settings } from "../conf/settings.ts";
import { type OpenFile, readWhole } from "../runtime/files.ts";
import { BuildError, IndexPlace } from "../table/build.ts";
import type { ByteOptions, ByteTable } from "../table/byte-table.ts";
import { Entries } from "../table/entries.ts";
import { errorText } from "../table/error-text.ts";
import { foldBytes } from "../table/fold.ts";
import type { IndexFormat } from "../table/index-format.ts";
import { named } from "../table/indexed.ts";
import type { Answer } from "../table/maps.ts";
import { openByteTable, parseReference, type Reference, tableType } from "../table/open.ts";
import { printable } from "../table/printable.ts";
import { LogicalLines, type TakeLine } from "../table/source.ts";
import { type TableContext, TableError } from "../table/table.ts";
import { tableTypes } from "../table/types.ts";
import { filesInBase64, fromBase64 } from "./file-values.ts";
import type { CommandIo } from "./io.ts";
import { KeyTooLong, keyLines } from "./key-lines.ts";
import { MessageKeys } from "./message-keys.ts";
import { Fatal, parseTableOptions, type TableOptions, type Usage } from "./table-options.ts";
import { tableSettings } from "./table-settings.ts";

/**
 * What postmap(1) and postalias(1) have in common: building an index from a
 * source, adding to it, asking, deleting and listing.
 */
export interface TableProgram extends Usage {
  /** Before the colon of messages. */
  readonly name: string;
  /** Between key and value in output. */
  readonly separator: string;
  /** What is done with the logical lines of a source. */
  lines(building: Building): TakeLine;
  /** What is added when the source has been read. */
  finish?(building: Building, settings: Settings): void;
}

/** An index in the making, as TableProgram sees it. */
export interface Building {
  /** The source, as messages name it. */
  readonly path: string;
  readonly utf8: boolean;
  readonly incremental: boolean;
  readonly now_ms: number;
  warn(text: string): void;
  /** Adds an entry, or says that there is one already. Without `nul` it is stored as it stands, unfolded. */
  add(key: Buffer, value: Buffer, options?: { readonly plain?: boolean; readonly replace?: boolean }): void;
  /** The same with a value that may name files (-F). `where` is for messages. */
  addValue(key: Buffer, value: Buffer, where: string): void;
}

/** Runs the program; its exit status. Never throws for what the operator or a file did wrong. */
export async function tableCommand(program: TableProgram, args: readonly string[], io: CommandIo): Promise<number> {
  const say = (kind: string, text: string) => io.err(`${program.name}: ${kind}${printable(Buffer.from(text))}\n`);
  try {
    const { options, operands } = parseTableOptions(args, program, (text) => say("", text));
    const warn = (text: string) => say("warning: ", text);
    const settings = await tableSettings(io, options.configDirectory, warn);
    return await new TableRun(program, options, operands, settings, io, warn).run();
  } catch (error) {
    const known = [Fatal, BuildError, TableError, KeyTooLong].some((type) => error instanceof type);
    if (!known || !(error instanceof Error)) throw error;
    say("fatal: ", error.message);
    return 1;
  }
}

/** The largest index that is read: as much as one Buffer should hold. */
const indexLimit_bytes = 4 * 1024 * 1024 * 1024;

const sourceChunk_bytes = 256 * 1024;

/** An opened table, and how messages name it. */
interface Opened {
  readonly type: string;
  readonly name: string;
  /** What the file is called, where Postfix says that instead. */
  readonly shown: string;
  readonly table: ByteTable;
  /** Keys are not folded. */
  readonly patterns: boolean;
}

/** An index that is made or changed. */
interface Target {
  readonly type: string;
  readonly name: string;
  readonly index: IndexFormat;
}

/** Of a type whose index cannot be changed afterwards. */
const asAWhole = (type: string): string =>
  `dict_${type}_open: inappropriate open flags for ${type} database - specify O_RDONLY or O_WRONLY|O_CREAT|O_TRUNC`;

class TableRun {
  readonly #program: TableProgram;
  readonly #options: TableOptions;
  readonly #operands: readonly string[];
  readonly #settings: Settings;
  readonly #io: CommandIo;
  readonly #warn: (text: string) => void;
  readonly #utf8: boolean;
  readonly #tables: ByteTable[] = [];

  constructor(
    program: TableProgram,
    options: TableOptions,
    operands: readonly string[],
    settings: Settings,
    io: CommandIo,
    warn: (text: string) => void,
  ) {
    this.#program = program;
    this.#options = options;
    this.#operands = operands;
    this.#settings = settings;
    this.#io = io;
    this.#warn = warn;
    const messageKeys = options.bodyKeys || options.headerKeys;
    const asked = options.utf8 && (options.forceUtf8 || !messageKeys);
    this.#utf8 = asked && settings.value("smtputf8_enable").toLowerCase() === "yes";
  }

  async run(): Promise<number> {
    try {
      return await this.#run();
    } finally {
      for (const table of this.#tables) table.close?.();
    }
  }

  async #run(): Promise<number> {
    const { delete: deleted, query, list, bodyKeys, headerKeys, mimeKeys } = this.#options;
    if ((bodyKeys || headerKeys || mimeKeys) && query !== "-") {
      throw new Fatal('specify -b -h or -m only with "-q -"');
    }
    if (mimeKeys && !bodyKeys && !headerKeys) this.#warn("ignoring -m option without -b or -h");
    if (list && this.#operands.length === 0) return 1;
    if (this.#operands.length === 0) throw new Fatal(`usage: ${this.#program.usage}`);
    if (deleted !== undefined) return (await this.#delete(deleted)) ? 0 : 1;
    if (query === "-") return (await this.#queries()) ? 0 : 1;
    if (query !== undefined) return (await this.#query(query)) ? 0 : 1;
    if (list) return this.#list();
    for (const operand of this.#operands) await this.#build(this.#reference(operand));
    return 0;
  }

  #reference(operand: string): Reference {
    return parseReference(operand, this.#settings.value("default_database_type"));
  }

  // Asking

  async #query(text: string): Promise<boolean> {
    for (const operand of this.#operands) {
      const opened = await this.#open(this.#reference(operand));
      const value = await this.#find(opened, Buffer.from(text), opened.name);
      if (value === undefined) continue;
      this.#io.out(Buffer.concat([value, newline]));
      return true;
    }
    return false;
  }

  /** Keys from standard input; tables are opened when a key first needs them. */
  async #queries(): Promise<boolean> {
    const references = this.#operands.map((operand) => this.#reference(operand));
    const opened: Opened[] = [];
    const output = new Output(this.#io);
    const separator = Buffer.from(this.#program.separator);
    let found = false;
    const take = (key: Buffer, value: Buffer): true => {
      output.add(key, separator, value);
      found = true;
      return true;
    };
    /** False where a table has to be opened first. */
    const ask = (key: Buffer, first = 0): Answer<boolean> => {
      for (let index = first; index < references.length; index++) {
        const table = opened[index];
        if (!table) return false;
        const value = this.#find(table, key, table.shown);
        if (value instanceof Promise) return value.then((late) => (late ? take(key, late) : ask(key, index + 1)));
        if (value !== undefined) return take(key, value);
      }
      return true;
    };
    const askAll = async (keys: readonly Buffer[]): Promise<void> => {
      for (const key of keys) {
        const whole = untilNul(key);
        for (;;) {
          const done = ask(whole);
          if (done instanceof Promise ? await done : done) break;
          const next = references[opened.length];
          if (next) opened.push(await this.#open(next));
        }
      }
    };
    try {
      for await (const keys of this.#keys()) await askAll(keys);
    } finally {
      output.flush();
    }
    return found;
  }

  /** Lines of standard input, or what -b, -h and -m make of them. */
  async *#keys(): AsyncGenerator<readonly Buffer[]> {
    const { bodyKeys: body, headerKeys: headers, mimeKeys: mime } = this.#options;
    if (!body && !headers) {
      yield* keyLines(this.#io.stdin);
      return;
    }
    let keys: Buffer[] = [];
    const message = new MessageKeys({ body, headers, mime }, (key) => keys.push(key));
    for await (const lines of keyLines(this.#io.stdin)) {
      for (const line of lines) if (!message.done) message.line(line);
      yield keys;
      keys = [];
      if (message.done) return;
    }
    message.end();
    yield keys;
  }

  async #open(reference: Reference): Promise<Opened> {
    const { type, name } = reference;
    const found = tableType(type, tableTypes);
    const { duplicates, nul } = this.#options;
    const options: ByteOptions = {
      nul,
      utf8: this.#utf8,
      duplicates,
      ...(this.#options.valuesFromFiles ? { convert: (value, where) => this.#fromFiles(value, where) } : {}),
    };
    const table = await openByteTable(reference, this.#context(), options);
    this.#tables.push(table);
    return {
      type,
      name,
      shown: found.index?.shown(name) ?? found.files(name).index ?? name,
      table,
      patterns: table.patterns ?? found.patterns,
    };
  }

  #context(): TableContext {
    return {
      foldCase: this.#options.fold,
      read: async (path) => {
        try {
          const { bytes, facts } = await readWhole(this.#io.runtime.files, path, indexLimit_bytes);
          return { bytes, mtime_ms: facts.mtime_ms };
        } catch (error) {
          throw new TableError("config", `open database ${path}: ${errorText(error)}`);
        }
      },
      warn: this.#warn,
      env: this.#io.env,
      random: this.#io.runtime.random,
      network: this.#io.runtime,
      parameter: (name) => (this.#settings.has(name) ? this.#settings.value(name) : undefined),
    };
  }

  /** The value as it is printed; says what is odd about it. `name`: the table's, where an empty value is reported. */
  #find(opened: Opened, key: Buffer, name: string): Answer<Buffer | undefined> {
    const { type, shown, table, patterns } = opened;
    if (this.#utf8 && !isUtf8(key)) {
      this.#warn(`${type}:${shown}: non-UTF-8 key "${printable(key)}": ${notUtf8}`);
      return undefined;
    }
    const value = answered(`${type}:${name}`, () =>
      table.find(this.#options.fold && !patterns ? foldBytes(key, this.#utf8) : key),
    );
    if (!(value instanceof Promise)) return this.#checked(opened, key, name, value);
    return value.then(
      (late) => this.#checked(opened, key, name, late),
      (error: unknown) =>
        answered(`${type}:${name}`, () => {
          throw error;
        }),
    );
  }

  #checked({ type, shown }: Opened, key: Buffer, name: string, stored: Buffer | undefined): Buffer | undefined {
    if (stored === undefined) return undefined;
    let value = stored;
    if (this.#utf8 && !isUtf8(value)) {
      this.#warn(`${type}:${shown}: key "${printable(key)}": non-UTF-8 value "${printable(value)}": ${notUtf8}`);
      throw new Fatal(`table ${type}:${shown}: query error`);
    }
    if (this.#options.valuesFromFiles) {
      const decoded = fromBase64(value);
      if (!decoded) {
        this.#warn(`table ${type}:${shown}: key ${printable(key)}: ${malformed(value)}`);
        throw new Fatal(`table ${type}:${shown}: query error`);
      }
      value = decoded;
    }
    if (value.length === 0) this.#warnEmpty(`${type}:${name}`, key);
    return value;
  }

  #warnEmpty(table: string, key: Buffer): void {
    this.#warn(`table ${table}: key ${printable(key)}: empty string result is not allowed`);
    this.#warn(`table ${table} should return NO RESULT in case of NOT FOUND`);
  }

  async #list(): Promise<number> {
    const { type, name, shown, table } = await this.#open(this.#reference(this.#operands[0] ?? ""));
    const entries = table.entries?.bind(table);
    if (!entries) throw new Fatal(`table ${type}:${shown}: sequence operation is not supported`);
    const output = new Output(this.#io);
    const separator = Buffer.from(this.#program.separator);
    try {
      for (const [key, stored] of answered(`${type}:${shown}`, entries)) {
        if (key.length === 0) this.#warn(`table ${type}:${name}: empty lookup key value is not allowed`);
        else if (stored.length === 0) this.#warnEmpty(`${type}:${name}`, key);
        const value = this.#options.valuesFromFiles ? fromBase64(stored) : stored;
        if (value) output.add(key, separator, value);
        else this.#warn(`table ${type}:${name}: key ${printable(key)}: ${malformed(stored)}`);
      }
    } finally {
      output.flush();
    }
    return 0;
  }

  // Changing

  async #delete(text: string): Promise<boolean> {
    const references = this.#operands.map((operand) => this.#reference(operand));
    if (text !== "-") return this.#deleteFrom(references, [Buffer.from(text)]);
    const keys: Buffer[] = [];
    for await (const lines of keyLines(this.#io.stdin))
      for (const line of lines) keys.push(Buffer.from(untilNul(line)));
    return this.#deleteFrom(references, keys);
  }

  async #deleteFrom(references: readonly Reference[], keys: readonly Buffer[]): Promise<boolean> {
    let found = false;
    for (const { type, name } of references) {
      const { index } = tableType(type, tableTypes);
      if (index) {
        if (!index.changeable) throw new Fatal(asAWhole(type));
        if (await this.#deleteFromIndex({ type, name, index }, keys)) found = true;
        continue;
      }
      const what = undeletable(type, name);
      throw new Fatal(what ?? `${type}:${name} map requires O_RDONLY access mode`);
    }
    return found;
  }

  async #deleteFromIndex(target: Target, keys: readonly Buffer[]): Promise<boolean> {
    const { name, index } = target;
    const place = await IndexPlace.open(this.#io.runtime, name, { asOwner: true, warn: this.#warn });
    try {
      await place.lock();
      const entries = await this.#loadIndex(target);
      const facts = await place.facts(index.suffix);
      let found = false;
      for (const key of keys) if (this.#deleteKey(entries, key, target)) found = true;
      if (!found || !facts) return found;
      await place.check(index.suffix, facts);
      await place.write(index.suffix, this.#image(entries, target), { owner: facts, permissions: facts });
      return true;
    } finally {
      await place.close();
    }
  }

  #deleteKey(entries: Entries, key: Buffer, { type, name, index }: Target): boolean {
    if (this.#utf8 && !isUtf8(key)) {
      this.#warn(`${type}:${index.shown(name)}: non-UTF-8 key "${printable(key)}": ${notUtf8}`);
      return true;
    }
    const folded = this.#options.fold ? foldBytes(key, this.#utf8) : key;
    const { nul } = this.#options;
    if (nul !== "without" && entries.delete(Buffer.concat([folded, nulByte]))) return true;
    return nul !== "with" && entries.delete(folded);
  }

  async #loadIndex({ name, index }: Target): Promise<Entries> {
    const path = `${name}${index.suffix}`;
    const { bytes } = await this.#context().read(path);
    return named(path, () => {
      const entries = new Entries(bytes.length / 64);
      for (const [key, value] of index.open(bytes).entries()) entries.add(key, value, false, false);
      return entries;
    });
  }

  /** Throws Fatal where the entries do not fit the format. */
  #image(entries: Entries, { type, name, index }: Target): Buffer {
    try {
      return index.image(entries, (count) => this.#io.runtime.random.bytes(count));
    } catch (error) {
      if (!(error instanceof TableError)) throw error;
      throw new Fatal(`error updating ${type}:${index.shown(name)}: ${error.message}`);
    }
  }

  // Building

  async #build({ type, name }: Reference): Promise<void> {
    const { asOwner, keepPermissions, incremental } = this.#options;
    const place = await IndexPlace.open(this.#io.runtime, name, { asOwner, warn: this.#warn });
    let source: OpenFile | undefined;
    try {
      if (!incremental) source = await place.source();
      const { index } = tableType(type, tableTypes);
      if (!index) throw new Fatal(`unsupported dictionary type: ${type} does not support bulk-mode creation.`);
      if (incremental && !index.changeable) throw new Fatal(asAWhole(type));
      const { suffix } = index;
      const target = { type, name, index };
      await place.lock();
      const sourceFacts = source ? await source.facts() : await place.facts();
      const before = await place.facts(suffix);
      const empty = before?.kind === "file" && before.size === 0;
      const old = incremental && !empty ? before : undefined;
      const like = old ?? sourceFacts;
      if (like) await place.check(suffix, like);
      if (empty && index.reportsEmpty) this.#warn(`removing zero-length database file: ${name}${suffix}`);
      const entries = old ? await this.#loadIndex(target) : new Entries((sourceFacts?.size ?? 0) / 40);
      await this.#fill(entries, target, source);
      const owner = old ?? (asOwner ? sourceFacts : before);
      const permissions = keepPermissions || old ? like : undefined;
      await place.write(suffix, this.#image(entries, target), { owner, permissions });
      if (source && sourceFacts && changed(sourceFacts, await place.facts())) {
        this.#warn(`${name} has changed while it was read: run "${this.#program.name} ${type}:${name}" again`);
      }
    } finally {
      await source?.close();
      await place.close();
    }
  }

  async #fill(entries: Entries, target: Target, source: OpenFile | undefined): Promise<void> {
    const pending: (() => Promise<void>)[] = [];
    const building = this.#building(entries, target, source === undefined, pending);
    const lines = new LogicalLines(building.path, this.#program.lines(building), this.#warn);
    const settle = async () => {
      for (const each of pending.splice(0)) await each();
    };
    if (source) {
      const chunk = Buffer.allocUnsafe(sourceChunk_bytes);
      for (let count = await source.read(chunk); count > 0; count = await source.read(chunk)) {
        lines.feed(chunk.subarray(0, count));
        if (pending.length > 0) await settle();
      }
    } else {
      for await (const chunk of this.#io.stdin) {
        lines.feed(chunk);
        if (pending.length > 0) await settle();
      }
    }
    lines.end();
    await settle();
    this.#program.finish?.(building, this.#settings);
  }

  #building(entries: Entries, target: Target, incremental: boolean, pending: (() => Promise<void>)[]): Building {
    const { name, index } = target;
    const { fold, nul, duplicates, valuesFromFiles } = this.#options;
    const add: Building["add"] = (key, value, { plain = false, replace = false } = {}) => {
      const stored = fold && !plain ? foldBytes(key, this.#utf8) : key;
      const withNul = !plain && (nul === "either" ? index.nul : nul === "with");
      const replaces = replace || duplicates === "replace";
      if (entries.add(stored, value, withNul, replaces) || replaces) return;
      if (duplicates === "warn") this.#warn(`${index.shownTwice(name)}: duplicate entry: "${printable(stored)}"`);
    };
    return {
      path: incremental ? "stdin" : name,
      utf8: this.#utf8,
      incremental,
      now_ms: this.#io.runtime.clock.now(),
      warn: this.#warn,
      add,
      addValue: (key, value, where) => {
        if (!valuesFromFiles) return add(key, value);
        const [kept, named] = [Buffer.from(key), Buffer.from(value)];
        pending.push(async () => {
          const made = await this.#fromFiles(named, where);
          if (made) add(kept, made);
        });
      },
    };
  }

  async #fromFiles(value: Buffer, where: string): Promise<Buffer | undefined> {
    const made = await filesInBase64(this.#io.runtime.files, value.toString());
    if (Buffer.isBuffer(made)) return made;
    this.#warn(`${where}: ${made}: skipping this entry`);
    return undefined;
  }
}

function undeletable(type: string, name: string): string | undefined {
  if (type === "fail") return `table fail:${name}: delete error: Application error`;
  const fixed = ["static", "environ"].includes(type);
  return fixed ? `table ${type}:${name}: delete operation is not supported` : undefined;
}

/** A table that cannot tell ends the command, as in Postfix. */
function answered<T>(table: string, ask: () => T): T {
  try {
    return ask();
  } catch (error) {
    if (error instanceof TableError && error.kind === "retry") throw new Fatal(`table ${table}: ${error.message}`);
    throw error;
  }
}

const newline = Buffer.from("\n");
const nulByte = Buffer.alloc(1);
const notUtf8 = "malformed UTF-8 or invalid codepoint";

const malformed = (value: Buffer): string => `malformed BASE64 value: ${printable(value.subarray(0, 30))}`;

function untilNul(key: Buffer): Buffer {
  const nul = key.indexOf(0);
  return nul < 0 ? key : key.subarray(0, nul);
}

type Stamp = { readonly mtime_ms: number; readonly size: number; readonly ino: number };

const changed = (before: Stamp, now: Stamp | undefined): boolean =>
  now === undefined || now.mtime_ms !== before.mtime_ms || now.size !== before.size || now.ino !== before.ino;

/** Lines of output, handed on in large pieces. */
class Output {
  readonly #io: CommandIo;
  readonly #bytes = Buffer.allocUnsafeSlow(64 * 1024);
  #used = 0;

  constructor(io: CommandIo) {
    this.#io = io;
  }

  add(key: Buffer, separator: Buffer, value: Buffer): void {
    const size = key.length + separator.length + value.length + 1;
    if (this.#used + size > this.#bytes.length) this.flush();
    if (size > this.#bytes.length) {
      this.#io.out(Buffer.concat([key, separator, value, newline]));
      return;
    }
    this.#append(key);
    this.#append(separator);
    this.#append(value);
    this.#bytes[this.#used++] = 0x0a;
  }

  flush(): void {
    if (this.#used > 0) this.#io.out(this.#bytes.subarray(0, this.#used));
    this.#used = 0;
  }

  #append(bytes: Buffer): void {
    this.#bytes.set(bytes, this.#used);
    this.#used += bytes.length;
  }
}
