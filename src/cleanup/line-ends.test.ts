import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { LineEnds } from "./line-ends.ts";

function converted(...pieces: string[]): string {
  const lineEnds = new LineEnds();
  return Buffer.concat([...pieces.map((piece) => lineEnds.convert(Buffer.from(piece))), lineEnds.end()]).toString();
}

test("every line end becomes CRLF, and a CR elsewhere a space", () => {
  assert.equal(converted("a\nb\r\nc\r\r\nd\re\r"), "a\r\nb\r\nc\r\nd e ");
});

test("how the text is cut makes no difference", () => {
  const text = fc.array(fc.constantFrom("a", "\r", "\n", "\r\n"), { maxLength: 20 });
  fc.assert(
    fc.property(text, (parts) => assert.equal(converted(...parts), converted(parts.join("")))),
    { numRuns: 500 },
  );
});

test("of CRs without end only so many are kept back", () => {
  const lineEnds = new LineEnds();
  const given = Buffer.alloc(1_000_000, "\r");
  const spaces = lineEnds.convert(given).length + lineEnds.convert(given).length;
  assert.ok(spaces >= 2_000_000 - 65_536, `${spaces} spaces`);
  assert.equal(spaces + lineEnds.end().length, 2_000_000);
});
