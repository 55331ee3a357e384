/**
 * node test/crash/each-fault.ts [--syncs 12] [--writes 40]: each of the first syncs and writes of a relay's queue fails once, with EIO
 * and with ENOSPC. Exit status 1 if a promise was broken. Needs root and strace.
 */
import { parseArgs } from "node:util";
import { eachFault } from "./each-fault-run.ts";

const { values } = parseArgs({
  options: { syncs: { type: "string", default: "12" }, writes: { type: "string", default: "40" } },
});
const say = (text: string): void => void process.stdout.write(`${text}\n`);
const figures = await eachFault({ syncs: Number(values.syncs), writes: Number(values.writes), progress: say });
const { violations, ...rest } = figures;
say(`${JSON.stringify(rest)}, ${violations.length} violations`);
for (const violation of violations.slice(0, 50)) say(violation);
process.exitCode = violations.length > 0 ? 1 : 0;
