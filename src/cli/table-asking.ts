import { isUtf8 } from "node:buffer";
import type { ByteOptions, ByteTable } from "../table/byte-table.ts";
import { foldBytes } from "../table/fold.ts";
import type { Answer } from "../table/maps.ts";
import { openByteTable, type Reference, tableType } from "../table/open.ts";
import { printable } from "../table/printable.ts";
import { TableError } from "../table/table.ts";
import { tableTypes } from "../table/types.ts";
import { fromBase64 } from "./file-values.ts";
import type { CommandIo } from "./io.ts";
import { keyLines } from "./key-lines.ts";
import { MessageKeys } from "./message-keys.ts";
import { fromFiles, notUtf8, referenceTo, type TableJob, tableContext, untilNul } from "./table-job.ts";
import { Fatal } from "./table-options.ts";

/** Asking tables, and listing them: -q, -s, and what goes with them. Fails with Fatal, KeyTooLong and TableError. */
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

export class TableAsking {
  readonly #job: TableJob;
  readonly #tables: ByteTable[] = [];

  constructor(job: TableJob) {
    this.#job = job;
  }

  /** Closes what was opened. */
  close(): void {
    for (const table of this.#tables) table.close?.();
  }

  /** Prints the value of one key; false where no table has it. */
  async query(text: string): Promise<boolean> {
    for (const operand of this.#job.operands) {
      const opened = await this.#open(referenceTo(this.#job, operand));
      const value = await this.#find(opened, Buffer.from(text), opened.name);
      if (value === undefined) continue;
      this.#job.io.out(Buffer.concat([value, newline]));
      return true;
    }
    return false;
  }

  /** Prints the values of keys from standard input; false where none has one. Tables are opened when a key first needs them. */
  async queries(): Promise<boolean> {
    const references = this.#job.operands.map((operand) => referenceTo(this.#job, operand));
    const opened: Opened[] = [];
    const output = new Output(this.#job.io);
    const separator = Buffer.from(this.#job.program.separator);
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
    const { bodyKeys: body, headerKeys: headers, mimeKeys: mime } = this.#job.options;
    if (!body && !headers) {
      yield* keyLines(this.#job.io.stdin);
      return;
    }
    let keys: Buffer[] = [];
    const message = new MessageKeys({ body, headers, mime }, (key) => keys.push(key));
    for await (const lines of keyLines(this.#job.io.stdin)) {
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
    const { duplicates, nul } = this.#job.options;
    const options: ByteOptions = {
      nul,
      utf8: this.#job.utf8,
      duplicates,
      ...(this.#job.options.valuesFromFiles ? { convert: (value, where) => fromFiles(this.#job, value, where) } : {}),
    };
    const table = await openByteTable(reference, tableContext(this.#job), options);
    this.#tables.push(table);
    return {
      type,
      name,
      shown: found.index?.shown(name) ?? found.files(name).index ?? name,
      table,
      patterns: table.patterns ?? found.patterns,
    };
  }

  /** The value as it is printed; says what is odd about it. `name`: the table's, where an empty value is reported. */
  #find(opened: Opened, key: Buffer, name: string): Answer<Buffer | undefined> {
    const { type, shown, table, patterns } = opened;
    if (this.#job.utf8 && !isUtf8(key)) {
      this.#job.warn(`${type}:${shown}: non-UTF-8 key "${printable(key)}": ${notUtf8}`);
      return undefined;
    }
    const value = answered(`${type}:${name}`, () =>
      table.find(this.#job.options.fold && !patterns ? foldBytes(key, this.#job.utf8) : key),
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
    if (this.#job.utf8 && !isUtf8(value)) {
      this.#job.warn(`${type}:${shown}: key "${printable(key)}": non-UTF-8 value "${printable(value)}": ${notUtf8}`);
      throw new Fatal(`table ${type}:${shown}: query error`);
    }
    if (this.#job.options.valuesFromFiles) {
      const decoded = fromBase64(value);
      if (!decoded) {
        this.#job.warn(`table ${type}:${shown}: key ${printable(key)}: ${malformed(value)}`);
        throw new Fatal(`table ${type}:${shown}: query error`);
      }
      value = decoded;
    }
    if (value.length === 0) this.#warnEmpty(`${type}:${name}`, key);
    return value;
  }

  #warnEmpty(table: string, key: Buffer): void {
    this.#job.warn(`table ${table}: key ${printable(key)}: empty string result is not allowed`);
    this.#job.warn(`table ${table} should return NO RESULT in case of NOT FOUND`);
  }

  /** Prints every entry of the first table. */
  async list(): Promise<number> {
    const { type, name, shown, table } = await this.#open(referenceTo(this.#job, this.#job.operands[0] ?? ""));
    const entries = table.entries?.bind(table);
    if (!entries) throw new Fatal(`table ${type}:${shown}: sequence operation is not supported`);
    const output = new Output(this.#job.io);
    const separator = Buffer.from(this.#job.program.separator);
    try {
      for (const [key, stored] of answered(`${type}:${shown}`, entries)) {
        if (key.length === 0) this.#job.warn(`table ${type}:${name}: empty lookup key value is not allowed`);
        else if (stored.length === 0) this.#warnEmpty(`${type}:${name}`, key);
        const value = this.#job.options.valuesFromFiles ? fromBase64(stored) : stored;
        if (value) output.add(key, separator, value);
        else this.#job.warn(`table ${type}:${name}: key ${printable(key)}: ${malformed(stored)}`);
      }
    } finally {
      output.flush();
    }
    return 0;
  }
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

const malformed = (value: Buffer): string => `malformed BASE64 value: ${printable(value.subarray(0, 30))}`;

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
