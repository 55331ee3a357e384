import { isUtf8 } from "node:buffer";
import type { OpenFile } from "../runtime/files.ts";
import { IndexPlace } from "../table/build.ts";
import { Entries } from "../table/entries.ts";
import { foldBytes } from "../table/fold.ts";
import type { IndexFormat } from "../table/index-format.ts";
import { named } from "../table/indexed.ts";
import { type Reference, tableType } from "../table/open.ts";
import { printable } from "../table/printable.ts";
import { LogicalLines } from "../table/source.ts";
import { TableError } from "../table/table.ts";
import { tableTypes } from "../table/types.ts";
import { keyLines } from "./key-lines.ts";
import { type Building, fromFiles, notUtf8, referenceTo, type TableJob, tableContext, untilNul } from "./table-job.ts";
import { Fatal } from "./table-options.ts";

/** Making and changing indexes: no option, -i, -d. Fails with Fatal, BuildError, KeyTooLong and TableError. */
const sourceChunk_bytes = 256 * 1024;

/** An index that is made or changed. */
interface Target {
  readonly type: string;
  readonly name: string;
  readonly index: IndexFormat;
}

/** Of a type whose index cannot be changed afterwards. */
const asAWhole = (type: string): string =>
  `dict_${type}_open: inappropriate open flags for ${type} database - specify O_RDONLY or O_WRONLY|O_CREAT|O_TRUNC`;

export class TableChanging {
  readonly #job: TableJob;

  constructor(job: TableJob) {
    this.#job = job;
  }

  /** Deletes a key, or those of standard input; false where no table has any. */
  async delete(text: string): Promise<boolean> {
    const references = this.#job.operands.map((operand) => referenceTo(this.#job, operand));
    if (text !== "-") return this.#deleteFrom(references, [Buffer.from(text)]);
    const keys: Buffer[] = [];
    for await (const lines of keyLines(this.#job.io.stdin))
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
    const place = await IndexPlace.open(this.#job.io.runtime, name, { asOwner: true, warn: this.#job.warn });
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
    if (this.#job.utf8 && !isUtf8(key)) {
      this.#job.warn(`${type}:${index.shown(name)}: non-UTF-8 key "${printable(key)}": ${notUtf8}`);
      return true;
    }
    const folded = this.#job.options.fold ? foldBytes(key, this.#job.utf8) : key;
    const { nul } = this.#job.options;
    if (nul !== "without" && entries.delete(Buffer.concat([folded, nulByte]))) return true;
    return nul !== "with" && entries.delete(folded);
  }

  async #loadIndex({ name, index }: Target): Promise<Entries> {
    const path = `${name}${index.suffix}`;
    const { bytes } = await tableContext(this.#job).read(path);
    return named(path, () => {
      const entries = new Entries(bytes.length / 64);
      for (const [key, value] of index.open(bytes).entries()) entries.add(key, value, false, false);
      return entries;
    });
  }

  /** Throws Fatal where the entries do not fit the format. */
  #image(entries: Entries, { type, name, index }: Target): Buffer {
    try {
      return index.image(entries, (count) => this.#job.io.runtime.random.bytes(count));
    } catch (error) {
      if (!(error instanceof TableError)) throw error;
      throw new Fatal(`error updating ${type}:${index.shown(name)}: ${error.message}`);
    }
  }

  /** Makes an index from its source, or adds what standard input has (-i). */
  async build({ type, name }: Reference): Promise<void> {
    const { asOwner, keepPermissions, incremental } = this.#job.options;
    const place = await IndexPlace.open(this.#job.io.runtime, name, { asOwner, warn: this.#job.warn });
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
      if (empty && index.reportsEmpty) this.#job.warn(`removing zero-length database file: ${name}${suffix}`);
      const entries = old ? await this.#loadIndex(target) : new Entries((sourceFacts?.size ?? 0) / 40);
      await this.#fill(entries, target, source);
      const owner = old ?? (asOwner ? sourceFacts : before);
      const permissions = keepPermissions || old ? like : undefined;
      await place.write(suffix, this.#image(entries, target), { owner, permissions });
      if (source && sourceFacts && changed(sourceFacts, await place.facts())) {
        this.#job.warn(`${name} has changed while it was read: run "${this.#job.program.name} ${type}:${name}" again`);
      }
    } finally {
      await source?.close();
      await place.close();
    }
  }

  async #fill(entries: Entries, target: Target, source: OpenFile | undefined): Promise<void> {
    const pending: (() => Promise<void>)[] = [];
    const building = this.#building(entries, target, source === undefined, pending);
    const lines = new LogicalLines(building.path, this.#job.program.lines(building), this.#job.warn);
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
      for await (const chunk of this.#job.io.stdin) {
        lines.feed(chunk);
        if (pending.length > 0) await settle();
      }
    }
    lines.end();
    await settle();
    this.#job.program.finish?.(building, this.#job.settings);
  }

  #building(entries: Entries, target: Target, incremental: boolean, pending: (() => Promise<void>)[]): Building {
    const { name, index } = target;
    const { fold, nul, duplicates, valuesFromFiles } = this.#job.options;
    const add: Building["add"] = (key, value, { plain = false, replace = false } = {}) => {
      const stored = fold && !plain ? foldBytes(key, this.#job.utf8) : key;
      const withNul = !plain && (nul === "either" ? index.nul : nul === "with");
      const replaces = replace || duplicates === "replace";
      if (entries.add(stored, value, withNul, replaces) || replaces) return;
      if (duplicates === "warn") this.#job.warn(`${index.shownTwice(name)}: duplicate entry: "${printable(stored)}"`);
    };
    return {
      path: incremental ? "stdin" : name,
      utf8: this.#job.utf8,
      incremental,
      now_ms: this.#job.io.runtime.clock.now(),
      warn: this.#job.warn,
      add,
      addValue: (key, value, where) => {
        if (!valuesFromFiles) return add(key, value);
        const [kept, named] = [Buffer.from(key), Buffer.from(value)];
        pending.push(async () => {
          const made = await fromFiles(this.#job, named, where);
          if (made) add(kept, made);
        });
      },
    };
  }
}

function undeletable(type: string, name: string): string | undefined {
  if (type === "fail") return `table fail:${name}: delete error: Application error`;
  const fixed = ["static", "environ"].includes(type);
  return fixed ? `table ${type}:${name}: delete operation is not supported` : undefined;
}

const nulByte = Buffer.alloc(1);

type Stamp = { readonly mtime_ms: number; readonly size: number; readonly ino: number };

const changed = (before: Stamp, now: Stamp | undefined): boolean =>
  now === undefined || now.mtime_ms !== before.mtime_ms || now.size !== before.size || now.ino !== before.ino;
