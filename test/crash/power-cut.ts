/**
 * node test/crash/power-cut.ts [--cuts 1000] [--seed N] [--messages 60] [--synchronous OFF]: cuts the power of a store under load,
 * once with a sound disk and once with one whose sync fails in between. Exit status 1 if a promise was broken. Needs strace.
 */
import { parseArgs } from "node:util";
import { recordDisk } from "./disk-record.ts";
import { cutPower } from "./power-cut-run.ts";

const { values } = parseArgs({
  options: {
    cuts: { type: "string", default: "1000" },
    seed: { type: "string", default: String(Date.now() % 1e6) },
    messages: { type: "string", default: "60" },
    synchronous: { type: "string" },
  },
});
const say = (text: string): void => void process.stdout.write(`${text}\n`);
const [seed, messages] = [Number(values.seed), Number(values.messages)];
const { synchronous } = values;
for (const failingSync of [undefined, 40 + (seed % 40)]) {
  const steps = await recordDisk({
    messages,
    ...(synchronous === undefined ? {} : { synchronous }),
    ...(failingSync === undefined ? {} : { failingSync }),
  });
  const of = (kind: string): number => steps.filter((step) => step.kind === kind).length;
  say(
    `seed ${seed}: ${of("write")} writes, ${of("sync")} syncs, ${failingSync ? `number ${failingSync} fails` : "none fails"}`,
  );
  const { cuts, acknowledged, refused, recovered, violations } = await cutPower(
    steps,
    Math.ceil(Number(values.cuts) / 2),
    seed,
  );
  say(
    `${cuts} cuts: ${acknowledged} acknowledged and ${refused} refused before them, ${recovered} found again, ${violations.length} violations`,
  );
  for (const violation of violations.slice(0, 20)) say(violation);
  if (violations.length > 0) process.exitCode = 1;
}
