import { bracedLength, bracedWords } from "./braces.ts";
import type { ByteOptions, ByteTable, ByteTableType } from "./byte-table.ts";
import { type Answer, bytesOf } from "./maps.ts";
import { type Table, type TableContext, TableError } from "./table.ts";

/**
 * Tables made of others:
 *   proxy:type:name                     the table behind it; we need no other process to read it
 *   unionmap:{type:name, type:name}     what all of them have, joined by commas
 *   pipemap:{type:name, type:name}      each one's value is the next one's key
 *
 * A part that cannot tell makes the whole unable to tell. The first part decides whether keys are patterns. Each part folds keys as its type does.
 */
export const proxy: ByteTableType = combining(
  "proxy",
  (name) => [name],
  (asks, key) => asks[0]?.(key),
);

export const unionmap: ByteTableType = combining("unionmap", listed("unionmap"), (asks, key, join) =>
  union(asks, key, join, 0, []),
);

export const pipemap: ByteTableType = combining("pipemap", listed("pipemap"), (asks, key) => pipe(asks, key, 0));

type Ask<T> = (key: T) => Answer<T | undefined>;
type Join<T> = (found: readonly T[]) => T | undefined;
type Combine = <T>(asks: readonly Ask<T>[], key: T, join: Join<T>) => Answer<T | undefined>;

function union<T>(
  asks: readonly Ask<T>[],
  key: T,
  join: Join<T>,
  first: number,
  found: readonly T[],
): Answer<T | undefined> {
  const ask = asks[first];
  if (!ask) return found.length === 0 ? undefined : join(found);
  const next = (value: T | undefined) =>
    union(asks, key, join, first + 1, value === undefined ? found : [...found, value]);
  const answer = ask(key);
  return answer instanceof Promise ? answer.then(next) : next(answer);
}

function pipe<T>(asks: readonly Ask<T>[], key: T, first: number): Answer<T | undefined> {
  const ask = asks[first];
  if (!ask) return key;
  const next = (value: T | undefined) => (value === undefined ? undefined : pipe(asks, value, first + 1));
  const answer = ask(key);
  return answer instanceof Promise ? answer.then(next) : next(answer);
}

function combining(type: string, parse: (name: string) => readonly string[], combine: Combine): ByteTableType {
  return {
    name: type,
    patterns: false,
    files: () => ({}),
    async open(name: string, { part }: TableContext): Promise<Table> {
      const parts = await opened(parse(name), part);
      const asks = parts.map((each) => (key: string) => each.get(key));
      const byteAsks = parts.map((each) => (key: Buffer) => bytesOf(each, key));
      return {
        patterns: parts[0]?.patterns ?? false,
        get: (key) => combine(asks, key, (found) => found.filter((value) => value !== "").join(",") || undefined),
        find: (key) => combine(byteAsks, key, joined),
        close: async () => {
          for (const each of parts) await each.close();
        },
      };
    },
    async openBytes(name: string, _context: TableContext, { part }: ByteOptions): Promise<ByteTable> {
      const parts = await opened(parse(name), part);
      const asks = parts.map((each) => (key: Buffer) => each.find(key));
      return {
        patterns: parts[0]?.patterns ?? false,
        find: (key) => combine(asks, key, joined),
        close: () => {
          for (const each of parts) each.close?.();
        },
      };
    },
  };
}

async function opened<T>(references: readonly string[], part?: (reference: string) => Promise<T>): Promise<T[]> {
  const parts: T[] = [];
  for (const reference of references) {
    if (!part) throw new TableError("config", `${reference}: no table can be part of another one here`);
    parts.push(await part(reference));
  }
  return parts;
}

function joined(found: readonly Buffer[]): Buffer | undefined {
  const parts: Buffer[] = [];
  for (const value of found) if (value.length > 0) parts.push(...(parts.length > 0 ? [comma, value] : [value]));
  return parts.length === 0 ? undefined : Buffer.concat(parts);
}

const comma = Buffer.from(",");

function listed(type: string): (name: string) => readonly string[] {
  return (name) => {
    const words = bracedLength(name) === name.length ? bracedWords(name.slice(1, -1)) : [];
    if (words.length > 0 && words.every((word) => word.includes(":"))) return words;
    throw new TableError("config", `bad syntax: "${type}:${name}"; need "${type}:{type:name...}"`);
  };
}
