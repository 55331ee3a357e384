import assert from "node:assert/strict";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import fc from "fast-check";
import { defaults } from "../conf/defaults.ts";
import { globalParams } from "../conf/params.ts";
import { memoryLog } from "../log/log.ts";
import { chunkSize_bytes } from "../queue/message.ts";
import { type BodyWriter, type NewMessage, QueueError } from "../queue/store.ts";
import { type TestRouterOptions, testRouter } from "../routing/test-router.ts";
import { ManualClock } from "../runtime/manual-clock.ts";
import { TableError } from "../table/table.ts";
import { Cleanup, type CleanupConf, type CleanupInput, type CleanupResult } from "./cleanup.ts";
import { cleanupParams } from "./params.ts";
import type { Received } from "./received.ts";

class MemoryWriter implements BodyWriter {
  readonly chunks: Buffer[] = [];
  abandoned = false;
  readonly #fails: QueueError | undefined;

  constructor(fails?: QueueError) {
    this.#fails = fails;
  }

  get size_bytes(): number {
    return this.chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  }

  async append(chunk: Buffer): Promise<void> {
    if (this.#fails) throw this.#fails;
    this.chunks.push(chunk);
  }

  abandon(): void {
    this.abandoned = true;
  }
}

interface World extends TestRouterOptions {
  readonly cleanup?: Readonly<Record<string, string>>;
  readonly storeFails?: QueueError;
}

function world(options: World = {}) {
  const written: Record<string, string> = { myhostname: "mx.here.example", smtputf8_enable: "yes", ...options.cleanup };
  const conf = {
    ...defaults(globalParams, written),
    ...defaults(cleanupParams, written),
    empty_address_recipient: "MAILER-DAEMON",
  };
  const log = memoryLog();
  const writers: MemoryWriter[] = [];
  let ids = 0;
  const store = {
    nextId: () => `NEW${++ids}`,
    beginBody: () => {
      const writer = new MemoryWriter(options.storeFails);
      writers.push(writer);
      return writer;
    },
  };
  const clock = new ManualClock();
  const cleanup = new Cleanup({ conf: conf as CleanupConf, router: testRouter(options), store, clock, log });
  return { cleanup, log, writers };
}

type Given = Partial<Omit<CleanupInput, "recipients">> & {
  readonly to?: readonly string[];
  readonly service?: "smtpd" | "pickup" | "bounce";
};

function input({ to = ["you@there.example"], service = "smtpd", ...given }: Given = {}): CleanupInput {
  const smtp: Received = {
    ...{ kind: "smtp", helo: "client.example", name: "client.example", address: "192.0.2.9" },
    ...{ protocol: "ESMTP", tls: undefined, authenticated: false },
  };
  return {
    id: "4ABC",
    arrival_ms: Date.UTC(2026, 0, 5, 9, 0, 0),
    origin: {
      service,
      client: "client.example[192.0.2.9]",
      helo: "client.example",
      protocol: "ESMTP",
      saslUsername: "",
    },
    received: service === "pickup" ? { kind: "local", uid: 1000, time_ms: Date.UTC(2026, 0, 5, 9, 0, 0) } : smtp,
    sender: "me@client.example",
    recipients: to.map((address) => ({ address, notify: undefined, orcpt: undefined })),
    ...{ local: service !== "smtpd", smtputf8: false, envid: undefined, ret: undefined },
    ...given,
  };
}

async function through(options: World, given: Given, ...pieces: (string | Buffer)[]): Promise<CleanupResult> {
  const message = world(options).cleanup.begin(input(given));
  for (const piece of pieces) await message.data(Buffer.from(piece));
  return message.finish();
}

function only(result: CleanupResult): NewMessage {
  assert.equal(result.kind, "messages");
  assert.ok(result.kind === "messages");
  return result.messages[0];
}

function bytesOf({ body }: NewMessage): Buffer {
  return Buffer.isBuffer(body) ? body : Buffer.concat((body as MemoryWriter).chunks);
}

/** What a message becomes, without our Received:. */
async function text(given: Given, ...pieces: (string | Buffer)[]): Promise<string> {
  const body = bytesOf(only(await through({}, given, ...pieces))).toString();
  const [received] = /^Received: [^\r]*\r\n(?:[\t ][^\r]*\r\n)*/.exec(body) ?? [];
  assert.ok(received, body);
  return body.slice(received.length);
}

const local = { local: true } as const;
const added =
  "Message-Id: <20260105090000.4ABC@mx.here.example>\r\nDate: Mon,  5 Jan 2026 09:00:00 +0000 (UTC)\r\nFrom: me@client.example\r\n";

test("a client's message gets a Received: and is otherwise what it was, byte for byte", async () => {
  const message = "From: root\r\nX-Odd :  kept?\r\n\r\nbody\r\n..\r\n";
  const body = bytesOf(only(await through({}, {}, message))).toString();
  assert.equal(
    body,
    "Received: from client.example (client.example [192.0.2.9])\r\n" +
      "\tby mx.here.example (Postfix) with ESMTP id 4ABC\r\n" +
      "\tfor <you@there.example>; Mon,  5 Jan 2026 09:00:00 +0000 (UTC)\r\n" +
      message.replace("X-Odd :", "X-Odd:"),
  );
});

test("a small message is ready at once when no table has to be waited for", () => {
  const message = world().cleanup.begin(input());
  message.data(Buffer.from("Subject: x\r\n\r\nbody\r\n"));
  assert.ok(!(message.finish() instanceof Promise));
});

test("several recipients do not learn of each other, and a login is seen in the protocol only", async () => {
  const received = {
    ...input().received,
    authenticated: true,
    tls: { protocol: "TLSv1.3", cipher: "X", usedBits: 256, allBits: 256 },
  };
  const given = { to: ["a@x.example", "b@x.example"], received } as Given;
  const body = bytesOf(only(await through({}, given, "\r\n"))).toString();
  assert.match(body, /^Received: from .*\r\n\t\(using TLSv1\.3 with cipher X \(256\/256 bits\)\)\r\n/);
  assert.match(body, /\tby mx\.here\.example \(Postfix\) with ESMTPSA id 4ABC;\r\n\tMon, /);
});

test("mail of programs says the user's number, and nothing of the host it was sent from", async () => {
  const body = bytesOf(only(await through({}, { service: "pickup" }, "Subject: x\n\nbody\n"))).toString();
  assert.match(body, /^Received: by mx\.here\.example \(Postfix, from userid 1000\)\r\n\tid 4ABC; Mon, {2}5 Jan/);
});

test("what a local client's header lacks is added behind it", async () => {
  assert.equal(await text(local, "Subject: x\r\n\r\nbody\r\n"), `Subject: x\r\n${added}\r\nbody\r\n`);
  const whole = "Message-ID: <1@x>\r\nDate: today\r\nFrom: a@b\r\n\r\n";
  assert.equal(await text(local, whole), whole);
  assert.equal(await text({}, "Subject: x\r\n\r\n"), "Subject: x\r\n\r\n");
});

test("resent messages get the Resent- fields, and only those", async () => {
  const given = "Message-ID: <1@x>\r\nDate: today\r\nFrom: a@b\r\nResent-To: c@d\r\n\r\n";
  assert.equal(await text(local, given), given.replace(/\r\n\r\n$/, `\r\n${added.replace(/^(?=.)/gm, "Resent-")}\r\n`));
});

test("a full name goes into the From: that is added, and the null sender is MAILER-DAEMON", async () => {
  const named = await text({ ...local, fullName: "Cron Daemon" }, "\r\n");
  assert.match(named, /\r\nFrom: Cron Daemon <me@client\.example>\r\n/);
  assert.match(await text({ ...local, sender: "" }, "\r\n"), /\r\nFrom: MAILER-DAEMON\r\n/);
});

test("header_from_format puts the full name before the address, or behind it", async () => {
  const from = async (header_from_format: string, fullName: string) => {
    const message = only(await through({ cleanup: { header_from_format } }, { ...local, fullName }, "\r\n"));
    return /^From: (.*)\r$/m.exec(bytesOf(message).toString())?.[1];
  };
  assert.equal(await from("standard", 'J. "Q" Doe'), '"J. \\"Q\\" Doe" <me@client.example>');
  assert.equal(await from("obsolete", 'J. "Q" Doe'), 'me@client.example (J. "Q" Doe)');
  assert.equal(await from("obsolete", "J\u00f6rg"), "me@client.example (=?utf-8?B?SsO2cmc=?=)");
  assert.equal(await from("obsolete", ""), "me@client.example");
});

test("Bcc, Return-Path and Content-Length are taken out, folded lines included", async () => {
  const given =
    "Bcc: a@b,\r\n c@d\r\nSubject: x\r\nReturn-path: <z>\r\nContent-Length: 3\r\nResent-Bcc: q\r\n\r\nBcc: in the body\r\n";
  assert.equal(await text({}, given), "Subject: x\r\n\r\nBcc: in the body\r\n");
});

test("an address field of a local client is written anew where an address in it was completed, and else left", async () => {
  const given =
    'From: root (Cron Daemon)\r\nTo: Bob <bob>, c@d.example,\r\n\t"E F" <e@[192.0.2.1]>, friends: g;\r\nCc: "A"  <a@b.example>\r\nSubject: root\r\n';
  const expected = given
    .replace("From: root", "From: root@here.example")
    .replace("<bob>", "<bob@here.example>")
    .replace(",\r\n\t", ", ")
    .replace(" friends: g;", "\r\n\tfriends: g@here.example;");
  assert.equal((await text(local, `${given}\r\n`)).slice(0, expected.length), expected);
  assert.equal(await text({}, `${given}\r\n`), `${given}\r\n`);
});

const mapped = {
  conf: { canonical_maps: "hash:c", masquerade_domains: "here.example" },
  tables: { "hash:c": { "bob@here.example": "robert@there.example", "me@client.example": "myself@client.example" } },
};

for (const later of [false, true]) {
  test(`canonical maps reach envelope and header, in order, with tables that answer ${later ? "later" : "at once"}`, async () => {
    const header = "Subject: x\r\nFrom: bob\r\nX-Between: y\r\nTo: Bob <bob>, c@host.here.example\r\n\r\n";
    const options = { ...mapped, later };
    const given = { ...local, to: ["bob@here.example"] };
    const message = only(await through(options, given, header.slice(0, 20), header.slice(20), "body\r\n", "more\r\n"));
    assert.equal(message.envelope.sender, "myself@client.example");
    assert.deepEqual(
      message.envelope.recipients.map(({ address, original }) => [address, original]),
      [["robert@there.example", "bob@here.example"]],
    );
    const body = bytesOf(message).toString();
    assert.match(
      body.slice(body.indexOf("Subject")),
      /^Subject: x\r\nFrom: robert@there\.example\r\nX-Between: y\r\nTo: Bob <robert@there\.example>, c@here\.example\r\nMessage-Id: .*\r\nDate: .*\r\n\r\nbody\r\nmore\r\n$/,
    );
  });
}

test("headers of clients elsewhere are left alone, unless remote_header_rewrite_domain names a domain for them", async () => {
  const header = "From: bob\r\nTo: bob@here.example\r\n\r\n";
  const bodyOf = async (options: World) => {
    const body = bytesOf(only(await through(options, {}, header))).toString();
    return body.slice(body.indexOf("From: "));
  };
  assert.equal(await bodyOf(mapped), header);
  const remote = { ...mapped, conf: { ...mapped.conf, remote_header_rewrite_domain: "away.invalid" } };
  assert.match(await bodyOf(remote), /^From: bob@away\.invalid\r\nTo: robert@there\.example\r\nMessage-Id: /);
});

const copying = {
  conf: {
    always_bcc: "archive",
    sender_bcc_maps: "hash:b",
    recipient_bcc_maps: "hash:b",
    virtual_alias_maps: "hash:v",
  },
  tables: {
    "hash:b": { "me@client.example": "outgoing@x.example", "you@there.example": "incoming", broken: "" },
    "hash:v": { "archive@here.example": "vault@x.example" },
  },
};

for (const later of [false, true]) {
  test(`copies go where the tables say, ${later ? "when they answer" : "at once"}, and nobody hears of them`, async () => {
    const { envelope } = only(await through({ ...copying, later }, {}, "\r\n"));
    assert.deepEqual(
      envelope.recipients.map(({ address, original, notify }) => [address, original, notify]),
      [
        ["you@there.example", "you@there.example", undefined],
        ["outgoing@x.example", "outgoing@x.example", ["NEVER"]],
        ["incoming@here.example", "incoming@here.example", ["NEVER"]],
        ["vault@x.example", "archive@here.example", ["NEVER"]],
      ],
    );
  });
}

test("notifications are not copied, and a table of copies that cannot tell refuses the message for now", async () => {
  const notice = only(await through(copying, { service: "bounce" }, "\r\n"));
  assert.equal(notice.envelope.recipients.length, 1);
  const result = await through({ ...copying, tables: { "hash:b": new TableError("retry", "away") } }, {}, "\r\n");
  assert.ok(result.kind === "reject");
  assert.equal(result.reply.code, 451);
});

test("two recipients that become one are both accounted for, unless enable_original_recipient says no", async () => {
  const options = {
    conf: { virtual_alias_maps: "hash:v" },
    tables: { "hash:v": { "a@x.example": "c@x.example", "b@x.example": "C@x.example" } },
  };
  const originals = async (cleanup: Readonly<Record<string, string>>) => {
    const to = ["a@x.example", "b@x.example", "A@x.example"];
    return only(await through({ ...options, cleanup }, { to }, "\r\n")).envelope.recipients.map(
      (each) => each.original,
    );
  };
  assert.deepEqual(await originals({}), ["a@x.example", "b@x.example"]);
  assert.deepEqual(await originals({ enable_original_recipient: "no" }), ["a@x.example"]);
  assert.deepEqual(await originals({ enable_original_recipient: "no", duplicate_filter_limit: "1" }), ["a@x.example"]);
});

test("beyond duplicate_filter_limit, duplicates are not recognised", async () => {
  const to = ["a@x.example", "b@x.example", "b@x.example", "a@x.example"];
  const { envelope } = only(await through({ cleanup: { duplicate_filter_limit: "1" } }, { to }, "\r\n"));
  assert.deepEqual(
    envelope.recipients.map(({ address }) => address),
    ["a@x.example", "b@x.example", "b@x.example"],
  );
});

test("whether a client is a local one may be known later, or cannot be told", async () => {
  const header = "Subject: x\r\n\r\n";
  const bodyOf = async (given: Given) => bytesOf(only(await through({}, given, header, "body\r\n"))).toString();
  assert.match(await bodyOf({ local: Promise.resolve(true) }), /\r\nFrom: me@client\.example\r\n\r\nbody\r\n$/);
  assert.ok(!(await bodyOf({ local: Promise.resolve(false) })).includes("From: "));
  const refused = await through({}, { local: Promise.reject(new TableError("retry", "away")) }, header);
  assert.ok(refused.kind === "reject");
  assert.equal(refused.reply.code, 451);
});

test("a canonical map that cannot tell refuses the message for now", async () => {
  const tables = { "hash:c": new TableError("retry", "server away") };
  for (const header of ["", "From: a@b.example\r\n"]) {
    const result = await through({ ...mapped, tables }, local, `${header}\r\n`);
    assert.ok(result.kind === "reject");
    assert.equal(result.reply.code, 451);
  }
});

test("commas that are missing are put in where addresses are completed, and only there", async () => {
  const field = "To: a b@c.example (x) <d> e\r\n";
  assert.match(await text(local, `${field}\r\n`), /^To: a b@c\.example \(x\) <d@here\.example>, e@here\.example\r\n/);
  assert.equal(await text({}, `${field}\r\n`), `${field}\r\n`);
});

test("a header without an empty line behind it gets one before the body, or none at the end", async () => {
  assert.equal(await text({}, "Subject: x\r\nno header\r\n"), "Subject: x\r\n\r\nno header\r\n");
  assert.equal(await text({}, " begins with a space\r\n"), "\r\n begins with a space\r\n");
  assert.equal(await text({}, "Subject: x\r\n"), "Subject: x\r\n");
  assert.equal(await text({}), "");
});

test("lines of mailbox files before the header are kept under a name for clients, and dropped for programs", async () => {
  assert.equal(
    await text({}, "From me Mon\r\nSubject: x\r\n\r\n"),
    "X-Mailbox-Line: From me Mon\r\nSubject: x\r\n\r\n",
  );
  const program = await text({ service: "pickup" }, ">From me Mon\nSubject: x\n\n");
  assert.ok(program.startsWith("Subject: x\r\n"), program);
});

test("the last line always ends", async () => {
  assert.equal(await text({}, "A: b\r\n\r\nbody"), "A: b\r\n\r\nbody\r\n");
  assert.ok((await text({ service: "pickup" }, "A: b")).startsWith("A: b\r\nMessage-Id: "));
});

test("the envelope tells where the header ends, how large the body is, and what is in it", async () => {
  const message = only(await through({}, {}, "A: b\r\n\r\ngr\u00fc\u00dfe\r\n"));
  const body = bytesOf(message);
  const { envelope } = message;
  assert.equal(body.toString("latin1", envelope.headerEnd_bytes, envelope.headerEnd_bytes + 2), "\r\n");
  assert.equal(body.toString("latin1", 0, envelope.headerEnd_bytes).endsWith("A: b\r\n"), true);
  assert.deepEqual([envelope.size_bytes, envelope.eightBit, envelope.smtputf8], [body.length, true, false]);
  const short = only(await through({}, {}, "A: b\r\n"));
  assert.equal(short.envelope.headerEnd_bytes, bytesOf(short).length);
});

test("SMTPUTF8 is noted where it was asked for, or assumed, and is needed", async () => {
  const utf8 = async (given: Given, header: string) => only(await through({}, given, header)).envelope.smtputf8;
  assert.equal(await utf8({ smtputf8: true }, "Subject: x\r\n\r\n\u00fc\r\n"), false);
  assert.equal(await utf8({ smtputf8: true }, "Subject: \u00fc\r\n\r\n"), true);
  assert.equal(await utf8({ smtputf8: true, to: ["\u00fc@x.example"] }, "\r\n"), true);
  assert.equal(await utf8({}, "Subject: \u00fc\r\n\r\n"), false);
  assert.equal(await utf8({ service: "pickup" }, "Subject: \u00fc\n\n"), true);
});

test("a message that went around too often is refused", async () => {
  const received = "Received: by x; y\r\n";
  const refused = await through({}, {}, `${received.repeat(49)}\r\n`);
  assert.deepEqual(refused, { kind: "reject", reply: { code: 554, enhanced: "5.4.0", text: "Error: too many hops" } });
  assert.equal((await through({}, {}, `${received.repeat(48)}\r\n`)).kind, "messages");
});

test("a message over the limit is refused, and what follows is not kept", async () => {
  const result = await through(
    { cleanup: { message_size_limit: "100" } },
    {},
    "A: b\r\n\r\n",
    "x".repeat(200),
    "y".repeat(200),
  );
  assert.ok(result.kind === "reject");
  assert.deepEqual([result.reply.code, result.reply.enhanced], [552, "5.3.4"]);
});

test("the log has the message's id, and message-id=<> where it has none", async () => {
  const lines = async (given: Given, header: string) => {
    const { cleanup, log } = world();
    const message = cleanup.begin(input(given));
    message.data(Buffer.from(header));
    await message.finish();
    return log.lines;
  };
  assert.deepEqual(await lines({}, "Message-ID:\r\n <1@x>\r\n\r\n"), ["test: 4ABC: message-id=<1@x>"]);
  assert.deepEqual(await lines({}, "\r\n"), ["test: 4ABC: message-id=<>"]);
  assert.deepEqual(await lines(local, "\r\n"), ["test: 4ABC: message-id=<20260105090000.4ABC@mx.here.example>"]);
});

const aliased: World = {
  conf: { alias_maps: "hash:/a", virtual_alias_maps: "hash:/v" },
  tables: {
    "hash:/a": {
      root: "admin@x.example, second",
      second: "last@x.example",
      loop: "loop2",
      loop2: "loop",
      mixed: 'good@x.example, "|/bin/prog"',
      list: "one@x.example, two@x.example",
      "owner-list": "boss@x.example",
      empty: ":include:/empty",
    },
    "hash:/v": { "info@v.example": "root, root@here.example, other@x.example" },
  },
  includes: { "/empty": "# nobody\n" },
};

async function recipients(to: readonly string[], options: World = aliased): Promise<string[][]> {
  const result = await through(options, { to }, "\r\n");
  assert.ok(result.kind === "messages");
  return result.messages.map(({ envelope }) => [envelope.sender, ...envelope.recipients.map(({ address }) => address)]);
}

test("recipients become what their aliases stand for, each address once", async () => {
  const me = "me@client.example";
  assert.deepEqual(await recipients(["root"]), [[me, "admin@x.example", "last@x.example"]]);
  assert.deepEqual(await recipients(["info@v.example", "ROOT@here.example"]), [
    [me, "admin@x.example", "last@x.example", "other@x.example"],
  ]);
  assert.deepEqual(await recipients(["a@x.example", "A@X.EXAMPLE"]), [[me, "a@x.example"]]);
});

test("tables that answer later give the same", async () => {
  const me = "me@client.example";
  assert.deepEqual(await recipients(["root"], { ...aliased, later: true }), [
    [me, "admin@x.example", "last@x.example"],
  ]);
});

test("what has no way stays in the envelope, so that it bounces: unknown names, commands, circles, empty lists", async () => {
  const me = "me@client.example";
  assert.deepEqual(await recipients(["nobody"]), [[me, "nobody@here.example"]]);
  assert.deepEqual(await recipients(["mixed"]), [[me, "mixed@here.example", "good@x.example"]]);
  assert.deepEqual(await recipients(["loop"]), [[me, "loop@here.example"]]);
  assert.deepEqual(await recipients(["empty"]), [[me, "empty@here.example"]]);
});

test("mail to a list with an owner is a message of its own from the owner", async () => {
  assert.deepEqual(await recipients(["list"]), [["owner-list@here.example", "one@x.example", "two@x.example"]]);
  assert.deepEqual(await recipients(["list", "a@x.example"]), [
    ["me@client.example", "a@x.example"],
    ["owner-list@here.example", "one@x.example", "two@x.example"],
  ]);
});

test("what the sender asked about a recipient goes with it, but not into a list", async () => {
  const { cleanup } = world(aliased);
  const asked = { notify: ["SUCCESS"], orcpt: "rfc822;you" } as const;
  const message = cleanup.begin({
    ...input(),
    recipients: [
      { address: "root", ...asked },
      { address: "list", ...asked },
    ],
    envid: "E",
    ret: "HDRS",
  });
  const result = await message.finish();
  assert.ok(result.kind === "messages");
  const [own, listed] = result.messages;
  assert.deepEqual(own.envelope.recipients[0], {
    ...{ address: "admin@x.example", original: "root", ...asked },
    ...{ status: "pending", reason: undefined, dsn: undefined },
  });
  assert.deepEqual([own.envelope.envid, own.envelope.ret, own.id], ["E", "HDRS", "4ABC"]);
  assert.equal(listed?.envelope.recipients[0]?.orcpt, undefined);
  assert.deepEqual([listed?.envelope.envid, listed?.id], [undefined, "NEW1"]);
});

test("a completed address is the original recipient of notifications", async () => {
  const { envelope } = only(await through({}, { to: ["root"] }, "\r\n"));
  assert.deepEqual(
    [envelope.recipients[0]?.original, envelope.recipients[0]?.orcpt],
    ["root", "rfc822;root@here.example"],
  );
});

test("MAILER-DAEMON as a sender is the null sender, and the empty recipient is MAILER-DAEMON", async () => {
  const { envelope } = only(await through({}, { sender: "mailer-daemon", to: [""] }, "\r\n"));
  assert.equal(envelope.sender, "");
  assert.equal(envelope.recipients[0]?.address, "MAILER-DAEMON@here.example");
});

test("a table that cannot be read, or an alias without end, is tried again later", async () => {
  const broken = { "hash:/v": new TableError("retry", "busy"), "hash:/a": new TableError("retry", "busy") };
  for (const conf of [{ virtual_alias_maps: "hash:/v" }, { alias_maps: "hash:/a" }]) {
    const result = await through({ conf, tables: broken }, { to: ["a@x.example", "root"] }, "\r\n");
    assert.ok(result.kind === "reject");
    assert.deepEqual([result.reply.code, result.reply.enhanced], [451, "4.3.0"]);
  }
  const endless = { conf: { virtual_alias_maps: "hash:/v" }, tables: { "hash:/v": { "a@x": "b@x", "b@x": "a@x" } } };
  const result = await through(endless, { to: ["a@x"] }, "\r\n");
  assert.ok(result.kind === "reject");
  assert.equal(result.reply.enhanced, "4.6.0");
});

test("a large body goes to the store in whole chunks, the last one smaller", async () => {
  const { cleanup, writers } = world();
  const message = cleanup.begin(input());
  const line = Buffer.from(`${"x".repeat(998)}\r\n`);
  await message.data(Buffer.from("A: b\r\n\r\n"));
  for (let count = 0; count < 300; count++) await message.data(line);
  const result = only(await message.finish());
  const chunks = writers[0]?.chunks ?? [];
  assert.equal(result.body, writers[0]);
  assert.ok(chunks.slice(0, -1).every(({ length }) => length === chunkSize_bytes));
  assert.equal(result.envelope.size_bytes, writers[0]?.size_bytes);
  assert.ok(
    bytesOf(result)
      .subarray(-300_000)
      .equals(Buffer.concat(Array(300).fill(line))),
  );
});

test("a caller that does not wait for the store loses nothing", async () => {
  const { cleanup } = world();
  const message = cleanup.begin(input());
  const big = Buffer.alloc(200_000, "y");
  message.data(Buffer.from("A: b\r\n\r\n"));
  message.data(big);
  message.data(big);
  assert.equal(bytesOf(only(await message.finish())).length > 400_000, true);
});

test("a large message to a list and others is written once for each sender", async () => {
  const { cleanup, writers } = world(aliased);
  const message = cleanup.begin(input({ to: ["list", "a@x.example"] }));
  await message.data(Buffer.alloc(200_000, "y"));
  const result = await message.finish();
  assert.ok(result.kind === "messages");
  assert.deepEqual(
    result.messages.map(({ body }) => body),
    writers,
  );
  assert.equal(writers[0]?.size_bytes, writers[1]?.size_bytes);
});

test("a full store is told to the client, and what was begun is given up", async () => {
  const { cleanup, writers } = world({ storeFails: new QueueError("full", "no space left") });
  const message = cleanup.begin(input());
  await message.data(Buffer.alloc(200_000, "y"));
  const result = await message.finish();
  assert.ok(result.kind === "reject");
  assert.deepEqual([result.reply.code, result.reply.enhanced], [452, "4.3.1"]);
  assert.equal(writers[0]?.abandoned, true);
});

test("a message that is given up leaves nothing in the store", async () => {
  const { cleanup, writers } = world();
  const message = cleanup.begin(input());
  const writing = message.data(Buffer.alloc(200_000, "y"));
  message.abandon();
  await writing;
  assert.ok(writers.every(({ abandoned }) => abandoned));
});

test("a field that is too long is cut, with the rest of it dropped, and the next one stays", async () => {
  const cut = { cleanup: { header_size_limit: "1000" } };
  const long = `Long: ${"x".repeat(70_000)}\r\n\tand on\r\n`;
  for (const pieces of [[long], [long.slice(0, 66_000), long.slice(66_000)]]) {
    const body = bytesOf(only(await through(cut, {}, ...pieces, "Next: 1\r\n\r\nbody\r\n"))).toString();
    assert.match(body, /\r\nLong: x{900,}\r\nNext: 1\r\n\r\nbody\r\n$/);
    assert.ok(body.length < 2000);
  }
});

test("a header of many fields passes in blocks without loss", async () => {
  const header = Array.from({ length: 20_000 }, (_, index) => `X-Field-${index}: value\r\n`).join("");
  const body = bytesOf(
    only(await through({}, {}, header.slice(0, 333_333), header.slice(333_333), "\r\nend\r\n")),
  ).toString();
  assert.ok(body.endsWith(`${header}\r\nend\r\n`));
});

const piece = fc.oneof(
  fc.constantFrom(
    "From: root\r\n",
    "To : a,\r\n\tb\r\n",
    "Bcc: x\r\n",
    "\r\n",
    " \r\n",
    "From me\r\n",
    "text\r\n",
    "Received: x\r\n",
    "\r\n\r\n",
  ),
  fc.constantFrom("\u00e9\r\n", "X", ":", " "),
);

test("however a message is cut into pieces, the same comes out", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(piece, { maxLength: 12 }),
      fc.array(fc.nat(), { maxLength: 8 }),
      fc.boolean(),
      async (parts, cuts, pickup) => {
        const bytes = Buffer.from(parts.join(""));
        const borders = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b);
        const pieces = [0, ...borders].map((from, index) => bytes.subarray(from, borders[index] ?? bytes.length));
        const given = { service: pickup ? "pickup" : "smtpd" } as const;
        const whole = only(await through({}, given, bytes));
        const cut = only(await through({}, given, ...pieces));
        assert.equal(bytesOf(cut).toString(), bytesOf(whole).toString());
        assert.deepEqual({ ...cut.envelope }, { ...whole.envelope });
      },
    ),
    { numRuns: 300 },
  );
});

test("nothing goes out but whole lines, whatever a program writes", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.constantFrom("a", ":", " ", "\r", "\n", "\r\n", "\n\n", "\0", "From x"), { maxLength: 30 }),
      async (parts) => {
        const body = bytesOf(only(await through({}, { service: "pickup" }, ...parts))).toString("latin1");
        assert.doesNotMatch(body, /\r(?!\n)|(?<!\r)\n/);
        assert.ok(body.endsWith("\r\n"));
      },
    ),
    { numRuns: 300 },
  );
});

/** What is alive, in bytes: the least of several looks, since buffers are given back some time after a collection, by a thread of the engine's own. */
async function alive_bytes(): Promise<number> {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  let least_bytes = Number.POSITIVE_INFINITY;
  for (let look = 0; look < 10; look++) {
    collect();
    await new Promise((resolve) => setTimeout(resolve, 5));
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    least_bytes = Math.min(least_bytes, heapUsed + arrayBuffers);
  }
  return least_bytes;
}

test("a text that comes in single bytes costs little more than itself, in header and body", async () => {
  const size_bytes = 40_000;
  const { cleanup } = world();
  const before_bytes = await alive_bytes();
  const messages = ["X-Long: ", "Subject: x\r\n\r\n"].flatMap((begin) =>
    Array.from({ length: 5 }, () => {
      const message = cleanup.begin(input());
      message.data(Buffer.from(begin));
      for (let count = 0; count < size_bytes; count++) void message.data(Buffer.from("a"));
      return message;
    }),
  );
  const each_bytes = ((await alive_bytes()) - before_bytes) / messages.length;
  assert.ok(each_bytes < 4 * size_bytes, `${each_bytes} bytes for ${size_bytes}`);
  for (const message of messages) message.abandon();
});

test("the names of a header without end are not all remembered", async () => {
  const { cleanup } = world({ cleanup: { message_size_limit: "0" } });
  const message = cleanup.begin(input());
  const before_bytes = await alive_bytes();
  for (let block = 0; block < 20; block++) {
    const fields = Array.from({ length: 10_000 }, (_, index) => `X${block}-${index}:\r\n`);
    void message.data(Buffer.from(fields.join("")));
  }
  message.abandon();
  const kept_bytes = (await alive_bytes()) - before_bytes;
  assert.ok(kept_bytes < 5_000_000, `${kept_bytes} bytes`);
});

test("a message with any number of identifiers, of any length, fills no log", async () => {
  const { cleanup, log } = world();
  const message = cleanup.begin(input());
  await message.data(Buffer.from(`Message-Id: <${"x".repeat(3000)}>\r\n`.repeat(1000)));
  await message.data(Buffer.from("\r\nbody\r\n"));
  message.abandon();
  const lines = log.lines.filter((line) => line.includes("message-id="));
  assert.equal(lines.length, 10);
  assert.ok(lines.every((line) => line.length < 1100));
});
