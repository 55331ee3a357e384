import assert from "node:assert/strict";
import { test } from "node:test";
import type { Envelope, Recipient } from "../queue/message.ts";
import type { QueueEntry, QueueName } from "../queue/store.ts";
import { jsonEntry, QueueListing } from "./queue-listing.ts";

const recipient = (address: string, reason?: string, more: Partial<Recipient> = {}): Recipient =>
  ({ address, original: address, status: "pending", reason, ...more }) as Recipient;

function entry(recipients: Recipient[], more: Partial<Envelope> = {}, queue: QueueName = "deferred"): QueueEntry {
  const envelope = {
    id: "4hJ0QzK3Vq",
    sender: "root@example.com",
    recipients,
    size_bytes: 321,
    arrival_ms: Date.UTC(2026, 10, 3, 4, 5, 6, 789),
    expired: false,
    ...more,
  } as Envelope;
  return { queue, envelope, nextAttempt_ms: 0, destination: "" };
}

function listed(...entries: QueueEntry[]): string[] {
  const listing = new QueueListing(() => 0);
  const text = entries.map((each) => listing.entry(each)).join("") + listing.summary();
  return text.split("\n").slice(0, -1);
}

test("a message stands in Postfix's columns: heading, sender, reason to the right, recipients below", () => {
  const lines = listed(
    entry([
      recipient("a@x.example", "connection refused"),
      recipient("b@x.example", "connection refused"),
      recipient("c@x.example", "timed out"),
    ]),
  );
  assert.deepEqual(lines, [
    "----Queue ID----- --Size-- ---Arrival Time---- --Sender/Recipient------",
    "4hJ0QzK3Vq             321 Tue Nov  3 04:05:06 root@example.com",
    `${" ".repeat(58)}(connection refused)`,
    `${" ".repeat(47)}a@x.example`,
    `${" ".repeat(47)}b@x.example`,
    `${" ".repeat(67)}(timed out)`,
    `${" ".repeat(47)}c@x.example`,
    "",
    "-- 0 Kbytes in 1 Request.",
  ]);
});

test("messages are parted by an empty line, and counted with their sizes at the end", () => {
  const lines = listed(
    entry([recipient("a@x")], { size_bytes: 1500 }),
    entry([recipient("b@x")], { size_bytes: 1500 }),
  );
  assert.equal(lines[3], "");
  assert.deepEqual(lines.slice(-2), ["", "-- 2 Kbytes in 2 Requests."]);
  assert.deepEqual(listed(), ["Mail queue is empty"]);
});

test("active, held and expired messages have their marks, and the null sender its name", () => {
  const line = (queue: QueueName, more: Partial<Envelope> = {}) => listed(entry([], more, queue))[1] ?? "";
  assert.match(line("active"), /^4hJ0QzK3Vq\* {8}/);
  assert.match(line("hold"), /^4hJ0QzK3Vq! /);
  assert.match(line("hold", { expired: true }), /^4hJ0QzK3Vq!# /);
  assert.match(line("deferred", { sender: "" }), / MAILER-DAEMON$/);
});

test("who has the mail already is not listed, and a reason that is not known says so behind one that is", () => {
  const lines = listed(
    entry([recipient("done@x", "sent", { status: "sent" }), recipient("a@x", "x".repeat(100)), recipient("b@x")]),
  );
  assert.deepEqual(lines.slice(2, -2), [
    `(${"x".repeat(100)})`,
    `${" ".repeat(47)}a@x`,
    `${" ".repeat(58)}(reason unavailable)`,
    `${" ".repeat(47)}b@x`,
  ]);
});

test("control characters do not reach the terminal", () => {
  const lines = listed(entry([recipient("a\u001b[2J@x", "said:\r\nfake")], { sender: "s\u0000\u009b@x" }));
  assert.doesNotMatch(lines.join("\n"), /[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/);
  assert.equal(lines.length, 6);
});

test("as JSON a message is one line, spaced as Postfix spaces it, in its order", () => {
  const text = jsonEntry(
    entry(
      [
        recipient('a"b\\,:@x.example', "connection refused"),
        recipient("b@x", undefined, { original: "alias@x" }),
        recipient("c@x", undefined, { status: "bounced" }),
      ],
      {
        sender: "",
        expired: true,
      },
    ),
  );
  const arrival = Date.UTC(2026, 10, 3, 4, 5, 6) / 1000;
  assert.equal(
    text,
    `{"queue_name": "deferred", "queue_id": "4hJ0QzK3Vq", "arrival_time": ${arrival}, "message_size": 321, "forced_expire": true, "sender": "MAILER-DAEMON", "recipients": [{"address": "a\\"b\\\\,:@x.example", "delay_reason": "connection refused"}, {"orig_address": "alias@x", "address": "b@x"}]}\n`,
  );
  assert.equal(JSON.parse(text).recipients[0].address, 'a"b\\,:@x.example');
});
