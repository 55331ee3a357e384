import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Change, Insert, Op } from "../engine.ts";
import { pack, unpack } from "./protocol.ts";

const record = <T>(model: { [Key in keyof T]: fc.Arbitrary<T[Key]> }): fc.Arbitrary<T> =>
  fc.record(model, { noNullPrototype: true });
const bytes = fc.uint8Array({ maxLength: 40 }).map((each) => Buffer.from(each));
const id = fc.maxSafeNat();
const count = fc.nat();
const text = fc.string({ unit: "binary" });
const insert: fc.Arbitrary<Insert> = record({
  id,
  held: fc.boolean(),
  source: fc.option(text, { nil: undefined }),
  envelope: bytes,
  recipients: count,
  body: fc.oneof(bytes, record({ body: id, chunks: fc.nat() })),
});
const change: fc.Arbitrary<Change> = fc.oneof(
  record({
    kind: fc.constant("finish" as const),
    gone_ms: id,
    trace: fc.option(
      bytes.filter((each) => each.length > 0),
      { nil: undefined },
    ),
  }),
  record({
    kind: fc.constant("defer" as const),
    envelope: bytes,
    recipients: count,
    due: id,
    destination: text,
    warned: fc.boolean(),
  }),
  record({ kind: fc.constant("progress" as const), envelope: bytes, warned: fc.boolean() }),
);
const op: fc.Arbitrary<Op> = fc.oneof(
  insert.map((each) => ({ kind: "accept" as const, insert: each })),
  record({ kind: fc.constant("settle" as const), id, change, notifications: fc.array(insert, { maxLength: 3 }) }),
  record({
    kind: fc.constant("chunk" as const),
    body: id,
    id,
    seq: fc.nat(),
    data: bytes,
    given: fc.constant(true),
  }),
  record({ kind: fc.constant("claim" as const), now: id, limit: fc.nat(), excluding: fc.array(text) }),
  record({ kind: fc.constant("setAside" as const), id }),
);

test("any batch of operations arrives as it was sent", () => {
  fc.assert(
    fc.property(fc.array(op, { maxLength: 10 }), (ops) => {
      const { packed, given } = pack(ops);
      assert.deepEqual(unpack(packed, given), ops);
    }),
  );
});

test("a large chunk that was given away goes beside the batch, one that is kept is copied into it", () => {
  const data = Buffer.allocUnsafeSlow(65_536).fill("x");
  const chunk = { kind: "chunk", body: 1, id: 2, seq: 3, data } as const;
  const beside = pack([{ ...chunk, given: true }]);
  assert.deepEqual([beside.given.length, beside.packed.length < 100], [1, true]);
  const copied = pack([{ ...chunk, given: false }]);
  assert.deepEqual([copied.given.length, copied.packed.length > 65_536], [0, true]);
  for (const { packed, given } of [beside, copied]) {
    const [back] = unpack(packed, given);
    assert.ok(back?.kind === "chunk" && back.data.equals(data));
  }
});
