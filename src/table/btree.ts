import { BtreeFile } from "./berkeley/btree-reader.ts";
import { btreeFile } from "./berkeley/btree-writer.ts";
import { indexedType } from "./indexed.ts";

/** btree: an index in a Berkeley DB btree file, `name.db`, that postmap(1) makes from the source `name`. */
export const btree = indexedType("btree", {
  suffix: ".db",
  nul: true,
  changeable: true,
  reportsEmpty: true,
  shown: (name) => `${name}.db`,
  shownTwice: (name) => `${name}.db`,
  open: (bytes) => new BtreeFile(bytes),
  image: (entries, random) => btreeFile(entries, random(20)),
});
