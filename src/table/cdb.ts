import { CdbFile } from "./cdb/reader.ts";
import { cdbFile } from "./cdb/writer.ts";
import { indexedType } from "./indexed.ts";

/**
 * cdb: an index in a constant database, `name.cdb`, that postmap(1) makes from the source `name`. As Postfix has it
 * in Debian: without NULs, and neither listed nor changed afterwards.
 */
export const cdb = indexedType("cdb", {
  suffix: ".cdb",
  nul: false,
  changeable: false,
  reportsEmpty: false,
  shown: (name) => `${name}.cdb`,
  shownTwice: (name) => name,
  open: (bytes) => new CdbFile(bytes),
  image: cdbFile,
});
