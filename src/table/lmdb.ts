import { indexedType } from "./indexed.ts";
import { LmdbFile } from "./lmdb/reader.ts";
import { lmdbFile } from "./lmdb/writer.ts";

/** lmdb: an index in an LMDB file, `name.lmdb`, that postmap(1) makes from the source `name`. */
export const lmdb = indexedType("lmdb", {
  suffix: ".lmdb",
  nul: true,
  changeable: true,
  reportsEmpty: false,
  shown: (name) => name,
  shownTwice: (name) => `lmdb:${name}`,
  open: (bytes) => new LmdbFile(bytes),
  image: lmdbFile,
});
