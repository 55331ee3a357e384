import assert from "node:assert/strict";
import { test } from "node:test";
import { damageQueues, describeDamage } from "./damage-run.ts";

const seeds = Number(process.env.POSTERN_DAMAGES ?? 150);
const from = Number(process.env.POSTERN_SEED ?? 1);

test(`a queue damaged in ${seeds} ways delivers only what was accepted, names what it cannot, and works again`, async (context) => {
  const figures = await damageQueues(seeds, from);
  context.diagnostic(describeDamage(figures));
  assert.deepEqual(figures.violations, []);
  assert.ok(figures.delivered > 0 && figures.kept > 0 && figures.named > 0 && figures.repairs > 0);
});
