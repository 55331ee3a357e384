/**
 * Damaged index files of every format. `npm run fuzz` reads many more.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { readDamaged } from "./damage.ts";
import { tableTypes } from "./types.ts";

for (const { name, index } of tableTypes) {
  if (!index) continue;
  test(`${name}: a file with bytes changed or cut off gives an answer or "cannot tell", and reading it ends`, () => {
    const { answered, refused } = readDamaged(index, { seed: 20_240_229, count: 3000 });
    assert.ok(answered > 100 && refused > 100, `${answered} answered, ${refused} refused: not much of a test`);
  });
}
