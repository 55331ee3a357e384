import assert from "node:assert/strict";
import { test } from "node:test";
import { describeKills, killUnderLoad } from "./kill-run.ts";

const kills = Number(process.env.POSTERN_KILLS ?? 20);
const seed = Number(process.env.POSTERN_SEED ?? Date.now() % 1_000_000);

test(`kill -9 at ${kills} random moments under load: everything acknowledged arrives, repeated only if it was in flight, and nothing else`, async (context) => {
  const figures = await killUnderLoad({ kills, seed });
  context.diagnostic(describeKills(figures));
  assert.deepEqual(figures.violations, []);
  assert.ok(figures.acknowledged > 20 * kills, "there was a load");
});
