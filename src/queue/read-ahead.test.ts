import assert from "node:assert/strict";
import { test } from "node:test";
import { ReadAhead } from "./read-ahead.ts";

function setUp({ room = true, damaged = [] as readonly number[], most = 1000 } = {}) {
  const asked: (readonly number[])[] = [];
  const kept = new Map<number, string>();
  let answer = Promise.resolve();
  const ahead = new ReadAhead({
    async read(ids) {
      asked.push(ids);
      await answer;
      return ids.slice(0, most).map((id) => (damaged.includes(id) ? undefined : Buffer.from(`body ${id}`)));
    },
    keep: (id, body) => void kept.set(id, body.toString()),
    hasRoom: () => room,
  });
  const stall = (): (() => void) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    answer = promise;
    return resolve;
  };
  return { ahead, asked, kept, stall, body: async (id: number) => (await ahead.body(id))?.toString() };
}

test("with one body come those of the messages that wait after it, and are kept", async () => {
  const { ahead, asked, kept, body } = setUp();
  for (const id of [1, 2, 3]) ahead.expect(id);
  assert.equal(await body(2), "body 2");
  assert.deepEqual(asked, [[2, 1, 3]]);
  assert.deepEqual(
    [...kept],
    [
      [1, "body 1"],
      [3, "body 3"],
    ],
  );
});

test("whoever asks meanwhile gets it from the same reading", async () => {
  const { ahead, asked, stall, body } = setUp();
  for (const id of [1, 2]) ahead.expect(id);
  const go = stall();
  const both = Promise.all([body(1), body(2)]);
  go();
  assert.deepEqual(await both, ["body 1", "body 2"]);
  assert.equal(asked.length, 1);
});

test("what is settled while it is read is not kept", async () => {
  const { ahead, kept, stall, body } = setUp();
  for (const id of [1, 2]) ahead.expect(id);
  const go = stall();
  const first = body(1);
  ahead.forget(2);
  go();
  assert.equal(await first, "body 1");
  assert.equal(kept.size, 0);
});

test("a damaged body, and one that did not come along, are read by themselves", async () => {
  const { ahead, asked, kept, body } = setUp({ damaged: [2], most: 2 });
  for (const id of [1, 2, 3]) ahead.expect(id);
  assert.equal(await body(1), "body 1");
  assert.equal(kept.size, 0);
  assert.equal(await body(2), undefined);
  assert.equal(await body(3), "body 3");
  assert.deepEqual(asked, [[1, 2, 3], [3]]);
});

test("without room nothing comes along, and nobody waits for what was never expected", async () => {
  const { ahead, asked, body } = setUp({ room: false });
  for (const id of [1, 2]) ahead.expect(id);
  assert.equal(await body(1), "body 1");
  assert.equal(await body(7), undefined);
  assert.deepEqual(asked, [[1]]);
});

test("a reading that fails is told to all who wait for it, and can be tried again", async () => {
  let fails = true;
  const ahead = new ReadAhead({
    read: async (ids) => (fails ? Promise.reject(new Error("no answer")) : ids.map(() => Buffer.from("body"))),
    keep() {},
    hasRoom: () => true,
  });
  for (const id of [1, 2]) ahead.expect(id);
  const both = [ahead.body(1), ahead.body(2)];
  for (const each of both) await assert.rejects(each, /no answer/);
  fails = false;
  assert.equal((await ahead.body(2))?.toString(), "body");
});
