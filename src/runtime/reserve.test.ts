import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { Reserve } from "./reserve.ts";

const size = 2_500_000;

function place(context: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), "postern-reserve-"));
  context.after(() => rmSync(directory, { recursive: true }));
  return directory;
}

test("a reserve is made, given away once, and made again", (context) => {
  const directory = place(context);
  const reserve = new Reserve(directory, size);
  assert.ok(reserve.whole && statSync(join(directory, "reserve")).size >= size);
  assert.equal(reserve.spend(), true);
  assert.deepEqual([reserve.whole, statSync(join(directory, "reserve")).size, reserve.spend()], [false, 0, false]);
  assert.equal(reserve.restore(), true);
  assert.equal(reserve.whole, true);
});

test("what one process has spent, or restored, another one sees", (context) => {
  const directory = place(context);
  const [one, other] = [new Reserve(directory, size), new Reserve(directory, size)];
  assert.equal(one.spend(), true);
  assert.deepEqual([other.whole, other.spend()], [false, false]);
  assert.equal(other.restore(), true);
  assert.equal(one.whole, true);
});

test("where it cannot be filled, that is tried again only after a pause", (context) => {
  const directory = place(context);
  let now = 0;
  // Whatever stands in the way: nothing can be written there.
  mkdirSync(join(directory, "reserve"));
  const reserve = new Reserve(directory, size, () => now);
  assert.equal(reserve.whole, false);
  rmdirSync(join(directory, "reserve"));
  now = 9_999;
  assert.equal(reserve.restore(), false);
  now = 10_000;
  assert.equal(reserve.restore(), true);
});
