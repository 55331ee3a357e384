import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type ReplyEvent, ReplyParser } from "./reply-parser.ts";

function events(pieces: readonly string[]): ReplyEvent[] {
  const parser = new ReplyParser();
  const found: ReplyEvent[] = [];
  for (const piece of pieces) {
    parser.push(Buffer.from(piece, "latin1"));
    for (let event = parser.next(); event; event = parser.next()) found.push(event);
  }
  return found;
}

const reply = (code: number, enhanced: string, ...lines: string[]): ReplyEvent => ({
  kind: "reply",
  code,
  enhanced,
  lines,
});

test("replies come out whole, however the bytes are cut", () => {
  const text = "220 hello\r\n250-one\r\n250-two\r\n250 2.1.0 three\r\n550\r\n354 go\n";
  const whole = [
    reply(220, "", "hello"),
    reply(250, "2.1.0", "one", "two", "2.1.0 three"),
    reply(550, "", ""),
    reply(354, "", "go"),
  ];
  assert.deepEqual(events([text]), whole);
  assert.deepEqual(events([...text]), whole);
  fc.assert(
    fc.property(fc.array(fc.nat(text.length), { maxLength: 5 }), (cuts) => {
      const at = [0, ...cuts.sort((a, b) => a - b), text.length];
      assert.deepEqual(events(at.slice(1).map((end, index) => text.slice(at[index], end))), whole);
    }),
  );
});

test("an enhanced code of another class says nothing", () => {
  assert.deepEqual(events(["550 2.0.0 odd\r\n"]), [reply(550, "5.0.0", "2.0.0 odd")]);
  assert.deepEqual(events(["250 5.7.1 odd\r\n"]), [reply(250, "2.0.0", "5.7.1 odd")]);
});

test("a line without a code is junk, and no part of a reply", () => {
  assert.deepEqual(events(["hello\r\n25 x\r\n2500 x\r\n250 ok\r\n"]), [
    { kind: "junk", line: "hello" },
    { kind: "junk", line: "25 x" },
    { kind: "junk", line: "2500 x" },
    reply(250, "", "ok"),
  ]);
});

test("lines with different codes are no reply", () => {
  assert.deepEqual(events(["250-a\r\n550 b\r\n"]), [{ kind: "mixed", lines: ["a", "550 b"] }]);
});

test("an endless line and an endless reply are cut off at 64 KiB", () => {
  assert.deepEqual(events([...new Array(70).fill("x".repeat(1000))]), [{ kind: "overflow" }]);
  assert.deepEqual(events([...new Array(700).fill(`250-${"x".repeat(100)}\r\n`), "250 ok\r\n"]), [
    { kind: "overflow" },
  ]);
});

test("a long line is cut, and the next reply is understood", () => {
  const [first, second] = events([`250 ${"x".repeat(5000)}\r\n250 ok\r\n`]);
  assert.equal(first?.kind === "reply" && first.lines[0]?.length, 2044);
  assert.deepEqual(second, reply(250, "", "ok"));
});

test("control characters do not get into texts", () => {
  assert.deepEqual(events(["550 a\0b\x1b[31mc\rd\r\n"]), [reply(550, "", "a?b?[31mc?d")]);
});

test("what nobody has read yet can be told", () => {
  const parser = new ReplyParser();
  assert.ok(parser.idle);
  parser.push(Buffer.from("220 hello\r\n25"));
  assert.equal(parser.next()?.kind, "reply");
  assert.equal(parser.next(), undefined);
  assert.ok(!parser.idle);
});
