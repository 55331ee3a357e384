import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { characters, octets } from "./octets.ts";

test("UTF-8 becomes its characters, and anything else what no text has", () => {
  assert.equal(characters("gr\u00c3\u00bcn"), "gr\u00fcn");
  assert.equal(octets("gr\u00fcn"), "gr\u00c3\u00bcn");
  assert.equal(characters("gr\u00fcn \u00c3\u00bc"), "gr\udcfcn \u00fc");
  assert.ok(!characters("\u00ff").isWellFormed());
});

test("whatever the octets are, they come back", () => {
  const any = fc.uint8Array().map((bytes) => Buffer.from(bytes).toString("latin1"));
  fc.assert(fc.property(any, (given) => assert.equal(octets(characters(given)), given)));
});

test("whatever the characters are, they come back", () => {
  fc.assert(fc.property(fc.string({ unit: "binary" }), (given) => assert.equal(characters(octets(given)), given)));
});
