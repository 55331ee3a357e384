/**
 * node test/crash/kill.ts [--kills 200] [--seed N]: kill -9 under load, and what became of every message. Exit status 1 if a
 * promise was broken. Run it as root to have the relay drop its privileges, as it does in service.
 */
import { parseArgs } from "node:util";
import { describeKills, killUnderLoad } from "./kill-run.ts";

const { values } = parseArgs({
  options: { kills: { type: "string", default: "200" }, seed: { type: "string", default: String(Date.now() % 1e6) } },
});
const say = (text: string): void => void process.stdout.write(`${text}\n`);
const figures = await killUnderLoad({ kills: Number(values.kills), seed: Number(values.seed), progress: say });
say(describeKills(figures));
for (const [reply, times] of Object.entries(figures.refusals)) say(`refused ${times} times: ${reply.trim()}`);
for (const violation of figures.violations.slice(0, 100)) say(violation);
process.exitCode = figures.violations.length > 0 ? 1 : 0;
