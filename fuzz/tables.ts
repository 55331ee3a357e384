/**
 * npm run fuzz [-- TARGET [COUNT [SEED]]]: reads COUNT (a million) odd inputs of the target, or of each: damaged index files (hash, btree,
 * cdb, lmdb), sources of patterns and networks with keys (regexp, pcre, cidr), answers of servers (tcp, socketmap, memcache,
 * ldap). What breaks a reader is kept in the system's directory for temporary files, and its name is printed.
 */
import { writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readDamaged } from "../src/table/damage.ts";
import { type OddOptions, protocols, readOddAnswers } from "../src/table/odd-answers.ts";
import { readOddRules, ruleTypes } from "../src/table/odd-rules.ts";
import { tableTypes } from "../src/table/types.ts";

/** What became of the inputs, by name. */
type Outcome = Readonly<Record<string, number>>;
type Run = (options: OddOptions) => Outcome | Promise<Outcome>;

const targets = new Map<string, Run>();
for (const { name, index } of tableTypes) if (index) targets.set(name, (options) => ({ ...readDamaged(index, options) }));
for (const type of ruleTypes)
  targets.set(type.name, async (options) => ({ ...(await readOddRules(type, options, () => performance.now())) }));
for (const protocol of protocols) targets.set(protocol.name, (options) => ({ ...readOddAnswers(protocol, options) }));

const [only, count = "1000000", seed = String(Date.now() % 2 ** 32)] = process.argv.slice(2);
if (only !== undefined && !targets.has(only)) throw new Error(`no such target; there are ${[...targets.keys()].join(", ")}`);

for (const [name, run] of targets) {
  if (only !== undefined && only !== name) continue;
  const broken = (bytes: Buffer): void => {
    const path = join(tmpdir(), `postern-fuzz-${process.pid}-${name}`);
    writeFileSync(path, bytes);
    console.error(`${name}: ${path} breaks the reader`);
  };
  const outcome = await run({ seed: Number(seed), count: Number(count), broken });
  const shown = Object.entries(outcome).map(([what, value]) => `${Math.round(value)} ${what}`);
  console.log(`${name}: ${count} inputs, seed ${seed}: ${shown.join(", ")}`);
}
