import assert from "node:assert/strict";
import { test } from "node:test";
import {
  addressLimit_chars,
  formatHead,
  parseHead,
  parseTail,
  recipientLimit,
  SubmissionError,
  type SubmissionHead,
  SubmissionSeal,
  tailLimit_bytes,
} from "./submission-file.ts";

const head: SubmissionHead = {
  version: 1,
  sender: "é@example.com",
  recipients: ["a@example.com", 'odd" \\\n@example.com'],
  fullName: "Full Name",
  notify: ["SUCCESS", "DELAY"],
  ret: "HDRS",
  envid: "id",
  crlf: false,
  smtputf8: true,
  service: "sendmail",
  gateway: false,
};

test("a head comes back as it was written, in one line", () => {
  const bytes = formatHead(head);
  assert.equal(bytes.indexOf(10), bytes.length - 1);
  const parsed = parseHead(Buffer.concat([bytes, Buffer.from("Subject: x\n")]));
  assert.deepEqual(parsed, { head, end: bytes.length });
});

test("a head that sendmail would not have written is refused, whatever it is", () => {
  const lines = [
    "",
    "{",
    "null\n",
    "[]\n",
    "7\n",
    '{"version":2,"recipients":["a"]}\n',
    '{"version":1}\n',
    '{"version":1,"recipients":[]}\n',
    `{"version":1,"recipients":["${"x".repeat(addressLimit_chars + 1)}"]}\n`,
    `{"version":1,"sender":"${"x".repeat(addressLimit_chars + 1)}","recipients":["a"]}\n`,
    '{"version":1,"recipients":"a"}\n',
    '{"version":1,"recipients":[{"a":1}]}\n',
    '{"version":1,"recipients":[null]}\n',
    `{"version":1,"recipients":[${'"a",'.repeat(recipientLimit)}"a"]}\n`,
  ];
  for (const line of lines) assert.throws(() => parseHead(Buffer.from(line)), SubmissionError, line.slice(0, 40));
});

test("values of a wrong kind count as absent, and prototypes do not come with them", () => {
  const hostile =
    '{"version":1,"recipients":["a"],"sender":7,"notify":["EVERYTHING"],"ret":"x","envid":{},"gateway":"yes","__proto__":{"smtputf8":true}}\n';
  const parsed = parseHead(Buffer.from(hostile)).head;
  assert.deepEqual(
    [parsed.sender, parsed.notify, parsed.ret, parsed.envid, parsed.gateway, parsed.smtputf8],
    [undefined, undefined, undefined, undefined, false, false],
  );
});

test("a tail says how long the message is and what it sums up to, however it was written", () => {
  const whole = new SubmissionSeal();
  whole.add(Buffer.from("one\ntwo\n"));
  const parts = new SubmissionSeal();
  for (const byte of Buffer.from("one\ntwo\n")) parts.add(Buffer.of(byte));
  assert.deepEqual(parts.tail(), whole.tail());
  const tail = parseTail(Buffer.concat([Buffer.from("one\ntwo\n"), whole.tail()]));
  assert.equal(tail.length, whole.tail().length);
  assert.ok(whole.matches(tail.size, tail.crc));
  assert.ok(!whole.matches(tail.size, tail.crc + 1));
  assert.ok(!whole.matches(tail.size + 1, tail.crc));
});

test("the largest tail is found in what is read of a file's end", () => {
  const largest = `\n${JSON.stringify({ end: true, size: Number.MAX_SAFE_INTEGER, crc: 2 ** 32 - 1 })}\n`;
  assert.ok(largest.length <= tailLimit_bytes);
});

test("a file that was not written to its end has no tail", () => {
  const seal = new SubmissionSeal();
  seal.add(Buffer.from("body\n"));
  const whole = Buffer.concat([Buffer.from('{"version":1,"recipients":["a"]}\nbody\n'), seal.tail()]);
  for (let length = 0; length < whole.length; length++) {
    assert.throws(() => parseTail(whole.subarray(0, length)), SubmissionError, `${length} bytes`);
  }
});
