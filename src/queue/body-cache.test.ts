import assert from "node:assert/strict";
import { test } from "node:test";
import { BodyCache } from "./body-cache.ts";

test("what was offered is there until it is dropped, and the size never exceeds the limit", () => {
  const cache = new BodyCache(100);
  for (let body = 1; body <= 50; body++) {
    cache.offer(body, 0, Buffer.alloc(9));
    assert.ok(cache.size_bytes <= 100);
  }
  assert.equal(cache.chunk(1, 0)?.length, 9);
  assert.equal(cache.chunk(50, 0), undefined);
  for (let body = 1; body <= 50; body++) cache.drop(body);
  assert.equal(cache.size_bytes, 0);
});

test("a large body does not take the place of the others: its first chunks are kept", () => {
  const cache = new BodyCache(100);
  const kept = [0, 1, 2, 3, 4].map((index) => cache.offer(1, index, Buffer.alloc(10)));
  assert.deepEqual(kept, [true, true, false, false, false]);
  assert.equal(cache.offer(2, 0, Buffer.alloc(10)), true);
});

test("after a gap nothing more of a body is kept", () => {
  const cache = new BodyCache(100);
  assert.equal(cache.offer(1, 1, Buffer.alloc(1)), false);
  assert.equal(cache.offer(1, 0, Buffer.alloc(1)), true);
  assert.equal(cache.chunk(1, 1), undefined);
});
