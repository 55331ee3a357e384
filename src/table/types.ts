import { btree } from "./btree.ts";
import type { ByteTableType } from "./byte-table.ts";
import { cdb } from "./cdb.ts";
import { cidr } from "./cidr.ts";
import { environ } from "./environ.ts";
import { fail } from "./fail.ts";
import { hash } from "./hash.ts";
import { inline } from "./inline.ts";
import { ldap } from "./ldap.ts";
import { lmdb } from "./lmdb.ts";
import { memcache } from "./memcache.ts";
import { mysql } from "./mysql.ts";
import { pipemap, proxy, unionmap } from "./parts.ts";
import { pcre, regexp } from "./patterns.ts";
import { pgsql } from "./pgsql.ts";
import { randmap } from "./randmap.ts";
import { socketmap } from "./socketmap.ts";
import { sqlite } from "./sqlite.ts";
import { staticTable } from "./static.ts";
import { tcp } from "./tcp.ts";
import { texthash } from "./texthash.ts";

/** The types of table that there are. A new one is one file and one line here. */
export const tableTypes: readonly ByteTableType[] = [
  btree,
  cdb,
  cidr,
  environ,
  fail,
  hash,
  inline,
  ldap,
  lmdb,
  memcache,
  mysql,
  pcre,
  pgsql,
  pipemap,
  proxy,
  randmap,
  regexp,
  socketmap,
  sqlite,
  staticTable,
  tcp,
  texthash,
  unionmap,
];
