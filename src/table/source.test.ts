import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { entryLines, LogicalLines, logicalLineLimit_bytes } from "./source.ts";
import { TableError } from "./table.ts";

function lines(text: string, cuts: readonly number[] = []): { lines: string[]; warnings: string[] } {
  const found: string[] = [];
  const warnings: string[] = [];
  const reader = new LogicalLines(
    "t",
    (line, number) => found.push(`${number}:${line}`),
    (warning) => warnings.push(warning),
  );
  const bytes = Buffer.from(text);
  const places = [...new Set(cuts)].filter((cut) => cut < bytes.length).sort((a, b) => a - b);
  let start = 0;
  for (const cut of [...places, bytes.length]) {
    const chunk = Buffer.from(bytes.subarray(start, cut));
    reader.feed(chunk);
    chunk.fill(0x21);
    start = cut;
  }
  reader.end();
  return { lines: found, warnings };
}

function entries(text: string | Buffer, utf8 = true): { entries: string[]; warnings: string[] } {
  const found: string[] = [];
  const warnings: string[] = [];
  const warn = (warning: string) => warnings.push(warning);
  const take = entryLines({ path: "t", utf8, sayIgnored: false, warn }, (line, keyEnd, start, end) =>
    found.push(`${line.toString("latin1", 0, keyEnd)}=${line.toString("latin1", start, end)}`),
  );
  const reader = new LogicalLines("t", take, warn);
  reader.feed(Buffer.from(text));
  reader.end();
  return { entries: found, warnings };
}

test("a line that begins with white space continues the last one, comments and blank lines in between left out", () => {
  assert.deepEqual(lines("a 1\n# c\n\n  x\n  # d\n\ty\nb 2").lines, ["1:a 1  x\ty", "7:b 2"]);
});

test("a first line that begins with white space is reported and left out, with what continues it", () => {
  const { lines: found, warnings } = lines(" lead x\n more\nk v\n");
  assert.deepEqual(found, ["3:k v"]);
  assert.deepEqual(warnings, ['t: logical line must not start with whitespace: " lead x more"']);
});

test("text behind a NUL is dropped", () => {
  assert.deepEqual(lines("d e\0f\n g\n").lines, ["1:d e"]);
});

test("how the stream is cut into chunks makes no difference", () => {
  const line = fc.constantFrom("a 1", "  more", "", " ", "# c", "\tx", "key value", "b\r");
  fc.assert(
    fc.property(fc.array(line), fc.array(fc.nat(60)), fc.boolean(), (parts, cuts, ended) => {
      const text = parts.join("\n") + (ended ? "\n" : "");
      assert.deepEqual(lines(text, cuts), lines(text));
    }),
  );
});

test("a line without end is refused at the limit", () => {
  const reader = new LogicalLines(
    "t",
    () => {},
    () => {},
  );
  const chunk = Buffer.alloc(1024 * 1024, 0x61);
  assert.throws(() => {
    for (let fed = 0; fed <= logicalLineLimit_bytes; fed += chunk.length) reader.feed(chunk);
  }, TableError);
});

test("white space between double quotes belongs to the key, and the quotes stay", () => {
  assert.deepEqual(entries('"two words" v\nq" "x v w \n').entries, ['"two words"=v', 'q" "x=v w']);
});

test("lines that are no entries are reported with their numbers and left out", () => {
  const { entries: found, warnings } = entries('"unb v\nnoval\nk: alias\n');
  assert.deepEqual(found, ["k:=alias"]);
  assert.deepEqual(warnings, [
    "t, line 1: unbalanced '\"' in '\"unb v' -- ignoring this line",
    "t, line 2: expected format: key whitespace value",
    't, line 3: record is in "key: value" format; is this an alias file?',
  ]);
});

test("a line that is not UTF-8 is left out, unless bytes are wanted", () => {
  const line = Buffer.from("caf\xe9 x\n", "latin1");
  assert.deepEqual(entries(line), {
    entries: [],
    warnings: ['t, line 1: non-UTF-8 input "caf? x" -- ignoring this line'],
  });
  assert.deepEqual(entries(line, false).entries, ["caf\xe9=x"]);
});
