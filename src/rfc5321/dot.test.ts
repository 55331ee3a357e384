import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { DataScanner, DotStuffer } from "./dot.ts";

interface Scanned {
  readonly body: string;
  /** What is behind the end of data; undefined where it did not end. */
  readonly rest: string | undefined;
}

function scan(pieces: readonly string[]): Scanned {
  const scanner = new DataScanner();
  const taken: Buffer[] = [];
  for (const [index, piece] of pieces.entries()) {
    const bytes = Buffer.from(piece, "latin1");
    const end = scanner.scan(bytes, 0, (part) => taken.push(part));
    if (end < 0) continue;
    const rest = bytes.toString("latin1", end) + pieces.slice(index + 1).join("");
    return { body: Buffer.concat(taken).toString("latin1"), rest };
  }
  return { body: Buffer.concat(taken).toString("latin1"), rest: undefined };
}

/** The same by the definition, without a thought for speed. */
function model(text: string): Scanned {
  const end = `\r\n${text}`.indexOf("\r\n.\r\n");
  const inside = end < 0 ? text : text.slice(0, end);
  const lines: string[] = [];
  for (const [whole, line = "", ending = ""] of inside.matchAll(/([^\n]*?)(\r*\n|\r*$)/g)) {
    if (whole === "") continue;
    if (line === "." && ending.endsWith("\n")) continue;
    if (!ending.endsWith("\n") && end < 0) return { body: "unfinished", rest: undefined };
    const unstuffed = line.startsWith(".") ? line.slice(1) : line;
    lines.push(`${unstuffed.replaceAll("\r", " ")}\r\n`);
  }
  return { body: lines.join(""), rest: end < 0 ? undefined : text.slice(end + 3) };
}

const lookAlikes = [
  "\n.\r\n",
  "\n.\n",
  "\r.\r",
  "\r\n.\n",
  "\r.\r\n",
  "\n.\r",
  "\r\n.\r\r\n",
  "\r\n.\r",
  "\r\n\x00.\r\n",
];

test("end of data is CR LF dot CR LF, at every split into packets", () => {
  const text = "Subject: x\r\n\r\n..stuffed\r\nbody\r\n.\r\nQUIT\r\n";
  for (let first = 0; first <= text.length; first++) {
    for (let second = first; second <= text.length; second++) {
      const found = scan([text.slice(0, first), text.slice(first, second), text.slice(second)]);
      assert.deepEqual(found, { body: "Subject: x\r\n\r\n.stuffed\r\nbody\r\n", rest: "QUIT\r\n" });
    }
  }
});

test("no look-alike ends the data, at any split, and none is passed on in a form that could end it elsewhere", () => {
  for (const lookAlike of lookAlikes) {
    const text = `body${lookAlike}MAIL FROM:<evil@example.com>\r\n`;
    const whole = scan([`${text}.\r\n`]);
    assert.equal(whole.rest, "", JSON.stringify(lookAlike));
    assert.ok(whole.body.includes("MAIL FROM"), JSON.stringify(lookAlike));
    assert.doesNotMatch(whole.body, /\r(?!\n)|(?<!\r)\n|(?:^|\n)\.\r\n/, JSON.stringify(lookAlike));
    for (let cut = 0; cut <= text.length; cut++) {
      assert.deepEqual(scan([text.slice(0, cut), `${text.slice(cut)}.\r\n`]), whole);
    }
    assert.deepEqual(scan([...`${text}.\r\n`]), whole);
  }
});

test("an empty message ends at once", () => {
  assert.deepEqual(scan([".\r\n"]), { body: "", rest: "" });
  assert.deepEqual(scan([".", "\r", "\n"]), { body: "", rest: "" });
});

test("CRs before a line end belong to it; an empty line stays an empty line", () => {
  assert.deepEqual(scan(["a\r\r\n\r\r\nb\r\n.\r\n"]), { body: "a\r\n\r\nb\r\n", rest: "" });
});

test("a flood of CRs is passed on as it comes, and does not pile up", () => {
  const { body } = scan([...Array.from({ length: 10 }, () => "\r".repeat(1000)), "\r\n.\r\n"]);
  assert.match(body, /^ {9900,}\r\n$/);
});

const hostile = fc
  .array(fc.constantFrom("\r", "\n", ".", "\r\n", "\r\n.", "\r\n.\r\n", "a", "..", "text"), { maxLength: 30 })
  .map((parts) => parts.join(""));

test("any stream, cut anywhere, gives what the definition says", () => {
  fc.assert(
    fc.property(hostile, fc.array(fc.nat(60), { maxLength: 6 }), (text, cuts) => {
      const full = `${text}\r\n.\r\nrest`;
      const at = [0, ...cuts.map((cut) => Math.min(cut, full.length)).sort((a, b) => a - b), full.length];
      const pieces = at.slice(1).map((end, index) => full.slice(at[index], end));
      assert.deepEqual(scan(pieces), model(full));
    }),
    { numRuns: 2000 },
  );
});

test("a body that needs no change is not copied", () => {
  const bytes = Buffer.from("a line\r\nanother\r\n.\r\n");
  const taken: Buffer[] = [];
  new DataScanner().scan(bytes, 0, (piece) => taken.push(piece));
  assert.equal(taken.length, 1);
  assert.equal(taken[0]?.buffer, bytes.buffer);
});

test("what is stuffed comes back as it was, whatever the pieces", () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom("a", ".", "..", "\r\n", "text"), { maxLength: 30 }), (parts) => {
      const stuffer = new DotStuffer();
      const body = parts.join("");
      const sent = parts.map((part) => stuffer.stuff(Buffer.from(part)).toString()).join("") + stuffer.end().toString();
      const complete = body === "" || body.endsWith("\r\n") ? body : `${body}\r\n`;
      assert.deepEqual(scan([sent]), { body: complete, rest: "" });
    }),
  );
});

test("stuffing leaves a body without leading dots as it is", () => {
  const body = Buffer.from("a.b\r\nc\r\n");
  assert.equal(new DotStuffer().stuff(body), body);
});
