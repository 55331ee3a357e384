import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { test } from "node:test";
import { schedulerFaults, storeFaults } from "../simulation/faults.ts";
import { wholeFaults } from "../simulation/whole/faults.ts";

/** Who changes such a place changes the list of faults with it, here and not when the whole suite has run. */
const source = resolve(import.meta.dirname, "../../src");

test("each fault that the simulation has to find has its place in the source, once", () => {
  const misplaced: string[] = [];
  for (const { name, edits } of [...storeFaults, ...schedulerFaults, ...wholeFaults]) {
    for (const { file, text } of edits) {
      const times = readFileSync(join(source, file), "utf8").split(text).length - 1;
      if (times !== 1) misplaced.push(`${name}: src/${file} has this ${times} times: ${text}`);
    }
  }
  assert.deepEqual(misplaced, []);
});
