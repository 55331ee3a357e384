import { parseArgs } from "node:util";
import { runRelay } from "../test/simulation/relay-run.ts";
import { runStore } from "../test/simulation/store-run.ts";
import { runWhole } from "../test/simulation/whole/run.ts";
import type { Ran } from "../test/simulation/world.ts";

/**
 * npm run simulate -- --seeds N --from S: runs the simulations of the queue's store, of the scheduler above it, and of a whole relay for
 * N seeds (10,000), beginning with S (1); with --kind store, scheduler or whole, that one alone.
 * Prints each seed that breaks a promise, with the promise, and for the first of them what happened; exit status 1 then.
 * The same seed does the same again: --seeds 1 --from SEED.
 */
const kinds: Readonly<Record<string, (seed: number) => Promise<Ran>>> = {
  store: (seed) => runStore(seed),
  scheduler: (seed) => runRelay(seed),
  whole: (seed) => runWhole(seed),
};
const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "10000" },
    from: { type: "string", default: "1" },
    kind: { type: "string" },
  },
});
const [seeds, from] = [Number(values.seeds), Number(values.from)];
if (!Number.isSafeInteger(seeds) || !Number.isSafeInteger(from) || seeds < 1) {
  throw new Error("--seeds and --from take whole numbers");
}
if (values.kind !== undefined && !Object.hasOwn(kinds, values.kind)) {
  throw new Error(`--kind takes one of ${Object.keys(kinds).join(", ")}`);
}
const chosen = Object.entries(kinds).filter(([name]) => values.kind === undefined || values.kind === name);
let broken = 0;
for (let seed = from; seed < from + seeds; seed++) {
  for (const [what, run] of chosen) {
    const { violation, trace, hash } = await run(seed);
    if (violation === undefined) continue;
    if (broken++ === 0) process.stdout.write(`${trace.join("\n")}\n`);
    process.stdout.write(`seed ${seed}, --kind ${what}: ${violation} (trace ${hash.slice(0, 16)})\n`);
  }
}
process.stdout.write(`${seeds} seeds from ${from}: ${broken} broke a promise\n`);
process.exitCode = broken > 0 ? 1 : 0;
