import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Entries } from "./entries.ts";
import { inKeyOrder } from "./key-order.ts";

test("keys come by their bytes, a shorter one before those that it begins", () => {
  const key = fc.oneof(fc.uint8Array({ maxLength: 12 }), fc.uint8Array({ maxLength: 7, max: 1 }));
  fc.assert(
    fc.property(fc.array(key, { maxLength: 60 }), (keys) => {
      const entries = new Entries();
      for (const each of keys) entries.add(Buffer.from(each), Buffer.alloc(0), false, false);
      const sorted = [...inKeyOrder(entries)].map((entry) => Buffer.from(entries.key(entry)).toString("hex"));
      const wanted = [...new Set(keys.map((each) => Buffer.from(each).toString("hex")))];
      assert.deepEqual(sorted, wanted.sort());
    }),
  );
});
