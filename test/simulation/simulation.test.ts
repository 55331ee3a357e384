import assert from "node:assert/strict";
import { test } from "node:test";
import { runRelay } from "./relay-run.ts";
import { runStore } from "./store-run.ts";

/** Each broken promise as `npm run simulate -- --seeds 1 --from SEED` shows it. */
async function broken(from: number, seeds: number, run = runStore): Promise<string[]> {
  const found: string[] = [];
  for (let seed = from; seed < from + seeds && found.length < 3; seed++) {
    const { violation } = await run(seed);
    if (violation !== undefined) found.push(`seed ${seed}: ${violation}`);
  }
  return found;
}

test("a queue whose disk fails and whose relays die keeps its promises, for 1,000 seeds", async () => {
  assert.deepEqual(await broken(1, 1000), []);
});

test("a scheduler above such a queue, with servers that fail, brings every message to its end, for 300 seeds", async () => {
  assert.deepEqual(await broken(1, 300, runRelay), []);
});

test("a message that is claimed in the transaction that had put it back is delivered, and not forgotten", async () => {
  assert.deepEqual(await broken(23_111, 1, runRelay), []);
});

test("a seed does the same again", async () => {
  for (let seed = 1; seed <= 20; seed++) assert.equal((await runRelay(seed)).hash, (await runRelay(seed)).hash);
  for (let seed = 1; seed <= 20; seed++) assert.equal((await runStore(seed)).hash, (await runStore(seed)).hash);
  assert.notEqual((await runStore(1)).hash, (await runStore(2)).hash);
});
