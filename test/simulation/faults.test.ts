import assert from "node:assert/strict";
import { test } from "node:test";
import { type Fault, schedulerFaults, storeFaults } from "./faults.ts";
import { withFault } from "./plant.ts";
import type { runRelay } from "./relay-run.ts";
import { runStore } from "./store-run.ts";

test("a fault whose text is not there exactly once is not planted", async () => {
  const fault = (text: string): Fault => {
    return { name: "none", why: "", edits: [{ file: "queue/outcome.ts", text, becomes: "" }] };
  };
  await assert.rejects(withFault(fault("no such text"), "store-run.ts"), /0 times/);
  await assert.rejects(withFault(fault("recipients"), "store-run.ts"), /and should once/);
});

const planted = [
  ...storeFaults.map((fault) => ({ fault, module: "store-run.ts" })),
  ...schedulerFaults.map((fault) => ({ fault, module: "relay-run.ts" })),
];

for (const { fault, module } of planted) {
  test(`the simulation finds: ${fault.name}`, async () => {
    const loaded = await withFault<{ runStore?: typeof runStore; runRelay?: typeof runRelay }>(fault, module);
    const run = loaded.runRelay ?? loaded.runStore ?? runStore;
    let found: string | undefined;
    for (let seed = 1; seed <= 1000 && found === undefined; seed++) found = (await run(seed)).violation;
    assert.notEqual(found, undefined, `1,000 seeds do not find: ${fault.why}`);
  });
}
