import assert from "node:assert/strict";
import { test } from "node:test";
import { type MessageKeyOptions, MessageKeys } from "./message-keys.ts";

function keys(lines: readonly string[], wanted: Partial<MessageKeyOptions>): string[] {
  const found: string[] = [];
  const options = { headers: false, body: false, mime: false, ...wanted };
  const message = new MessageKeys(options, (key) => found.push(key.toString("latin1")));
  for (const line of lines) if (!message.done) message.line(Buffer.from(line, "latin1"));
  message.end();
  return found;
}

const attached = [
  'Content-Type: multipart/mixed; (c) boundary="b b"',
  "",
  "pre",
  "--b b",
  "X-Part : 1",
  "",
  "body",
  "--b b",
  "Content-Type: message/rfc822",
  "",
  "Subject: inner",
  "",
  "inner body",
  "--b b--",
  "From: y",
];

test("a header is one key with its continuation lines, and reading ends behind the first block", () => {
  assert.deepEqual(keys(["A: b", " c", "D : e", "", "F: g"], { headers: true }), ["A: b\n c", "D: e"]);
});

test("with MIME, headers of parts and of attached messages are keys too", () => {
  const found = keys(attached, { headers: true, mime: true });
  assert.deepEqual(found.slice(1), ["X-Part: 1", "Content-Type: message/rfc822", "Subject: inner"]);
});

test("the body is everything behind the header, part headers left out only with MIME", () => {
  assert.equal(keys(attached, { body: true }).length, attached.length - 1);
  const found = keys(attached, { body: true, mime: true });
  assert.deepEqual(found, ["", "pre", "--b b", "", "body", "--b b", "", "", "inner body", "--b b--", "From: y"]);
});

test("text that is no header ends the header", () => {
  assert.deepEqual(keys(["garbage", "X: y"], { headers: true, body: true }), ["", "garbage", "X: y"]);
});
