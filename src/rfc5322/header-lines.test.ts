import assert from "node:assert/strict";
import { test } from "node:test";
import { headerLines } from "./header-lines.ts";

test("each line ends with CRLF, and those after the first begin with white space", () => {
  assert.equal(headerLines("To: a,\nb,\n\tc,\n d", 1000).toString(), "To: a,\r\n\tb,\r\n\tc,\r\n d\r\n");
  assert.equal(headerLines("X: \u00e9", 1000).toString("latin1"), "X: \u00e9\r\n");
});

test("a field beyond the limit ends with a line, or in the middle where that loses too much", () => {
  const line = "x".repeat(94);
  assert.equal(headerLines(`${line}\nyyyyyyyyyy`, 100).toString(), `${line}\r\n`);
  assert.equal(headerLines(`aaaa\n${line}`, 50).toString(), `aaaa\r\n\t${"x".repeat(45)}\r\n`);
  assert.equal(headerLines(line, 50).toString(), `${"x".repeat(50)}\r\n`);
});
