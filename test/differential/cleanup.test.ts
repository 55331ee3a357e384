/**
 * The same messages through Debian's Postfix and through our cleanup, results
 * compared byte for byte, queue ids and moments aside. Needs root and the package postfix.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { after, before, test } from "node:test";
import { Cleanup, type CleanupConf, type CleanupInput, type CleanupResult } from "../../src/cleanup/cleanup.ts";
import { cleanupParams } from "../../src/cleanup/params.ts";
import { defaults } from "../../src/conf/defaults.ts";
import { globalParams } from "../../src/conf/params.ts";
import { memoryLog } from "../../src/log/log.ts";
import { extractRecipients } from "../../src/rfc5322/extract-recipients.ts";
import { testRouter } from "../../src/routing/test-router.ts";
import { realClock } from "../../src/runtime/clock.ts";
import { until } from "../lab/until.ts";
import { missing } from "../peers/place.ts";
import { type RunningPostfix, startPostfix } from "../peers/postfix.ts";
import { type Arrived, MailTaker, sendMail, withoutMoments } from "./mail-taker.ts";

const why = missing("postfix", "sendmail", "postalias", "postmap");

/** A client on this host, whose headers are completed, and one that is not. */
const near = "127.0.0.1";
const far = "127.0.0.9";

const aliases = {
  root: "admin@x.example, second",
  second: "last@x.example",
  list: "one@x.example, two@x.example",
  "owner-list": "boss@x.example",
  plus: "plus@x.example",
  included: ":include:@DIRECTORY@/etc/members",
};
const virtual = {
  "info@v.example": "root, other@x.example",
  "@w.example": "@x.example",
  "self@x.example": "self@x.example, copy@x.example",
  "ext@x.example": "target@x.example",
};
const members = "# members\nm1@x.example, M Two <m2@x.example>\n\nroot\n";

let postfix: RunningPostfix | undefined;
const sink = new MailTaker();
const received = sink.arrived;

before(async () => {
  if (why) return;
  const port = await sink.listen();
  postfix = await startPostfix({
    mainCf: {
      ...{ myhostname: "mx.here.example", mydomain: "here.example", myorigin: "here.example" },
      ...{ mydestination: "here.example, mx.here.example", mynetworks: "127.0.0.0/8", append_dot_mydomain: "no" },
      ...{
        relayhost: `[127.0.0.1]:${port}`,
        smtpd_peername_lookup: "no",
        recipient_delimiter: "+",
        disable_dns_lookups: "yes",
      },
      alias_maps: "hash:@DIRECTORY@/etc/aliases",
      virtual_alias_maps: "hash:@DIRECTORY@/etc/virtual",
      virtual_alias_domains: "v.example",
      smtputf8_enable: "yes",
      smtp_destination_concurrency_limit: "1",
    },
    files: {
      "etc/aliases": Object.entries(aliases)
        .map(([name, value]) => `${name}: ${value}\n`)
        .join(""),
      "etc/virtual": Object.entries(virtual)
        .map(([name, value]) => `${name} ${value}\n`)
        .join(""),
      "etc/members": members,
    },
    prepare(directory) {
      for (const [program, file] of [
        ["postalias", "aliases"],
        ["postmap", "virtual"],
      ] as const) {
        const { status, stderr } = spawnSync(program, ["-c", `${directory}/etc`, `hash:${directory}/etc/${file}`]);
        assert.equal(status, 0, String(stderr));
      }
    },
  });
});

after(async () => {
  await postfix?.stop();
  sink.close();
});

interface Case {
  readonly client?: string;
  readonly sender?: string;
  readonly to?: readonly string[];
  readonly text: string;
}

/** Sends through Postfix's smtpd; its reply to the end of the text. */
async function send(
  port: number,
  { client = far, sender = "me@client.example", to = ["you@x.example"], text }: Case,
): Promise<string> {
  const [answer = ""] = await sendMail(port, [{ client, sender, to, text: Buffer.from(text).toString("latin1") }]);
  return answer;
}

function ourInput(one: Case, service: "smtpd" | "pickup"): CleanupInput {
  const { client = far, sender = "me@client.example", to = ["you@x.example"] } = one;
  return {
    id: "ID",
    arrival_ms: Date.now(),
    origin: { service, client: `unknown[${client}]`, helo: "client.example", protocol: "ESMTP", saslUsername: "" },
    received:
      service === "pickup"
        ? { kind: "local", uid: 0, time_ms: Date.now() }
        : {
            ...{ kind: "smtp", helo: "client.example", name: "unknown", address: client, protocol: "ESMTP" },
            ...{ tls: undefined, authenticated: false },
          },
    sender,
    recipients: to.map((address) => ({ address, notify: undefined, orcpt: undefined })),
    local: service === "pickup" || client === near,
    ...{ envid: undefined, ret: undefined },
    smtputf8: service === "smtpd" && /[^\x00-\x7f]/.test(sender + to.join("")),
  };
}

async function ours(one: Case, service: "smtpd" | "pickup" = "smtpd", fullName = ""): Promise<CleanupResult> {
  const written: Record<string, string> = { myhostname: "mx.here.example", smtputf8_enable: "yes" };
  const conf = {
    ...defaults(globalParams, written),
    ...defaults(cleanupParams),
    empty_address_recipient: "MAILER-DAEMON",
  };
  const router = testRouter({
    conf: {
      ...{ mydestination: "here.example, mx.here.example", alias_maps: "hash:a", virtual_alias_maps: "hash:v" },
      ...{ virtual_alias_domains: "v.example", recipient_delimiter: "+" },
    },
    tables: { "hash:a": { ...aliases, included: ":include:/members" }, "hash:v": virtual },
    includes: { "/members": members },
  });
  const store = {
    nextId: () => "NEW",
    beginBody(): never {
      throw new Error("these messages are small");
    },
  };
  const cleanup = new Cleanup({ conf: conf as CleanupConf, router, store, clock: realClock, log: memoryLog() });
  const message = cleanup.begin({ ...ourInput(one, service), fullName });
  await message.data(Buffer.from(one.text));
  return message.finish();
}

const taken = (result: CleanupResult): Arrived[] => {
  assert.ok(result.kind === "messages");
  return result.messages.map(({ envelope, body }) => ({
    sender: envelope.sender,
    recipients: envelope.recipients.map(({ address }) => address),
    text: body.toString(),
  }));
};

/** Postfix may send a copy more than we do, some time after the others: it must not be taken for the next test's. */
async function queueEmpty(running: RunningPostfix): Promise<void> {
  await until("Postfix has nothing left to send", () => running.run("postqueue", "-j").stdout === "", {
    about: () => running.log().slice(-2000),
  });
}

/** Waits until as many recipients have got something as we say there are. */
async function delivered(expected: readonly Arrived[]): Promise<Arrived[]> {
  const count = (all: readonly Arrived[]) => all.reduce((sum, { recipients }) => sum + recipients.length, 0);
  for (let left = 300; left > 0 && count(received) < count(expected); left--) {
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assert.ok(
    count(received) >= count(expected),
    `Postfix delivered too little:\n${JSON.stringify(received)}\n${postfix?.log()}`,
  );
  return received.splice(0);
}

/** Queue ids and moments of both systems under one name. */
function masked(text: string): string {
  return withoutMoments(text);
}

async function sameText(one: Case): Promise<void> {
  assert.ok(postfix);
  const expected = taken(await ours(one));
  assert.match(await send(postfix.port, one), /^250 /);
  const [theirs] = await delivered(expected);
  assert.equal(masked(expected[0]?.text ?? ""), masked(theirs?.text ?? ""));
}

const complete = "Message-ID: <1@x>\r\nDate: Mon, 5 Jan 2026 09:00:00 +0000\r\nFrom: a@b.example\r\n";

const texts: Record<string, Case> = {
  "a complete message": { text: `${complete}Subject: x\r\n\r\nbody\r\n.dot\r\n` },
  "no header at all": { text: "\r\nbody\r\n" },
  "nothing at all": { text: "" },
  "header only": { text: "Subject: x\r\n" },
  "header only with its empty line": { text: "Subject: x\r\n\r\n" },
  "a header without an empty line behind it": { text: "Subject: x\r\nthis is text\r\nTo: body\r\n" },
  "white space at the very beginning": { text: " not folded\r\nSubject: x\r\n\r\n" },
  "a mailbox line first": { text: "From me Mon Jan 5\r\nSubject: x\r\n\r\nbody\r\n" },
  "several mailbox lines first": { text: "From me Mon Jan 5\r\n>>From you\r\nSubject: x\r\n\r\nbody\r\n" },
  "a mailbox line in the middle": { text: "Subject: x\r\nFrom me Mon Jan 5\r\nTo: y\r\n\r\nbody\r\n" },
  "fields that are dropped": {
    text: `Bcc: a@b\r\n\tfolded\r\n${complete}Return-Path: <x>\r\ncontent-length: 3\r\nResent-Bcc: y\r\nX: 1\r\n\r\nBcc: z\r\n`,
  },
  "space before the colon": { text: "Subject : x\r\nX-Two \t :  y\r\nTo: z@x\r\n\r\n" },
  "odd names": { text: "!#$%&'*+: x\r\nA-: y\r\n-: z\r\n1: 2\r\n\r\n" },
  "empty values": { text: "Subject:\r\nX:\r\n \r\nTo: a\r\n\r\nbody\r\n" },
  "a line of white space only": { text: "Subject: x\r\n \r\nTo: a\r\n\r\nbody\r\n" },
  "octets above 127": { text: "Subject: gr\u00fc\u00dfe\r\nX: \u00e9\r\n\r\ngr\u00fc\u00dfe\r\n" },
  "a name that is not ASCII": { text: "Subject: x\r\nN\u00e4me: y\r\n\r\nbody\r\n" },
  "several recipients": { to: ["a@x.example", "b@x.example"], text: complete },
  "a quoted recipient": { to: ['"two words"@x.example'], text: complete },
  "missing fields of a local client": { client: near, text: "Subject: x\r\n\r\nbody\r\n" },
  "missing fields, null sender": { client: near, sender: "", text: "Subject: x\r\n\r\nbody\r\n" },
  "missing fields, bare sender": { client: near, sender: "root", text: "\r\nbody\r\n" },
  "missing fields, quoted sender": { client: near, sender: '"two words"@x.example', text: "\r\nbody\r\n" },
  "missing fields, no empty line": { client: near, text: "Subject: x\r\ntext\r\n" },
  "some missing fields": { client: near, text: "Date: Mon, 5 Jan 2026 09:00:00 +0000\r\nSubject: x\r\n\r\n" },
  "a resent message": { client: near, text: `${complete}Resent-To: c@d.example\r\n\r\nbody\r\n` },
  "a resent message with its fields": {
    client: near,
    text: `${complete}Resent-From: c@d.example\r\nResent-Message-ID: <2@x>\r\n\r\n`,
  },
  "addresses that are complete": {
    client: near,
    text: `${complete}To: A B <a@b.example>,\r\n  c@d.example (C)\r\n\r\n`,
  },
  "bare addresses": {
    client: near,
    text: `${complete}To: root, Bob <bob>, c@d.example (C), "E F" <e>\r\nCc: g\r\n\r\n`,
  },
  "bare addresses with comments": {
    client: near,
    text: "From: root (Cron Daemon)\r\nTo: a (one) , b(two)\r\n\r\n",
  },
  groups: {
    client: near,
    text: `${complete}To: friends: a, b@c.example;, d\r\nCc: undisclosed-recipients:;\r\n\r\n`,
  },
  "routes and operators": {
    client: near,
    text: `${complete}To: <@r.example:a@b.example>, site!user, a%b.example, c@[192.0.2.1]\r\n\r\n`,
  },
  "missing commas": { client: near, text: `${complete}To: a b@c.example <d> e\r\n\r\n` },
  "quoted and dotted": {
    client: near,
    text: `${complete}To: "two words", first.last, "q@r", x@y.example.\r\n\r\n`,
  },
  "other fields with addresses": {
    client: near,
    text: `${complete}Reply-To: r\r\nSender: s\r\nErrors-To: e\r\nX-To: untouched\r\n\r\n`,
  },
  "bare addresses of a client elsewhere": { text: "From: root\r\nTo: bob\r\n\r\n" },
};

for (const [name, one] of Object.entries(texts)) {
  test(`the same text comes out: ${name}`, { skip: why ?? false }, () => sameText(one));
}

const expansions: Record<string, readonly string[]> = {
  "an alias with another behind it": ["root"],
  "an alias in any case and its domain": ["ROOT@here.example", "Root@mx.here.example"],
  "an alias with an extension": ["plus+ext@here.example"],
  "a list with an owner": ["list@here.example"],
  "a list with an owner, and others": ["list@here.example", "else@x.example"],
  "an included file": ["included@here.example"],
  "virtual aliases with local ones behind them": ["info@v.example"],
  "a virtual alias for a whole domain": ["any+ext@w.example"],
  "a virtual alias that stands for itself, too": ["self@x.example"],
  "a virtual alias with an extension": ["ext+tag@x.example"],
  "a route through this host": ["user%x.example@here.example", "x.example!bang@here.example"],
  "the same recipient twice": ["same@x.example", "SAME@x.example"],
};

for (const [name, to] of Object.entries(expansions)) {
  test(`the same recipients get mail from the same senders: ${name}`, { skip: why ?? false }, async () => {
    assert.ok(postfix);
    const one = { to, client: near, text: complete };
    const expected = taken(await ours(one));
    await send(postfix.port, one);
    await queueEmpty(postfix);
    const theirs = await delivered(expected);
    const pairs = (all: readonly Arrived[]) =>
      [
        ...new Set(
          all.flatMap(({ sender, recipients }) => recipients.map((each) => `${sender} ${each}`.toLowerCase())),
        ),
      ].sort();
    assert.deepEqual(pairs(expected), pairs(theirs));
  });
}

test("the same loops are refused, in the same words", { skip: why ?? false }, async () => {
  assert.ok(postfix);
  for (const count of [48, 49]) {
    const one = { text: `${"Received: by x; y\r\n".repeat(count)}${complete}\r\n` };
    const result = await ours(one);
    const reply = await send(postfix.port, one);
    if (result.kind === "reject") {
      assert.equal(reply, `${result.reply.code} ${result.reply.enhanced} ${result.reply.text}`);
    } else {
      assert.match(reply, /^250 /);
      await delivered(taken(result));
    }
  }
});

const programs: Record<string, { readonly args?: readonly string[]; readonly text: string }> = {
  "cron's": {
    args: ["-FCronDaemon", "-odi", "-oem", "you@x.example"],
    text: "From: root (Cron Daemon)\nTo: root\nSubject: x\n\nout\n",
  },
  "with a long full name": {
    args: ["-FNames And ".repeat(1) + "Names ".repeat(14).trim(), "you@x.example"],
    text: "\n",
  },
  "with specials in the full name": { args: ['-FJ. "Q" (x) Doe\\', "you@x.example"], text: "\n" },
  "with blanks in the full name": { args: ["-F  Mr   Doe  ", "you@x.example"], text: "\n" },
  "a bare text": { args: ["you@x.example"], text: "no header\n" },
  "with mailbox lines": { args: ["you@x.example"], text: "From me Mon\n>From you\nSubject: x\n\nbody\n" },
  "with CRLF line ends": { args: ["you@x.example"], text: "Subject: x\r\n\r\nbody\r\n" },
  "without a last line end": { args: ["you@x.example"], text: "Subject: x\n\nbody" },
  "beyond ASCII": { args: ["you@x.example"], text: "Subject: gr\u00fc\u00dfe\n\nbody\n" },
  "recipients from the header": {
    args: ["-t"],
    text: "To: A <a@x.example>,\n\tb@x.example (B)\nCc: friends: c@x.example;\nBcc: d@x.example\n\nbody\n",
  },
  "recipients of a resent message": {
    args: ["-t"],
    text: "To: a@x.example\nResent-To: b@x.example\nBcc: c@x.example\n\nbody\n",
  },
};

for (const [name, { args = [], text }] of Object.entries(programs)) {
  test(`the same comes of a program's mail: ${name}`, { skip: why ?? false }, async () => {
    assert.ok(postfix);
    const extracted = extractRecipients(Buffer.from(text));
    const named = args.includes("-t") ? extracted.kind === "recipients" && extracted.addresses : ["you@x.example"];
    const fullName = args.find((each) => each.startsWith("-F"))?.slice(2) ?? "Full Name";
    const one = { sender: "me@client.example", to: named || [], text };
    const [expected] = taken(await ours(one, "pickup", fullName));
    const environment = { ...process.env, MAIL_CONFIG: `${postfix.directory}/etc` };
    const given = ["-f", one.sender, ...(args.some((each) => each.startsWith("-F")) ? [] : ["-F", fullName]), ...args];
    const { status, stderr } = spawnSync("sendmail", ["-C", `${postfix.directory}/etc`, ...given], {
      input: text,
      env: environment,
    });
    assert.equal(status, 0, String(stderr));
    const [theirs] = await delivered([expected as Arrived]);
    assert.deepEqual([...(expected?.recipients ?? [])].sort(), [...(theirs?.recipients ?? [])].sort());
    assert.equal(masked(expected?.text ?? ""), masked(theirs?.text ?? ""));
  });
}
