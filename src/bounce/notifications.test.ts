import assert from "node:assert/strict";
import { test } from "node:test";
import { defaults } from "../conf/defaults.ts";
import { globalParams } from "../conf/params.ts";
import { memoryLog } from "../log/log.ts";
import type { RecipientResult } from "../queue/delivery.ts";
import { openMemoryStore } from "../queue/memory-store.ts";
import { type BodyReader, chunkSize_bytes, type Envelope, type Recipient } from "../queue/message.ts";
import { QueueError } from "../queue/store.ts";
import { ManualClock } from "../runtime/manual-clock.ts";
import { seededRandom } from "../runtime/random.ts";
import { TableError } from "../table/table.ts";
import { type BounceParts, type NotificationCause, notifications } from "./notifications.ts";
import { bounceParams } from "./params.ts";

const recipient: Recipient = {
  address: "b@example.com",
  original: "b@example.com",
  notify: undefined,
  orcpt: undefined,
  status: "pending",
  reason: undefined,
  dsn: undefined,
};
const text = Buffer.from("From: a@example.org\r\nSubject: hello\r\n\r\nThe body\r\n");
const whole: BodyReader = { chunk: async (index) => (index === 0 ? text : undefined) };
const refused: RecipientResult = {
  index: 0,
  status: "bounced",
  dsn: "5.1.1",
  reason: "host mx.example[192.0.2.1] said: 550 5.1.1 no such user (in reply to RCPT TO command)",
  remoteHost: "mx.example",
  remoteReply: "550 5.1.1 no such user",
};

function envelope(more: Partial<Envelope> = {}): Envelope {
  return {
    id: "4FA0B1C",
    sender: "a@example.org",
    recipients: [recipient],
    arrival_ms: Date.UTC(2026, 0, 1),
    size_bytes: text.length,
    eightBit: false,
    smtputf8: false,
    envid: undefined,
    ret: undefined,
    origin: { service: "smtpd", client: "", helo: "", protocol: "", saslUsername: "" },
    headerEnd_bytes: text.indexOf("\r\n\r\n") + 2,
    held: false,
    expired: false,
    warned: false,
    ...more,
  };
}

async function world(settings: Record<string, string> = {}) {
  const clock = new ManualClock();
  const log = memoryLog();
  const store = await openMemoryStore({ owner: "test", clock, log });
  const parts: BounceParts = {
    conf: {
      ...defaults(
        { ...bounceParams, ...globalParams },
        { myhostname: "mail.example.test", myorigin: "example.test", smtputf8_enable: "yes", ...settings },
      ),
      delay_warning_time: 4 * 3600,
      maximal_queue_lifetime: 5 * 86400,
    },
    runtime: { clock, random: seededRandom(1) },
    log: log.as("bounce"),
    store,
    recipients: (address) => [{ address }],
    addressField: (name, value) => [`${name}: ${value}`],
  };
  return { parts, store, log };
}

function cause(kind: NotificationCause["kind"], about: Envelope, ...results: RecipientResult[]): NotificationCause {
  return { kind, envelope: about, results: results.length > 0 ? results : [refused], body: whole };
}

async function bodyOf(
  store: Awaited<ReturnType<typeof openMemoryStore>>,
  [first]: Awaited<ReturnType<typeof notifications>>,
) {
  assert.ok(first);
  const { envelope: stored } = await store.accept(first.message, first.source);
  const chunks: Buffer[] = [];
  const reader = store.body(stored.id);
  for (let chunk = await reader.chunk(0); chunk; chunk = await reader.chunk(chunks.length)) chunks.push(chunk);
  return { stored, body: Buffer.concat(chunks) };
}

test("a failure is told to the sender, from nobody, and said in the log", async () => {
  const { parts, log } = await world();
  const [notification, ...more] = await notifications(cause("failure", envelope()), parts);
  assert.deepEqual(more, []);
  assert.equal(notification?.message.envelope.sender, "");
  assert.deepEqual(
    notification?.message.envelope.recipients.map(({ address }) => address),
    ["a@example.org"],
  );
  assert.equal(notification?.source, "bounce:4FA0B1C:failure:0");
  const { id } = notification?.message ?? {};
  assert.deepEqual(log.lines, [
    `cleanup: ${id}: message-id=<20260101000000.${id}@mail.example.test>`,
    `bounce: 4FA0B1C: sender non-delivery notification: ${id}`,
  ]);
});

test("the envelope's figures agree with the body", async () => {
  const { parts, store } = await world();
  const { stored, body } = await bodyOf(store, await notifications(cause("failure", envelope()), parts));
  assert.equal(stored.size_bytes, body.length);
  assert.equal(body.subarray(stored.headerEnd_bytes, stored.headerEnd_bytes + 2).toString(), "\r\n");
  assert.match(body.subarray(0, stored.headerEnd_bytes).toString(), /Message-Id: <[^>]+>\r\n$/);
  assert.equal(stored.eightBit, false);
  assert.equal(body.toString().replaceAll("\r\n", "").includes("\n"), false);
  assert.match(body.toString(), /The body\r\n\r\n--4FA0B1C\.\d+\/mail\.example\.test--\r\n$/);
});

test("the same cause has the same source, so that it is stored once", async () => {
  const { parts, store } = await world();
  const [first] = await notifications(cause("failure", envelope()), parts);
  const [again] = await notifications(cause("failure", envelope()), parts);
  assert.ok(first && again);
  assert.equal((await store.accept(first.message, first.source)).repeated, false);
  assert.equal((await store.accept(again.message, again.source)).repeated, true);
});

test("the null sender is never answered", async () => {
  for (const kind of ["failure", "delay", "success"] as const) {
    const { parts } = await world();
    assert.deepEqual(await notifications(cause(kind, envelope({ sender: "" })), parts), []);
  }
});

test("nor is the postmaster's mail, whatever notify_classes says", async () => {
  const { parts, log } = await world({ notify_classes: "bounce, 2bounce, delay" });
  const about = envelope({ sender: "double-bounce@mail.example.test" });
  assert.deepEqual(await notifications(cause("failure", about), parts), []);
  assert.deepEqual(log.lines, ["bounce: warning: 4FA0B1C: undeliverable postmaster notification discarded"]);
});

test("an undeliverable notification goes to the postmaster where notify_classes asks for it", async () => {
  const { parts } = await world({ notify_classes: "2bounce" });
  const [notification] = await notifications(cause("failure", envelope({ sender: "" })), parts);
  assert.equal(notification?.message.envelope.sender, "double-bounce@mail.example.test");
  assert.equal(notification?.message.envelope.recipients[0]?.address, "postmaster@example.test");
});

test("NOTIFY decides who is heard of; postmaster copies list all", async () => {
  const silent = envelope({ recipients: [{ ...recipient, notify: ["NEVER"] }] });
  const { parts } = await world();
  assert.deepEqual(await notifications(cause("failure", silent), parts), []);
  assert.deepEqual(
    await notifications(cause("delay", envelope({ recipients: [{ ...recipient, notify: ["FAILURE"] }] })), parts),
    [],
  );
  const copies = await world({ notify_classes: "bounce" });
  const [copy, ...more] = await notifications(cause("failure", silent), copies.parts);
  assert.deepEqual(more, []);
  assert.equal(copy?.source, "bounce:4FA0B1C:failure:0:postmaster");
});

test("RET=HDRS and bounce_size_limit bring back the header alone", async () => {
  for (const [settings, about] of [
    [{}, envelope({ ret: "HDRS" })],
    [{ bounce_size_limit: "20" }, envelope()],
  ] as const) {
    const { parts, store } = await world(settings);
    const { body } = await bodyOf(store, await notifications(cause("failure", about), parts));
    assert.match(body.toString(), /Content-Type: text\/rfc822-headers/);
    assert.doesNotMatch(body.toString(), /The body/);
  }
});

test("of a header larger than bounce_size_limit, whole lines come back", async () => {
  const { parts, store } = await world({ bounce_size_limit: "30" });
  const { body } = await bodyOf(store, await notifications(cause("failure", envelope()), parts));
  assert.match(body.toString(), /\r\nFrom: a@example\.org\r\n\r\n--/);
  assert.doesNotMatch(body.toString(), /^Subject: he/m);
});

test("a notification about thousands of recipients is written in chunks", async () => {
  const { parts, store } = await world();
  const recipients = Array.from({ length: 3000 }, (_, n) => ({ ...recipient, address: `b${n}@example.com` }));
  const results = recipients.map((_, index) => ({ ...refused, index }));
  const written = await notifications(cause("failure", envelope({ recipients }), ...results), parts);
  assert.equal(Buffer.isBuffer(written[0]?.message.body), false);
  const { body, stored } = await bodyOf(store, written);
  assert.ok(body.length > 4 * chunkSize_bytes);
  assert.equal(stored.size_bytes, body.length);
  assert.equal(body.toString().match(/^Final-Recipient: /gm)?.length, 3000);
});

test("what a server says cannot break out of its line, and the boundary cannot be guessed", async () => {
  const { parts, store } = await world();
  const nasty = {
    ...refused,
    reason: "no\r\n\r\n--x\r\nBcc: all",
    remoteReply: "550 \x1b[31m\u0000\r\nAction: delivered",
  };
  const { body } = await bodyOf(store, await notifications(cause("failure", envelope(), nasty), parts));
  assert.match(body.toString(), /<b@example\.com>: no\?\?\?\?--x\?\?Bcc: all\r\n/);
  assert.match(body.toString(), /Diagnostic-Code: smtp; 550 \?\[31m\?\?\?Action: delivered\r\n/);
  const again = await bodyOf(store, await notifications(cause("failure", envelope({ id: "4FA0B1D" })), parts));
  const boundary = (each: Buffer) => /boundary="\w+\.(.*)"/.exec(each.toString())?.[1];
  assert.notEqual(boundary(body), boundary(again.body));
});

test("without SMTPUTF8 it is 7-bit where the original is", async () => {
  const { parts, store } = await world({ smtputf8_enable: "no" });
  const { body } = await bodyOf(
    store,
    await notifications(cause("failure", envelope(), { ...refused, reason: "pas trouvé" }), parts),
  );
  assert.match(body.toString(), /^Content-Transfer-Encoding: 7bit\r$/m);
  assert.match(body.toString(), /charset=us-ascii/);
  assert.match(body.toString(), /pas trouv\?/);
});

test("a late message's sender learns for how long it is tried", async () => {
  const { parts, store } = await world();
  const { body } = await bodyOf(
    store,
    await notifications(cause("delay", envelope(), { ...refused, status: "deferred", dsn: "4.2.0" }), parts),
  );
  assert.match(body.toString(), /more than 4 hour\(s\)\.\r\nIt will be retried until it is 5 day\(s\) old\./);
  assert.match(body.toString(), /^Action: delayed\r\nStatus: 4\.2\.0\r$/m);
  assert.match(body.toString(), /^Will-Retry-Until: Tue, {2}6 Jan 2026 00:00:00 \+0000 \(UTC\)\r$/m);
});

test("a sender that stands for others is told where they are", async () => {
  const { parts } = await world();
  const recipients = async () => [{ address: "admin@elsewhere.example" }, { address: "ops@elsewhere.example" }];
  const [notification] = await notifications(cause("failure", envelope({ sender: "root@example.test" })), {
    ...parts,
    recipients,
  });
  assert.deepEqual(
    notification?.message.envelope.recipients.map(({ address, original }) => [address, original]),
    [
      ["admin@elsewhere.example", "root@example.test"],
      ["ops@elsewhere.example", "root@example.test"],
    ],
  );
});

test("a table that cannot tell, or an original that cannot be read, is not taken for an answer", async () => {
  const { parts } = await world();
  const unable = () => {
    throw new TableError("retry", "down");
  };
  await assert.rejects(notifications(cause("failure", envelope()), { ...parts, recipients: unable }), TableError);
  const body = { chunk: () => Promise.reject(new QueueError("corrupt", "bad")) };
  await assert.rejects(notifications({ ...cause("failure", envelope()), body }, parts), QueueError);
});

test("a sender with line ends in it adds no header to the notification", async () => {
  const { parts } = await world();
  const sender = '"a\r\nBcc: victim@example.net\r\n\r\nboo"@example.org';
  const [notification] = await notifications(
    { kind: "failure", envelope: envelope({ sender }), results: [refused], body: whole },
    parts,
  );
  assert.ok(notification);
  const written = (notification.message.body as Buffer).toString();
  assert.ok(!/^Bcc:/m.test(written), written);
  assert.ok(!/[^\r]\n|\r[^\n]/.test(written), "line ends are whole");
});
