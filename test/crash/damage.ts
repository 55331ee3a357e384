/**
 * node test/crash/damage.ts [--seeds 1000] [--from 1]: damages a queue's files in one way for each seed, and lets a relay's store work
 * on them. Exit status 1 if a promise was broken.
 */
import { parseArgs } from "node:util";
import { damageQueues, describeDamage } from "./damage-run.ts";

const { values } = parseArgs({
  options: { seeds: { type: "string", default: "1000" }, from: { type: "string", default: "1" } },
});
const say = (text: string): void => void process.stdout.write(`${text}\n`);
const figures = await damageQueues(Number(values.seeds), Number(values.from));
say(describeDamage(figures));
for (const violation of figures.violations.slice(0, 100)) say(violation);
process.exitCode = figures.violations.length > 0 ? 1 : 0;
