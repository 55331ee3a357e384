/**
 * node test/crash/sync-order.ts [--messages 10000]: for each 250, was there a sync before it that covers its message? Exit status 1
 * if not. Needs root, strace and smtp-source.
 */
import { parseArgs } from "node:util";
import { checkSyncs } from "./sync-oracle.ts";
import { recordSyncs } from "./sync-order-run.ts";

const { values } = parseArgs({ options: { messages: { type: "string", default: "10000" } } });
const events = await recordSyncs(Number(values.messages));
const { replies, violations } = checkSyncs(events);
const syncs = events.filter(({ kind }) => kind === "sync").length;
const say = (text: string): void => void process.stdout.write(`${text}\n`);
say(`${replies} replies, ${syncs} syncs, ${violations.length} replies without a sync before them`);
for (const violation of violations.slice(0, 20)) say(violation);
process.exitCode = violations.length > 0 || replies !== Number(values.messages) ? 1 : 0;
