import assert from "node:assert/strict";
import { test } from "node:test";
import { type Fault, storeFaults } from "./faults.ts";
import { withFault } from "./plant.ts";
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

test("a seed does the same again", async () => {
  for (let seed = 1; seed <= 20; seed++) assert.equal((await runStore(seed)).hash, (await runStore(seed)).hash);
  assert.notEqual((await runStore(1)).hash, (await runStore(2)).hash);
});

test("a fault whose text is not there exactly once is not planted", async () => {
  const fault = (text: string): Fault => {
    return { name: "none", why: "", edits: [{ file: "queue/outcome.ts", text, becomes: "" }] };
  };
  await assert.rejects(withFault(fault("no such text"), "store-run.ts"), /0 times/);
  await assert.rejects(withFault(fault("recipients"), "store-run.ts"), /and should once/);
});

for (const fault of storeFaults) {
  test(`the simulation finds: ${fault.name}`, async () => {
    const { runStore: run } = await withFault<{ runStore: typeof runStore }>(fault, "store-run.ts");
    const found: string[] = [];
    for (let seed = 1; seed <= 1000 && found.length === 0; seed++) found.push(...(await broken(seed, 1, run)));
    assert.notDeepEqual(found, [], `1,000 seeds do not find that ${fault.why}`);
  });
}
