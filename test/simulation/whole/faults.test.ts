import assert from "node:assert/strict";
import { test } from "node:test";
import { withFault } from "../plant.ts";
import { wholeFaults } from "./faults.ts";
import type { runWhole } from "./run.ts";

for (const fault of wholeFaults) {
  test(`the simulation of a whole relay finds: ${fault.name}`, async () => {
    const { runWhole: run } = await withFault<{ runWhole: typeof runWhole }>(fault, "whole/run.ts");
    let found: string | undefined;
    for (let seed = 1; seed <= 1000 && found === undefined; seed++) found = (await run(seed)).violation;
    assert.notEqual(found, undefined, `1,000 seeds do not find: ${fault.why}`);
  });
}
