import { HashFile } from "./berkeley/hash-reader.ts";
import { hashFile } from "./berkeley/hash-writer.ts";
import { indexedType } from "./indexed.ts";

/** hash: an index in a Berkeley DB hash file, `name.db`, that postmap(1) makes from the source `name`. */
export const hash = indexedType("hash", {
  suffix: ".db",
  nul: true,
  changeable: true,
  reportsEmpty: true,
  shown: (name) => `${name}.db`,
  shownTwice: (name) => `${name}.db`,
  open: (bytes) => new HashFile(bytes),
  image: (entries, random) => hashFile(entries, random(20)),
});
