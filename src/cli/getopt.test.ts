import assert from "node:assert/strict";
import { test } from "node:test";
import { getopt } from "./getopt.ts";

const letters = (parsed: ReturnType<typeof getopt>): string[] =>
  parsed.options.map(({ letter, value }) => (value ? `${letter}=${value}` : letter));

test("letters may stand together, and a value may be attached or follow", () => {
  const parsed = getopt(["-abfx", "-f", "y", "-f", "", "z"], "abf:");
  assert.deepEqual(letters(parsed), ["a", "b", "f=x", "f=y", "f"]);
  assert.deepEqual(parsed.operands, ["z"]);
  assert.equal(parsed.problem, undefined);
});

test("options end at -- and, unless they are permuted, at the first operand", () => {
  assert.deepEqual(getopt(["-a", "x", "-b"], "ab").operands, ["x", "-b"]);
  const permuted = getopt(["-a", "x", "-b", "--", "-a"], "ab", true);
  assert.deepEqual(letters(permuted), ["a", "b"]);
  assert.deepEqual(permuted.operands, ["x", "-a"]);
});

test("a single dash is an operand, and may be a value", () => {
  assert.deepEqual(getopt(["-", "-a"], "a").operands, ["-", "-a"]);
  assert.deepEqual(letters(getopt(["-q", "-"], "q:")), ["q=-"]);
});

test("an unknown letter, a colon among them, and a missing value are told", () => {
  assert.equal(getopt(["-ax"], "a").problem, "invalid option -- 'x'");
  assert.equal(getopt(["-:"], "a:").problem, "invalid option -- ':'");
  assert.equal(getopt(["-a", "-f"], "af:").problem, "option requires an argument -- 'f'");
});
