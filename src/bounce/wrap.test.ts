import assert from "node:assert/strict";
import { test } from "node:test";
import { printable, wrapLine } from "./wrap.ts";

test("lines break at spaces, at 79 bytes, and go on with four spaces", () => {
  const lines = wrapLine(`${"word ".repeat(40)}end`);
  assert.ok(lines.length > 1);
  for (const line of lines) assert.ok(line.length <= 79, line);
  assert.ok(lines.slice(1).every((line) => /^ {4}\S/.test(line)));
  assert.equal(lines.map((line) => line.trim()).join(" "), `${"word ".repeat(40)}end`);
});

test("a word that is longer than a line stays whole", () => {
  const long = "x".repeat(200);
  assert.deepEqual(wrapLine(`before ${long} after`), ["before", `    ${long}`, "    after"]);
});

test("short and empty texts are one line, without spaces at its end", () => {
  assert.deepEqual(wrapLine("short  "), ["short"]);
  assert.deepEqual(wrapLine(""), [""]);
});

test("widths are bytes, and characters stay whole", () => {
  const lines = wrapLine("größer ".repeat(20).trim());
  for (const line of lines) assert.ok(Buffer.byteLength(line) <= 79);
  assert.equal(lines.map((line) => line.trim()).join(" "), "größer ".repeat(20).trim());
});

test("control characters never get through", () => {
  assert.equal(printable("a\r\nb\x00\x7f\x9bc", true), "a??b???c");
  assert.equal(printable("é", true), "é");
  assert.equal(printable("é", false), "?");
});
