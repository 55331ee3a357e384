import assert from "node:assert/strict";
import { test } from "node:test";
import { defaults } from "../conf/defaults.ts";
import { globalParams } from "../conf/params.ts";
import { contentParams } from "../content/params.ts";
import { memoryLog } from "../log/log.ts";
import type { NewEnvelope } from "../queue/message.ts";
import { type TestRouterOptions, testRouter } from "../routing/test-router.ts";
import { ManualClock } from "../runtime/manual-clock.ts";
import { Maps } from "../table/maps.ts";
import { type Table, TableError } from "../table/table.ts";
import { Cleanup, type CleanupConf, type CleanupInput, type CleanupResult } from "./cleanup.ts";
import { contentRules, octets } from "./content-rules.ts";
import { cleanupParams } from "./params.ts";

interface Given extends TestRouterOptions {
  readonly cleanup?: Readonly<Record<string, string>>;
  /** What the tables say to a key, by the text they are named with. */
  readonly says?: Readonly<Record<string, (key: string) => string | undefined | Promise<string | undefined>>>;
  readonly input?: Partial<CleanupInput>;
  readonly pieces?: readonly string[];
}

function table(says: (key: string) => string | undefined | Promise<string | undefined>): Table {
  return { get: says, close: async () => {} };
}

async function checked(given: Given) {
  const written: Record<string, string> = { myhostname: "mx.here.example", ...given.cleanup };
  const conf = {
    ...defaults(globalParams, written),
    ...defaults(cleanupParams, written),
    ...defaults(contentParams),
    empty_address_recipient: "MAILER-DAEMON",
  };
  const says = given.says ?? {};
  const maps = (references: readonly string[]) =>
    new Maps(
      references.map((reference) => ({
        reference,
        patterns: true,
        current: table(says[reference] ?? (() => undefined)),
      })),
    );
  const log = memoryLog();
  const store = { nextId: () => "NEW", beginBody: () => assert.fail("these messages are small") };
  const content = contentRules(conf, maps);
  const cleanup = new Cleanup({
    conf: conf as CleanupConf,
    router: testRouter(given),
    store,
    clock: new ManualClock(),
    log,
    content,
  });
  const message = cleanup.begin({
    ...{ id: "4ABC", arrival_ms: 0, sender: "me@client.example", local: false, smtputf8: false },
    ...{ envid: undefined, ret: undefined },
    origin: { service: "smtpd", client: "c[192.0.2.1]", helo: "c", protocol: "ESMTP", saslUsername: "" },
    received: { kind: "internal" },
    recipients: [{ address: "you@there.example", notify: undefined, orcpt: undefined }],
    ...given.input,
  });
  for (const piece of given.pieces ?? ["Subject: x\r\n\r\nbody\r\n"]) await message.data(Buffer.from(piece));
  return { result: await message.finish(), lines: log.lines };
}

function messages(result: CleanupResult): { readonly envelope: NewEnvelope; readonly text: string }[] {
  assert.ok(result.kind === "messages", JSON.stringify(result));
  return result.messages.map(({ envelope, body }) => ({ envelope, text: String(body) }));
}

const header = { header_checks: "test:h" };
const always = (answer: string) => ({ "test:h": (key: string) => (key.startsWith("Subject") ? answer : undefined) });

test("nothing configured is nothing to do", () => {
  const conf = { ...defaults(globalParams), ...defaults(cleanupParams), ...defaults(contentParams) };
  assert.equal(
    contentRules(conf, () => new Maps([])),
    undefined,
  );
});

test("tables that answer later, or in pieces, come to the same", async () => {
  const says = (later: boolean) => ({
    "test:h": (key: string) => {
      const answer = key.startsWith("Subject") ? "REPLACE X-New: 1" : key.startsWith("To") ? "PREPEND A: b" : undefined;
      return later ? new Promise<string | undefined>((resolve) => setImmediate(() => resolve(answer))) : answer;
    },
  });
  const text = "Subject: x\r\nTo: y@z.example\r\nX-Z: 1\r\n\r\nbody\r\n";
  const [once] = messages((await checked({ cleanup: header, says: says(false), pieces: [text] })).result);
  const [bytewise] = messages((await checked({ cleanup: header, says: says(true), pieces: [...text] })).result);
  assert.match(once?.text ?? "", /\r\nX-New: 1\r\nA: b\r\nTo: y@z.example\r\nX-Z: 1\r\n\r\nbody\r\n$/);
  assert.deepEqual(bytewise, once);
});

test("a table that cannot tell puts the message off, at once or later", async () => {
  const fails = () => {
    throw new TableError("retry", "gone");
  };
  for (const says of [{ "test:h": fails }, { "test:h": async () => fails() }]) {
    const { result, lines } = await checked({ cleanup: header, says });
    assert.ok(result.kind === "reject");
    assert.deepEqual(result.reply, { code: 451, enhanced: "4.3.0", text: "Error: queue file write error" });
    assert.ok(lines.some((line) => /4ABC: header_checks map lookup problem/.test(line)));
  }
});

test("what a refused message would have been is not worked on any more", async () => {
  const asked: string[] = [];
  const says = {
    "test:h": (key: string) => {
      asked.push(key);
      return key.startsWith("Subject") ? "REJECT no" : undefined;
    },
  };
  const { result } = await checked({ cleanup: header, says, pieces: ["Subject: x\r\n", "To: a\r\n\r\n", "body\r\n"] });
  assert.deepEqual(result, { kind: "reject", reply: { code: 550, enhanced: "5.7.1", text: "no" } });
  assert.equal(asked.length, 2);
});

test("the envelope says what checks want of the queue", async () => {
  const one = async (answer: string) =>
    messages((await checked({ cleanup: header, says: always(answer) })).result)[0]?.envelope;
  assert.equal((await one("HOLD"))?.held, true);
  assert.equal((await one("FILTER smtp:[a]:25"))?.filter, "smtp:[a]:25");
  assert.deepEqual(
    Object.keys((await one("DUNNO")) ?? {}).filter((key) => key === "held" || key === "filter"),
    [],
  );
  assert.equal((await checked({ cleanup: header, says: always("DISCARD") })).result.kind, "discarded");
});

test("FILTER takes the place of content_filter, REDIRECT of both", async () => {
  const input = { filter: "smtp:[main]" };
  const one = async (answer: string) =>
    messages((await checked({ cleanup: header, says: always(answer), input })).result)[0]?.envelope;
  assert.equal((await one("DUNNO"))?.filter, "smtp:[main]");
  assert.equal((await one("FILTER smtp:[own]"))?.filter, "smtp:[own]");
  const redirected = await one("REDIRECT r@x.example");
  assert.equal(redirected?.filter, undefined);
  assert.deepEqual(
    redirected?.recipients.map(({ address, original }) => [address, original]),
    [["r@x.example", "you@there.example"]],
  );
});

test("blind copies are expanded like other recipients, and their senders told nothing", async () => {
  const { result } = await checked({
    ...{ cleanup: header, says: always("BCC copy@v.example") },
    conf: { virtual_alias_maps: "hash:v" },
    tables: { "hash:v": { "copy@v.example": "one@w.example, two@w.example" } },
  });
  assert.deepEqual(
    messages(result)[0]?.envelope.recipients.map(({ address, notify }) => [address, notify]),
    [
      ["you@there.example", undefined],
      ["one@w.example", ["NEVER"]],
      ["two@w.example", ["NEVER"]],
    ],
  );
});

test("what is excepted from checks is not checked, and what is excepted from mapping not mapped", async () => {
  const given = {
    ...{ cleanup: header, says: always("REJECT"), conf: { virtual_alias_maps: "hash:v" } },
    tables: { "hash:v": { "you@there.example": "me@there.example" } },
  };
  const { result } = await checked({ ...given, input: { unchecked: true, unmapped: true } });
  assert.deepEqual(
    messages(result)[0]?.envelope.recipients.map(({ address }) => address),
    ["you@there.example"],
  );
});

test("Received: headers that checks take out have been on their way all the same", async () => {
  const says = { "test:h": (key: string) => (key.startsWith("Received") ? "IGNORE" : undefined) };
  const given = { cleanup: { ...header, hopcount_limit: "5" }, says };
  const hops = (count: number) => `${"Received: x\r\n".repeat(count)}\r\nbody\r\n`;
  assert.equal((await checked({ ...given, pieces: [hops(3)] })).result.kind, "messages");
  assert.equal((await checked({ ...given, pieces: [hops(4)] })).result.kind, "reject");
});

test("characters are stripped, or refuse a message", async () => {
  const pieces = ["Subject: a\0b\x01\r\n\r\n\0body\x01\r\n"];
  const strip = await checked({ cleanup: { message_strip_characters: "\\0\\001" }, pieces });
  assert.match(messages(strip.result)[0]?.text ?? "", /Subject: ab\r\n\r\nbody\r\n$/);
  const refuse = await checked({ cleanup: { message_reject_characters: "\\001" }, pieces });
  assert.deepEqual(refuse.result, {
    kind: "reject",
    reply: { code: 550, enhanced: "5.7.1", text: "disallowed character" },
  });
  assert.ok(refuse.lines.some((line) => line.includes("4ABC: reject: content Subject: a?b? from c[192.0.2.1];")));
});

test("octets are written as in C", () => {
  assert.deepEqual([...(octets("a\\0\\177\\n\\\\\\x") ?? [])], [97, 0, 127, 10, 92, 120]);
  assert.equal(octets(""), undefined);
});

test("strictness refuses what it names, when the whole message has been seen", async () => {
  const pieces = ["Subject: x\r\n\r\n\u00e9\r\n"];
  const { result, lines } = await checked({ cleanup: { strict_8bitmime_body: "yes" }, pieces });
  assert.deepEqual(result, {
    kind: "reject",
    reply: { code: 550, enhanced: "5.6.0", text: "improper use of 8-bit data in message body" },
  });
  const who = "from c[192.0.2.1]; from=<me@client.example> to=<you@there.example>";
  const said = `4ABC: reject: mime-error improper use of 8-bit data in message body: \u00e9 ${who}`;
  assert.ok(lines.some((line) => line.endsWith(said)));
  assert.equal((await checked({ cleanup: { strict_7bit_headers: "yes" }, pieces })).result.kind, "messages");
});
