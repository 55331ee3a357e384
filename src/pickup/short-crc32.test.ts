import assert from "node:assert/strict";
import { test } from "node:test";
import { crc32 } from "node:zlib";
import fc from "fast-check";
import { shortCrc32 } from "./short-crc32.ts";

test("the checksum of a message is zlib's, in one piece or several", () => {
  assert.equal(shortCrc32(Buffer.from("123456789")), 0xcbf43926);
  fc.assert(
    fc.property(fc.uint8Array(), fc.uint8Array(), (one, other) => {
      assert.equal(shortCrc32(one), crc32(one));
      assert.equal(shortCrc32(other, shortCrc32(one)), crc32(Buffer.concat([one, other])));
    }),
  );
});
