import type { ByteTableType } from "./byte-table.ts";
import { hash } from "./hash.ts";
import { inline } from "./inline.ts";
import { staticTable } from "./static.ts";
import { texthash } from "./texthash.ts";

/** The types of table that there are. A new one is one file and one line here. */
export const tableTypes: readonly ByteTableType[] = [hash, inline, staticTable, texthash];
