import { randomBelow } from "../runtime/random.ts";
import { bracedLength, bracedWords } from "./braces.ts";
import { type ByteOptions, type ByteTable, type ByteTableType, textTable, usualBytes } from "./byte-table.ts";
import { type TableContext, TableError } from "./table.ts";

/** randmap: `randmap:{one, two}` answers every key with one of its values, drawn anew each time. */
export const randmap: ByteTableType = {
  name: "randmap",
  patterns: true,
  files: () => ({}),
  open: async (name, context) => textTable(await openRandom(name, context, usualBytes), `randmap:${name}`, context),
  openBytes: openRandom,
};

async function openRandom(name: string, { random }: TableContext, { convert }: ByteOptions): Promise<ByteTable> {
  const need = `bad syntax: "randmap:${name}"; need "randmap:{value...}"`;
  if (bracedLength(name) !== name.length) throw new TableError("config", need);
  const words = bracedWords(name.slice(1, -1));
  const values: Buffer[] = [];
  for (const word of words) {
    const value = convert ? await convert(Buffer.from(word), `randmap:${name}`) : Buffer.from(word);
    if (value) values.push(value);
  }
  if (values.length === 0) throw new TableError("config", need);
  if (!random) throw new TableError("config", `randmap:${name}: there are no random numbers here`);
  return { find: () => values[randomBelow(random, values.length)] };
}
