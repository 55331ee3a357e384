import assert from "node:assert/strict";
import { test } from "node:test";
import { foldBytes, foldKey } from "./fold.ts";

test("keys that differ in case alone are one key, beyond ASCII too", () => {
  assert.equal(foldKey("GRÜSSE@Example.COM"), foldKey("grüße@example.com"));
  assert.equal(foldKey("ΟΔΟΣ"), foldKey("οδος"));
  assert.equal(foldKey("ΟΔΟΣ"), "οδοσ");
  assert.equal(foldKey("STRAẞE"), "strasse");
});

test("what Unicode folds in a way of its own is folded so: dotless i stays, Cherokee goes to capitals", () => {
  assert.equal(foldKey("ı"), "ı");
  assert.equal(foldKey("ꭰᏸ"), "ᎠᏰ");
});

test("a key that needs no folding is given back as it is", () => {
  const key = Buffer.from("user@example.com");
  assert.equal(foldBytes(key, true), key);
});

test("without UTF-8 only ASCII letters fold, and other bytes stay", () => {
  const key = Buffer.from([0x41, 0xdc, 0x5a]);
  assert.deepEqual(foldBytes(key, false), Buffer.from([0x61, 0xdc, 0x7a]));
  assert.deepEqual(key, Buffer.from([0x41, 0xdc, 0x5a]));
});
