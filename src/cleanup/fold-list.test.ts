import assert from "node:assert/strict";
import { test } from "node:test";
import { foldList } from "./fold-list.ts";

test("a short list stays on its line", () => {
  assert.equal(foldList(": a@example.com, b@example.com\r\n", 2), ": a@example.com, b@example.com\r\n");
});

test("a long list is broken behind commas, before a line has 70 characters", () => {
  const addresses = Array.from({ length: 40 }, (_, index) => `user${index}@client.example.com`);
  const folded = foldList(`: ${addresses.join(", ")}\r\n`, 2);
  for (const line of folded.split("\r\n")) assert.ok(line.length < 72, line);
  assert.equal(folded.replaceAll("\r\n\t", " "), `: ${addresses.join(", ")} `.replace(/ $/, "\r\n"));
});

test("the name of the field counts", () => {
  const [a, b] = [`${"a".repeat(40)},`, "b".repeat(20)];
  assert.equal(foldList(`: ${a} ${b}\r\n`, 5), `: ${a} ${b}\r\n`);
  assert.equal(foldList(`: ${a} ${b}\r\n`, 6), `: ${a}\r\n\t${b}\r\n`);
});

test("commas in quotes and comments are no places to break at", () => {
  const quoted = `"${"q,".repeat(40)}" (${"c,".repeat(40)}) <a@example.com>`;
  assert.equal(foldList(`: ${quoted}\r\n`, 4), `: ${quoted}\r\n`);
});

test("lines that are broken keep their breaks", () => {
  const list = ": Some\r\n\tOne <a@b>,\r\n\tc@d,\r\n e@f\r\n";
  assert.equal(foldList(list, 2), list);
});

test("a comma at the end begins no line", () => {
  assert.equal(foldList(`: ${"a".repeat(80)},\r\n`, 2), `: ${"a".repeat(80)},\r\n`);
});

test("a run of white space without end takes time in proportion to it", { timeout: 10_000 }, () => {
  const list = `: a@b,${" ".repeat(1_000_000)}c@d\r\n`;
  assert.match(foldList(list, 2), /^: a@b,\s+c@d\r\n$/);
});
