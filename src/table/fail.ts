import { type ByteTable, type ByteTableType, textTable } from "./byte-table.ts";
import { TableError } from "./table.ts";

/** fail: no look-up can be answered, so that everything that asks is deferred: for tests, and to hold something back. */
export const fail: ByteTableType = {
  name: "fail",
  patterns: true,
  files: () => ({}),
  open: async (name, context) => textTable(failing(), `fail:${name}`, context),
  openBytes: async () => failing(),
};

function failing(): ByteTable {
  return {
    find() {
      throw new TableError("retry", "query error: Application error");
    },
    entries() {
      throw new TableError("retry", "sequence error: Application error");
    },
  };
}
