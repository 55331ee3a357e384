import assert from "node:assert/strict";
import { test } from "node:test";
import { readFeatures } from "./features.ts";

test("keywords count in any case, and several AUTH lines add up", () => {
  const features = readFeatures(
    ["mx.test hello", "pipelining", "Size 1000", "AUTH PLAIN", "auth=login", "DSN"],
    new Set(),
  );
  assert.equal(features.name, "mx.test");
  assert.equal(features.pipelining, true);
  assert.equal(features.sizeLimit, 1000);
  assert.deepEqual(features.mechanisms, ["PLAIN", "LOGIN"]);
  assert.equal(features.dsn, true);
  assert.equal(features.eightBitMime, false);
});

test("what is to be overlooked is overlooked", () => {
  const features = readFeatures(["mx.test", "STARTTLS", "AUTH PLAIN", "SIZE 5"], new Set(["starttls", "auth", "size"]));
  assert.equal(features.startTls, false);
  assert.equal(features.mechanisms, undefined);
  assert.equal(features.size, false);
});

test("an empty list of mechanisms is something else than none", () => {
  assert.deepEqual(readFeatures(["mx.test", "AUTH"], new Set()).mechanisms, []);
});

test("a size that is no number is complained of, and limits nothing", () => {
  const { sizeLimit, warnings } = readFeatures(["mx.test", "SIZE many"], new Set());
  assert.equal(sizeLimit, 0);
  assert.deepEqual(warnings, ['bad EHLO SIZE limit "many"']);
});
