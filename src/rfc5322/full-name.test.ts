import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { formatFullName } from "./full-name.ts";

test("plain words stay, specials are quoted, and other letters encoded", () => {
  assert.equal(formatFullName("  Jane  Doe "), "Jane Doe");
  assert.equal(formatFullName("Doe, Jane"), '"Doe, Jane"');
  assert.equal(formatFullName('a "b" \\'), '"a \\"b\\" \\\\"');
  assert.equal(formatFullName("J\u00f6rg"), "=?utf-8?B?SsO2cmc=?=");
  assert.equal(formatFullName("\r\n\t"), "");
});

test("no name breaks the line, leaves ASCII, or makes an encoded word too long", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (name) => {
      const text = formatFullName(name);
      assert.match(text, /^[\x20-\x7e]*$/);
      for (const word of text.match(/=\?utf-8\?B\?\S+\?=/g) ?? []) assert.ok(word.length <= 75);
    }),
    { numRuns: 200 },
  );
});
