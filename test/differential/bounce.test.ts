/**
 * The same failures through Debian's Postfix and ours: the notifications,
 * compared word for word, ids, dates and boundaries aside. What differs on
 * purpose is named where it is masked. Needs root and the package postfix.
 */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { after, before, test } from "node:test";
import { notifications } from "../../src/bounce/notifications.ts";
import { type BounceConf, bounceParams } from "../../src/bounce/params.ts";
import { defaults } from "../../src/conf/defaults.ts";
import { globalParams } from "../../src/conf/params.ts";
import { memoryLog } from "../../src/log/log.ts";
import type { RecipientResult } from "../../src/queue/delivery.ts";
import { openMemoryStore } from "../../src/queue/memory-store.ts";
import type { Envelope, NewEnvelope, Notify } from "../../src/queue/message.ts";
import { realClock } from "../../src/runtime/clock.ts";
import { realRandom } from "../../src/runtime/random.ts";
import { type Oracle, openSink, replyTo, type Sink, startPostfix, type Taken } from "./bounce-oracle.ts";

const skip =
  process.getuid?.() !== 0 ? "needs root" : existsSync("/usr/sbin/postfix") ? false : "needs the package postfix";

const [sinkPort, postfixPort] = [23501, 23502];
const settings = {
  myhostname: "mail.example.test",
  mydomain: "example.test",
  myorigin: "example.test",
  smtputf8_enable: "yes",
  notify_classes: "bounce, 2bounce, delay",
  bounce_notice_recipient: "copies@postmaster.test",
  "2bounce_notice_recipient": "twice@postmaster.test",
  delay_notice_recipient: "delays@postmaster.test",
  bounce_size_limit: "5000",
};
const aliases = { "alias@virtual.test": "nouser@sink.test", "moved@virtual.test": "x@err.test" };

const conf: BounceConf = {
  ...defaults({ ...bounceParams, ...globalParams }, settings),
  delay_warning_time: 3600,
  maximal_queue_lifetime: 5 * 86400,
};

let sink: Sink;
let postfix: Oracle;

before(async () => {
  if (skip) return;
  sink = await openSink(sinkPort);
  postfix = startPostfix(postfixPort, sinkPort, {
    ...settings,
    mydestination: "example.test",
    virtual_alias_domains: "virtual.test",
    virtual_alias_maps: `inline:{ ${Object.entries(aliases).map(([from, to]) => `{ ${from} = ${to} }`)} }`,
    transport_maps: "inline:{ {err.test = error:5.1.6 has moved away} }",
    delay_warning_time: "1s",
    minimal_backoff_time: "1s",
    queue_run_delay: "1s",
  });
});

after(() => {
  if (skip) return;
  postfix.stop();
  sink.server.close();
});

interface Case {
  readonly sender: string;
  readonly recipients: readonly { readonly to: string; readonly notify?: Notify; readonly orcpt?: string }[];
  readonly envid?: string;
  readonly ret?: "FULL" | "HDRS";
  readonly smtputf8?: boolean;
  readonly kind?: "failure" | "delay" | "success";
  readonly text?: string;
  /** How many notifications Postfix is waited for. */
  readonly expected: number;
}

const header =
  "From: me@origin.test\r\nTo: you@sink.test\r\nSubject: hello\r\nMessage-Id: <a@b>\r\nDate: Thu, 1 Jan 2026 00:00:00 +0000\r\n";
const original = `${header}\r\nA body\r\n.with a dot\r\n`;

/** What Postfix sends about this message. */
async function theirs(each: Case): Promise<Taken[]> {
  const mark = sink.taken.length;
  const parameters = `${each.envid ? ` ENVID=${each.envid}` : ""}${each.ret ? ` RET=${each.ret}` : ""}${each.smtputf8 ? " SMTPUTF8" : ""}`;
  const lines = each.recipients.map(({ to, notify, orcpt }) => {
    return `RCPT TO:<${to}>${notify ? ` NOTIFY=${notify.join()}` : ""}${orcpt ? ` ORCPT=${orcpt}` : ""}`;
  });
  await postfix.submit([`MAIL FROM:<${each.sender}>${parameters}`, ...lines], each.text ?? original);
  const notifications = () => sink.taken.slice(mark).filter(({ body }) => body.includes("Auto-Submitted:"));
  for (let turn = 0; turn < 150 && notifications().length < each.expected; turn++) {
    if (each.kind === "delay" && turn % 15 === 14) postfix.flush();
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return notifications();
}

/** What the SMTP client would say of this recipient. */
function resultOf(index: number, address: string): RecipientResult {
  const host = { remoteHost: "127.0.0.1" };
  if (address.endsWith("@err.test")) {
    return { index, status: "bounced", dsn: "5.1.6", reason: "has moved away", remoteHost: "", remoteReply: undefined };
  }
  const answer = replyTo(address)?.replaceAll("\r\n", " ");
  if (!answer) {
    const reply = "250 2.0.0 Ok: kept";
    return { index, status: "sent", dsn: "2.0.0", reason: reply, ...host, remoteReply: reply, reports: "relayed" };
  }
  const dsn = /\d\.\d\.\d/.exec(answer)?.[0] ?? "";
  const reason = `host 127.0.0.1[127.0.0.1] said: ${answer} (in reply to RCPT TO command)`;
  return { index, status: dsn.startsWith("5") ? "bounced" : "deferred", dsn, reason, ...host, remoteReply: answer };
}

/** What we make of the same message. */
async function ours(each: Case): Promise<Taken[]> {
  const log = memoryLog();
  const store = await openMemoryStore({ owner: "test", clock: realClock, log });
  const bytes = Buffer.from(`Received: from client.test (unknown [127.0.0.1])\r\n${each.text ?? original}`);
  const newEnvelope: NewEnvelope = {
    sender: each.sender,
    recipients: each.recipients.map(({ to, notify, orcpt }) => {
      const address = aliases[to as keyof typeof aliases] ?? to;
      return { address, original: to, notify, orcpt, status: "pending", reason: undefined, dsn: undefined };
    }),
    size_bytes: bytes.length,
    eightBit: false,
    smtputf8: each.smtputf8 ?? false,
    envid: each.envid,
    ret: each.ret,
    origin: { service: "smtpd", client: "", helo: "", protocol: "", saslUsername: "" },
    headerEnd_bytes: bytes.indexOf("\r\n\r\n") + 2,
  };
  const envelope: Envelope = {
    ...newEnvelope,
    id: store.nextId(),
    arrival_ms: Date.now(),
    held: false,
    expired: false,
    warned: false,
  };
  const parts = {
    conf: { ...conf, delay_warning_time: 1 },
    runtime: { clock: realClock, random: realRandom },
    log: log.as("bounce"),
    store,
    recipients: (address: string) => [{ address }],
    addressField: (name: string, value: string) => [`${name}: ${value}`],
  };
  const body = { chunk: async (index: number) => (index === 0 ? bytes : undefined) };
  const results = envelope.recipients.map(({ address }, index) => resultOf(index, address));
  const found: Taken[] = [];
  for (const kind of ["failure", "delay", "success"] as const) {
    const status = { failure: "bounced", delay: "deferred", success: "sent" }[kind];
    const due = results.filter((result) => {
      const asked = envelope.recipients[result.index]?.notify?.includes("SUCCESS");
      return result.status === status && (kind !== "success" || asked);
    });
    if (due.length === 0) continue;
    for (const { message } of await notifications({ kind, envelope, results: due, body }, parts)) {
      assert.ok(Buffer.isBuffer(message.body));
      assert.equal(message.body.length, message.envelope.size_bytes);
      const to = message.envelope.recipients.map(({ address }) => address);
      found.push({ from: message.envelope.sender, to, body: message.body.toString() });
    }
  }
  return found;
}

/** Without what is another time or another name for the same thing; recipients sorted, since deliveries end in any order. */
function masked({ from, to, body }: Taken): { from: string; to: readonly string[]; lines: string[] } {
  const boundary = /boundary="(.*)"/.exec(body)?.[1] ?? "?";
  const text = body
    .replaceAll(boundary, "BOUNDARY")
    .replace(/^Received: from client[\s\S]*?\r\n(?=\S)/m, "Received: ORIGINAL\r\n")
    .replace(/\w{3}, [ \d]\d \w{3} \d{4} \d\d:\d\d:\d\d \+0000 \(UTC\)/g, "DATE")
    .replace(/^\tid \w+;/m, "\tid ID;")
    .replace(/^X-Postfix-Queue-ID: \w+/m, "X-Postfix-Queue-ID: ID")
    .replace(/^Message-Id: <\d{14}\.\w+@/m, "Message-Id: <STAMP.ID@")
    // The address and port of the session are not part of what a transport reports.
    .replace(/delivery via 127\.0\.0\.1\[127\.0\.0\.1\]:\d+:/, "delivery via 127.0.0.1:")
    // Postfix 3.7 quotes the letters of a UTF-8 sender (mended in 3.8), and gives an Original-Recipient beyond ASCII the type rfc822.
    .replace(/^(X-Postfix-Sender: ).*[^\x00-\x7f\r\n].*/m, "$1UTF8")
    .replace(/^(Return-Path: ).*[^\x00-\x7f\r\n].*/m, "$1UTF8")
    .replace(/^Original-Recipient: utf-8;/gm, "Original-Recipient: rfc822;");
  const parts = text.split("--BOUNDARY");
  const sorted = parts.map((part) =>
    /Content-Description: (Notification|Delivery)/.test(part) ? sortRecipients(part) : part,
  );
  return { from, to, lines: sorted.join("--BOUNDARY").split("\r\n") };
}

function sortRecipients(part: string): string {
  const blocks = part.split("\r\n\r\n");
  const isRecipient = (block: string) => /^(\r\n)?<|^Final-Recipient/.test(block);
  const recipients = blocks.filter(isRecipient);
  const gap = recipients[0]?.startsWith("\r\n") ? "\r\n" : "";
  const sorted = recipients.map((block) => block.trim()).sort();
  return `${[...blocks.filter((block) => !isRecipient(block)), gap + (sorted[0] ?? ""), ...sorted.slice(1)].join("\r\n\r\n")}\r\n`;
}

const cases: Record<string, Case> = {
  "one unknown recipient": { sender: "me@origin.test", recipients: [{ to: "nouser@sink.test" }], expected: 2 },
  "several, with long and many-lined answers, aliases, and an error transport": {
    sender: "me@origin.test",
    recipients: [
      "nouser@sink.test",
      "fine@sink.test",
      "long@sink.test",
      "multi@sink.test",
      "alias@virtual.test",
      "moved@virtual.test",
    ].map((to) => ({ to })),
    expected: 2,
  },
  "ENVID, ORCPT, RET=HDRS, and NOTIFY of each kind": {
    sender: '"me too"@origin.test',
    envid: "abc+3Ddef",
    ret: "HDRS",
    recipients: [
      { to: "nouser@sink.test", notify: ["FAILURE"], orcpt: "rfc822;orig+2Buser@x.test" },
      { to: "fine@sink.test", notify: ["SUCCESS"] },
      { to: "no2@sink.test", notify: ["NEVER"] },
    ],
    expected: 3,
  },
  "a message larger than bounce_size_limit": {
    sender: "me@origin.test",
    recipients: [{ to: "nouser@sink.test" }],
    text: `${header}\r\n${"0123456789\r\n".repeat(800)}`,
    expected: 2,
  },
  "addresses in UTF-8": {
    sender: "mé@origin.test",
    smtputf8: true,
    recipients: [{ to: "noé@sink.test" }],
    expected: 2,
  },
  "the null sender": { sender: "", recipients: [{ to: "nouser@sink.test" }], expected: 1 },
  "a message that is late": {
    sender: "me@origin.test",
    recipients: [{ to: "later@sink.test" }],
    kind: "delay",
    expected: 2,
  },
};

for (const [name, each] of Object.entries(cases)) {
  test(`the notifications are Postfix's: ${name}`, { skip }, async () => {
    const [expected, actual] = [await theirs(each), await ours(each)];
    const order = (a: Taken, b: Taken) => (a.to.join() + a.body.length < b.to.join() + b.body.length ? -1 : 1);
    const bySubject = ({ body }: Taken) => /^Subject: .*/m.exec(body)?.[0] ?? "";
    const sorted = (all: Taken[]) =>
      all.sort((a, b) => bySubject(a).localeCompare(bySubject(b)) || order(a, b)).map(masked);
    assert.deepEqual(sorted(actual), sorted(expected));
    assert.equal(expected.length, each.expected);
  });
}
