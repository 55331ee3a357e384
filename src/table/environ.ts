import { type ByteOptions, type ByteTable, type ByteTableType, textTable, usualBytes } from "./byte-table.ts";
import type { TableContext } from "./table.ts";

/** environ: the process's environment, whatever the table is called. Keys are folded like others, so that upper-case names need an unfolded look-up. */
export const environ: ByteTableType = {
  name: "environ",
  patterns: false,
  files: () => ({}),
  open: async (name, context) => textTable(await openEnviron(name, context, usualBytes), `environ:${name}`, context),
  openBytes: openEnviron,
};

async function openEnviron(_name: string, { env = {} }: TableContext, _options: ByteOptions): Promise<ByteTable> {
  return {
    find(key) {
      const name = key.toString();
      const value = Object.hasOwn(env, name) ? env[name] : undefined;
      return value === undefined ? undefined : Buffer.from(value);
    },
  };
}
