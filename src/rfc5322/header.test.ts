import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { fieldText, scanHeader } from "./header.ts";

const scan = (text: string, final = true) => {
  const bytes = Buffer.from(text, "latin1");
  return { bytes, ...scanHeader(bytes, final) };
};

test("fields keep their folded lines, and the header ends at the empty line", () => {
  const { bytes, fields, end, ending } = scan("To: a,\r\n\tb\r\nSubject: x\r\n\r\nTo: body\r\n");
  assert.deepEqual(
    fields.map((field) => [field.name, fieldText(bytes, field)]),
    [
      ["to", "a,\r\n\tb"],
      ["subject", "x"],
    ],
  );
  assert.equal(ending, "blank");
  assert.equal(bytes.toString("latin1", end), "\r\nTo: body\r\n");
});

test("white space before the colon belongs neither to the name nor to the value", () => {
  const { bytes, fields } = scan("From : a@b\r\n\r\n");
  const [field] = fields;
  assert.equal(field?.name, "from");
  assert.equal(field?.nameEnd, 4);
  assert.equal(field?.colon, 5);
  assert.equal(field && fieldText(bytes, field), "a@b");
});

test("a line that is no field ends the header as text", () => {
  for (const text of [
    "no colon here\r\n",
    " starts with a space\r\n",
    ": no name\r\n",
    "n\u00e4me: x\r\n",
    "a b: c\r\n",
  ]) {
    const { fields, end, ending } = scan(text);
    assert.deepEqual([fields.length, end, ending], [0, 0, "text"], text);
  }
});

test("lines may end with LF alone, and the last may have no end", () => {
  const { fields, ending, end, bytes } = scan("A: 1\nB: 2\n 3");
  assert.deepEqual(
    fields.map(({ name }) => name),
    ["a", "b"],
  );
  assert.equal(ending, "text");
  assert.equal(end, bytes.length);
  assert.equal(scan("A: 1\n\nB: 2").ending, "blank");
});

test("while more may come, the last field is left for later", () => {
  const { fields, ending, end } = scan("A: 1\r\nB: 2\r\n", false);
  assert.deepEqual([fields.length, ending, end], [1, "open", 6]);
  assert.deepEqual(scan("A: 1\r\nB", false).fields.length, 0);
});

const line = fc.oneof(
  fc.constantFrom("A: b", "To : x", "\tfolded", " ", "", "From me", ":", "x:", "Received: by y"),
  fc.string({ unit: "binary", maxLength: 20 }),
);
const someText = fc
  .array(fc.tuple(line, fc.constantFrom("\r\n", "\n", "\r", "")))
  .map((lines) => lines.flat().join(""));

test("fields and what follows them cover the bytes without gap or overlap", () => {
  fc.assert(
    fc.property(someText, fc.boolean(), (text, final) => {
      const bytes = Buffer.from(text, "latin1");
      const { fields, end } = scanHeader(bytes, final);
      let at = 0;
      for (const field of fields) {
        assert.equal(field.start, at);
        assert.ok(field.nameEnd > field.start && field.nameEnd <= field.colon && field.colon < field.end);
        assert.equal(bytes[field.colon], 0x3a);
        at = field.end;
      }
      assert.equal(end, at);
    }),
    { numRuns: 300 },
  );
});

test("a header scanned in two pieces has the same fields", () => {
  fc.assert(
    fc.property(someText, fc.nat(), (text, cut) => {
      const bytes = Buffer.from(text, "latin1");
      const whole = scanHeader(bytes, true);
      const border = bytes.length === 0 ? 0 : cut % (bytes.length + 1);
      const first = scanHeader(bytes.subarray(0, border), false);
      const names = first.fields.map(({ name }) => name);
      if (first.ending === "open") {
        const rest = scanHeader(bytes.subarray(first.end), true);
        names.push(...rest.fields.map(({ name }) => name));
        // A line that begins with white space is a continuation only behind a field.
        if (first.end === 0 || rest.fields.length > 0 || rest.ending !== "text") {
          assert.equal(first.end + rest.end, whole.end);
        }
      }
      assert.deepEqual(
        names,
        whole.fields.map(({ name }) => name),
      );
    }),
    { numRuns: 300 },
  );
});
