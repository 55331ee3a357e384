import assert from "node:assert/strict";
import { test } from "node:test";
import { runWhole } from "./run.ts";

test("a whole relay whose world is faulty keeps its promises, for 100 seeds", async () => {
  const found: string[] = [];
  for (let seed = 1; seed <= 100 && found.length < 3; seed++) {
    const { violation } = await runWhole(seed);
    if (violation !== undefined) found.push(`seed ${seed}: ${violation}`);
  }
  assert.deepEqual(found, []);
});

test("a seed does the same again, with everything in it", async () => {
  for (let seed = 1; seed <= 5; seed++) assert.equal((await runWhole(seed)).hash, (await runWhole(seed)).hash);
  assert.notEqual((await runWhole(1)).hash, (await runWhole(2)).hash);
});
