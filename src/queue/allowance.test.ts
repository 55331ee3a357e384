import assert from "node:assert/strict";
import { test } from "node:test";
import { Allowance } from "./allowance.ts";

test("no more than the places there are have one at a time, and they come in turn", async () => {
  const allowance = new Allowance(2);
  const order: number[] = [];
  let inside = 0;
  let most = 0;
  await Promise.all(
    Array.from({ length: 20 }, async (_, number) => {
      await allowance.take();
      inside++;
      most = Math.max(most, inside);
      order.push(number);
      await new Promise((resolve) => setImmediate(resolve));
      inside--;
      allowance.give();
    }),
  );
  assert.equal(most, 2);
  assert.deepEqual(
    order,
    Array.from({ length: 20 }, (_, number) => number),
  );
  assert.equal(allowance.take(), undefined);
});
