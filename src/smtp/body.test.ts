import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { BodyEncoder } from "./body.ts";

function encode(text: string, limit = 998, cuts: readonly number[] = []): string {
  const encoder = new BodyEncoder(limit);
  const bytes = Buffer.from(text, "latin1");
  const places = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b);
  const pieces: Buffer[] = [];
  let from = 0;
  for (const place of [...places, bytes.length]) {
    pieces.push(encoder.push(bytes.subarray(from, place)));
    from = place;
  }
  return Buffer.concat([...pieces, encoder.end()]).toString("latin1");
}

test("a chunk that needs nothing passes through without a copy", () => {
  const chunk = Buffer.from("Subject: x\r\n\r\nhello\r\nno dots. here\r\n");
  const encoder = new BodyEncoder(998);
  assert.equal(encoder.push(chunk), chunk);
  assert.equal(encoder.end().length, 0);
});

test("dots at the beginning of lines are doubled, and others are not", () => {
  assert.equal(encode(".\r\n..a\r\nb.\r\n"), "..\r\n...a\r\nb.\r\n");
});

test("bare CR and NUL become spaces, a bare LF becomes a line end", () => {
  assert.equal(encode("a\rb\0c\nd\r\r\ne\r\n"), "a b c\r\nd \r\ne\r\n");
});

test("a last line without an end gets one", () => {
  assert.equal(encode("a"), "a\r\n");
  assert.equal(encode("a\r"), "a\r\n");
  assert.equal(encode(""), "");
});

test("a line of the limit stays whole, a longer one is folded with CRLF and a space", () => {
  const line = "a".repeat(998);
  assert.equal(encode(`${line}\r\n`), `${line}\r\n`);
  assert.equal(encode(`${line}b\r\n`), `${line}\r\n b\r\n`);
  assert.equal(
    encode(`${"c".repeat(3000)}\r\n`),
    `${"c".repeat(998)}\r\n ${"c".repeat(997)}\r\n ${"c".repeat(997)}\r\n ${"c".repeat(8)}\r\n`,
  );
  assert.equal(encode(`${"c".repeat(3000)}\r\n`, 0), `${"c".repeat(3000)}\r\n`);
});

test("no look-alike of the end of data gets through, wherever the body is cut", () => {
  const piece = fc.constantFrom(
    "\r",
    "\n",
    ".",
    "\0",
    "a",
    " ",
    "\r\n",
    "\r\n.\r\n",
    "\n.\n",
    "\r.\r",
    "\n.\r\n",
    "\r\n.\n",
  );
  fc.assert(
    fc.property(
      fc.array(piece, { maxLength: 30 }),
      fc.array(fc.nat(), { maxLength: 8 }),
      fc.constantFrom(0, 1, 2, 5, 998),
      (pieces, cuts, limit) => {
        const text = pieces.join("");
        const sent = encode(text, limit, cuts);
        assert.equal(sent, encode(text, limit), "the cuts show");
        assert.ok(sent === "" || sent.endsWith("\r\n"));
        assert.ok(!`\r\n${sent}`.includes("\r\n.\r\n"));
        assert.ok(!/\r(?!\n)|(?<!\r)\n|\0/.test(sent), "a bare CR, LF or NUL");
        if (limit > 0) for (const line of sent.split("\r\n")) assert.ok(line.length <= limit + 1);
      },
    ),
    { numRuns: 2000 },
  );
});
