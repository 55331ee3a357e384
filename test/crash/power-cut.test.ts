import assert from "node:assert/strict";
import { test } from "node:test";
import { needs } from "../lab/needs.ts";
import { recordDisk, type Step } from "./disk-record.ts";
import { cutPower } from "./power-cut-run.ts";

/** Of the places; what the store does at the same time as what follows from the machine. */
const seed = Number(process.env.POSTERN_SEED ?? Date.now() % 1_000_000);
const cuts = Number(process.env.POSTERN_CUTS ?? 60);
const { skip } = needs({ programs: ["strace"] });

const said = (steps: readonly Step[], what: string): number =>
  steps.filter((step) => step.kind === "said" && step.text.startsWith(`${what} `)).length;

test(`after ${cuts} power cuts nothing acknowledged is lost, and nothing settled comes back`, {
  skip,
}, async (context) => {
  const steps = await recordDisk({ messages: 25 });
  assert.equal(said(steps, "accepted"), 200);
  const { acknowledged, recovered, violations } = await cutPower(steps, cuts, seed);
  context.diagnostic(`seed ${seed}: ${acknowledged} acknowledged, ${recovered} found`);
  assert.deepEqual(violations, [], `seed ${seed}`);
});

test(`after ${cuts} power cuts around a failed sync nothing refused is there, and nothing of its successor's is lost`, {
  skip,
}, async (context) => {
  const steps = await recordDisk({ messages: 20, failingSync: 25 });
  assert.ok(said(steps, "batch") > 0, "a batch was refused");
  const { acknowledged, refused, violations } = await cutPower(steps, cuts, seed);
  context.diagnostic(`seed ${seed}: ${acknowledged} acknowledged, ${refused} refused`);
  assert.deepEqual(violations, [], `seed ${seed}`);
});

/** Settings that save syncs do no harm as long as there is power: a harness that finds nothing then finds nothing at all. */
for (const synchronous of ["OFF", "NORMAL"]) {
  test(`with synchronous=${synchronous} power cuts lose acknowledged mail, and are found to`, { skip }, async () => {
    const { violations } = await cutPower(await recordDisk({ messages: 15, synchronous }), 30, seed);
    assert.ok(
      violations.some((text) => text.includes("was acknowledged, and is lost")),
      `seed ${seed}`,
    );
  });
}
