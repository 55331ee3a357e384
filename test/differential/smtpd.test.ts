/**
 * The same dialogues with Debian's Postfix and with our SMTP server, replies
 * compared word for word (queue ids aside). What differs on purpose is listed
 * beside the dialogue, with its reason. Needs root and the package postfix.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { defaults } from "../../src/conf/defaults.ts";
import { globalParams } from "../../src/conf/params.ts";
import { memoryLog } from "../../src/log/log.ts";
import { splitAddress } from "../../src/rfc5321/path.ts";
import { realClock } from "../../src/runtime/clock.ts";
import { realNames } from "../../src/runtime/names.ts";
import { type Listener, realNet } from "../../src/runtime/net.ts";
import { smtpdParams } from "../../src/smtpd/params.ts";
import { compileRules } from "../../src/smtpd/rules.ts";
import { SmtpServer } from "../../src/smtpd/server.ts";
import { noMaps } from "../../src/table/maps.ts";

const why =
  process.getuid?.() !== 0 ? "needs root" : existsSync("/usr/sbin/postfix") ? false : "needs the package postfix";

/** Clients from here may relay; those from 127.0.0.1 may not. */
const friend = "127.0.0.9";

const settings: Record<string, string> = {
  myhostname: "mail.example.test",
  mydomain: "example.test",
  myorigin: "example.test",
  mydestination: "example.test",
  relay_domains: "relayed.test",
  mynetworks: `${friend}/32`,
  smtpd_relay_restrictions: "permit_mynetworks, reject_unauth_destination",
  smtpd_recipient_limit: "3",
  smtpd_recipient_overshoot_limit: "2",
  message_size_limit: "20000",
  smtpd_soft_error_limit: "50",
  smtpd_hard_error_limit: "8",
  smtpd_junk_command_limit: "6",
  smtpd_error_sleep_time: "0",
  smtpd_forbid_unauth_pipelining: "yes",
  smtpd_forbid_bare_newline: "normalize",
  smtpd_forbid_bare_newline_exclusions: "",
  smtpd_banner: "mail.example.test ESMTP Postfix",
  smtputf8_enable: "yes",
  smtpd_client_connection_count_limit: "0",
  smtpd_client_event_limit_exceptions: "127.0.0.0/8",
  smtpd_timeout: "60s",
};

let directory = "";
let postfixPort = 0;
let ourPort = 0;
let listener: Listener | undefined;
let server: SmtpServer | undefined;

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => probe.once("listening", resolve));
  const { port } = probe.address() as AddressInfo;
  await new Promise((resolve) => probe.close(resolve));
  return port;
}

function writePostfix(port: number): void {
  for (const name of ["etc", "queue", "data"]) mkdirSync(join(directory, name));
  const lines = {
    compatibility_level: "3.6",
    queue_directory: join(directory, "queue"),
    data_directory: join(directory, "data"),
    inet_interfaces: "127.0.0.1",
    inet_protocols: "ipv4",
    local_recipient_maps: "",
    alias_maps: "",
    smtpd_peername_lookup: "no",
    smtpd_sasl_auth_enable: "no",
    ...settings,
  };
  writeFileSync(
    join(directory, "etc/main.cf"),
    Object.entries(lines)
      .map(([name, value]) => `${name} = ${value}\n`)
      .join(""),
  );
  writeFileSync(
    join(directory, "etc/master.cf"),
    [
      `127.0.0.1:${port} inet n - n - - smtpd`,
      "cleanup unix n - n - 0 cleanup",
      "rewrite unix - - n - - trivial-rewrite",
      "anvil unix - - n - 1 anvil",
      "",
    ].join("\n"),
  );
  execFileSync("chmod", ["755", directory]);
  execFileSync("chown", ["postfix", join(directory, "data")]);
}

before(async () => {
  if (why) return;
  directory = mkdtempSync(join(tmpdir(), "postern-smtpd-"));
  postfixPort = await freePort();
  writePostfix(postfixPort);
  execFileSync("postfix", ["-c", join(directory, "etc"), "start"], { stdio: "ignore" });
  const conf = defaults({ ...smtpdParams, ...globalParams }, settings);
  const { rules, problems } = compileRules(conf, { file: () => "", table: () => noMaps }, { at: () => undefined });
  assert.ok(rules, problems.join("\n"));
  let ids = 0;
  server = new SmtpServer({
    conf,
    rules,
    service: "smtp",
    clock: realClock,
    names: realNames(),
    log: memoryLog(),
    ports: {
      classify(recipient) {
        const domain = splitAddress(recipient).domain.toLowerCase();
        if (domain === "" || domain === "example.test") return { class: "local" };
        return { class: domain === "relayed.test" ? "relay" : "other" };
      },
      nextId: () => (++ids).toString(16).toUpperCase(),
      open: ({ id }) => ({ data() {}, commit: async () => ({ kind: "queued", id }), abandon() {} }),
      freeSpace: () => true,
    },
  });
  listener = await realNet.listen({ address: "127.0.0.1", port: 0 }, (connection) => server?.take(connection));
  ourPort = listener.bound.port;
});

after(async () => {
  if (why) return;
  execFileSync("postfix", ["-c", join(directory, "etc"), "stop"], { stdio: "ignore" });
  await listener?.close();
  server?.destroy();
  rmSync(directory, { recursive: true });
});

/** Sends each step once the replies to the one before have come; what the server said to each, greeting first. */
async function converse(port: number, from: string, steps: readonly Step[]): Promise<string[]> {
  const connection = await realNet.connect({ address: "127.0.0.1", port, from, timeout_ms: 5000 });
  const said: string[] = [];
  let received = "";
  let closed = false;
  let wake = (): void => {};
  connection.listen({
    data(bytes) {
      received += bytes.toString("utf8");
      wake();
    },
    ended() {
      closed = true;
      wake();
    },
    drained() {},
    closed() {
      closed = true;
      wake();
    },
  });
  const replies = (): number => received.match(/^\d{3}(?: .*)?\r\n/gm)?.length ?? 0;
  for (const step of ["", ...steps]) {
    const { send, expect } = typeof step === "string" ? { send: step, expect: 1 } : step;
    connection.write(Buffer.from(send));
    while (replies() < expect && !closed) await new Promise<void>((resolve) => (wake = resolve));
    said.push(received);
    received = "";
    if (closed) break;
  }
  connection.destroy();
  return said.map((text) => text.replace(/queued as \w+/g, "queued as ID"));
}

/** A text that one reply answers, or as many as `expect` says. */
type Step = string | { readonly send: string; readonly expect: number };

interface Dialogue {
  readonly name: string;
  readonly steps: readonly Step[];
  readonly from?: string;
  /** Replies of Postfix, and what we say instead. */
  readonly differs?: readonly { readonly postfix: string; readonly ours: string; readonly because: string }[];
}

const mail = "MAIL FROM:<a@b.test>\r\n";
const rcpt = "RCPT TO:<c@example.test>\r\n";
const ehlo = "EHLO client.test\r\n";

const ehloDiffers = [
  { postfix: "250-ETRN\r\n", ours: "", because: "there is no ETRN" },
  { postfix: "250-SMTPUTF8\r\n250 CHUNKING\r\n", ours: "250 SMTPUTF8\r\n", because: "there is no CHUNKING yet" },
];

const mustDeclare = "553 5.6.7 Must declare SMTPUTF8 to send unicode address\r\n";

const senderDiffers: Readonly<Record<string, NonNullable<Dialogue["differs"]>>> = {
  "<@b.test>": [
    {
      postfix: "250 2.1.0 Ok\r\n",
      ours: "501 5.1.7 Bad sender address syntax\r\n",
      because: "an address without a local part is nobody's, and cannot be answered",
    },
  ],
  "<ü@b.test>": [
    { postfix: "250 2.1.0 Ok\r\n", ours: mustDeclare, because: "the next hop could not be told how to read it" },
  ],
  "<a@bü.test>": [
    {
      postfix: "501 5.1.7 Bad sender address syntax\r\n",
      ours: mustDeclare,
      because: "the address is good, the declaration is missing",
    },
  ],
};

const dialogues: Dialogue[] = [
  {
    name: "a whole session",
    steps: [ehlo, mail, rcpt, "DATA\r\n", "Subject: x\r\n\r\nbody\r\n.\r\n", "QUIT\r\n"],
    differs: ehloDiffers,
  },
  { name: "HELO", steps: ["HELO client.test\r\n", "HELO\r\n", "EHLO\r\n", "HELO a b\r\n", mail, "QUIT\r\n"] },
  { name: "no HELO at all", steps: [mail, rcpt, "QUIT now\r\n"] },
  {
    name: "commands out of order",
    steps: ["RCPT TO:<x@y.test>\r\n", "DATA\r\n", mail, mail, "DATA\r\n", rcpt, "RSET\r\n", "DATA\r\n"],
  },
  {
    name: "commands that do not exist",
    steps: [
      "NOOP\r\n",
      "NOOP x y\r\n",
      "FOO\r\n",
      "\r\n",
      "STARTTLS\r\n",
      "STARTTLS x\r\n",
      "AUTH PLAIN\r\n",
      "QUIT\r\n",
    ],
  },
  {
    name: "AUTH after EHLO",
    steps: [ehlo, "AUTH PLAIN\r\n", "MAIL FROM:<a@b.test> AUTH=<>\r\n"],
    differs: ehloDiffers,
  },
  { name: "XCLIENT and XFORWARD from a stranger", steps: ["XCLIENT NAME=x\r\n", "XFORWARD NAME=x\r\n"] },
  {
    name: "syntax of MAIL",
    steps: [
      "MAIL\r\n",
      "MAIL FROM\r\n",
      "MAIL FROM:\r\n",
      "MAIL TO:<a@b.test>\r\n",
      "MAIL FROM:<a@b.test> FOO=BAR\r\n",
      "MAIL FROM:<a@b.test> FOO\r\n",
    ],
  },
  {
    name: "syntax of RCPT",
    steps: [
      mail,
      "RCPT\r\n",
      "RCPT TO:\r\n",
      "RCPT TO:<>\r\n",
      "RCPT TO:<a@example.test> X=Y\r\n",
      "RCPT FROM:<x>\r\n",
    ],
  },
  { name: "syntax of the others", steps: ["RSET x\r\n", mail, rcpt, "DATA x\r\n", "VRFY\r\n", "VRFY SMTPUTF8\r\n"] },
  {
    name: "VRFY",
    steps: ["VRFY c@example.test\r\n", "VRFY <c@example.test>\r\n", "VRFY x@elsewhere.test\r\n"],
  },
  ...[
    "<a@b.test>",
    "a@b.test",
    "<>",
    " <a@b.test>",
    "<@x.test,@y.test:a@b.test>",
    '<"a b"@b.test>',
    '<"a@b.test>',
    "<a@[1.2.3.4]>",
    "<a@[IPv6:::1]>",
    "<a@[1.2.3]>",
    "<root>",
    "<a..b@b.test>",
    "<.a@b.test>",
    "<a@b.test.>",
    "<a@-b.test>",
    "<a@b-.test>",
    "<a@1.2.3.4>",
    "<@>",
    "<a@>",
    "<@b.test>",
    "<a@b.test(c)>",
    "< a@b.test >",
    "<a>b@c.test>",
    "<<a@b.test>>",
    "<a b@c.test>",
    "<a,b@c.test>",
    "<a;b@c.test>",
    "<a:b@c.test>",
    "<a@b@c.test>",
    "<a@b..test>",
    "<a@b_c.test>",
    "<a!b@c.test>",
    "<a%b@c.test>",
    "<a\\ b@c.test>",
    "<(c)a@b.test>",
    "a@b.test>",
    "<a@b.test",
    "<a@b.test>>",
    "<ü@b.test>",
    "<a@bü.test>",
    `<a@${"x".repeat(64)}.test>`,
    `<${"x".repeat(80)}@b.test>`,
    "<a@[]>",
    '<""@b.test>',
    "<a@b c.test>",
    "<<>>",
  ].map(
    (address): Dialogue => ({
      name: `sender ${address}`,
      steps: [`MAIL FROM:${address}\r\n`],
      differs: senderDiffers[address] ?? [],
    }),
  ),
  ...[
    "<c@example.test>",
    "<C@EXAMPLE.TEST>",
    "<x@relayed.test>",
    "<x@elsewhere.test>",
    "<postmaster>",
    "<Postmaster>",
    "<x%elsewhere.test@example.test>",
    "<x!y@example.test>",
    '<"x@elsewhere.test"@example.test>',
    "<@example.test:x@elsewhere.test>",
    "<root>",
    '<"a b"@elsewhere.test>',
  ].map(
    (address): Dialogue => ({
      name: `recipient ${address}`,
      steps: [ehlo, mail, `RCPT TO:${address}\r\n`],
      differs: ehloDiffers,
    }),
  ),
  {
    name: "a friend may relay",
    from: friend,
    steps: [mail, "RCPT TO:<x@elsewhere.test>\r\n", "RCPT TO:<x%y.test@elsewhere.test>\r\n"],
  },
  ...[
    "SIZE=100",
    "SIZE=20001",
    "SIZE=x",
    "SIZE=",
    "SIZE",
    "SIZE=99999999999999999999",
    "BODY=8BITMIME",
    "BODY=7BIT",
    "BODY=BINARYMIME",
    "SMTPUTF8",
    "SMTPUTF8=1",
    "RET=FULL",
    "RET=hdrs",
    "RET=X",
    "ENVID=abc",
    "ENVID=+ZZ",
    "ENVID=a+20b",
    "ENVID=",
    "SIZE=1 BODY=7BIT RET=FULL",
    "RET=FULL RET=FULL",
    "ENVID=a ENVID=b",
    "AUTH=<>",
    "AUTH=a@b",
  ].map(
    (parameter): Dialogue => ({
      name: `MAIL with ${parameter}`,
      steps: [ehlo, `MAIL FROM:<a@b.test> ${parameter}\r\n`],
      differs: ehloDiffers,
    }),
  ),
  ...[
    "NOTIFY=NEVER",
    "NOTIFY=SUCCESS,FAILURE",
    "NOTIFY=never,DELAY",
    "NOTIFY=",
    "NOTIFY=X",
    "NOTIFY=DELAY NOTIFY=DELAY",
    "ORCPT=rfc822;a@b",
    "ORCPT=rfc822",
    "ORCPT=;a",
    "ORCPT=rfc822;a+2Bb",
    "ORCPT=rfc822;a+2",
    "ORCPT=utf-8;a",
  ].map(
    (parameter): Dialogue => ({
      name: `RCPT with ${parameter}`,
      steps: [mail, `RCPT TO:<c@example.test> ${parameter}\r\n`],
    }),
  ),
  { name: "too many recipients", steps: [mail, rcpt, rcpt, rcpt, rcpt, rcpt, rcpt, rcpt] },
  { name: "too many errors", steps: Array.from({ length: 8 }, () => "FOO\r\n") },
  { name: "too many NOOPs", steps: Array.from({ length: 16 }, () => "NOOP\r\n") },
  { name: "web browsers", steps: ["GET / HTTP/1.0\r\n"] },
  { name: "headers as commands", steps: ["Subject: hello\r\n"] },
  { name: "binary as commands", steps: ["\x16\x03\x01\r\n"] },
  { name: "bytes that are not UTF-8", steps: ["NOOP \u00fc\r\n"] },
  {
    name: "a group of commands",
    steps: [ehlo, { send: `${mail}RCPT TO:<x@elsewhere.test>\r\n${rcpt}DATA\r\n`, expect: 4 }, "a\r\n.\r\n"],
    differs: ehloDiffers,
  },
  {
    name: "a group of commands, all recipients refused",
    steps: [ehlo, { send: `${mail}RCPT TO:<x@elsewhere.test>\r\nDATA\r\n`, expect: 3 }, "QUIT\r\n"],
    differs: ehloDiffers,
  },
  { name: "a group of commands without EHLO", steps: [{ send: `HELO x\r\n${mail}`, expect: 2 }] },
  {
    name: "DATA and text in one",
    steps: [ehlo, mail, rcpt, { send: "DATA\r\na\r\n.\r\n", expect: 2 }],
    differs: ehloDiffers,
  },
  {
    name: "the final dot and QUIT in one",
    steps: [ehlo, mail, rcpt, "DATA\r\n", { send: "a\r\n.\r\nQUIT\r\n", expect: 2 }],
    differs: ehloDiffers,
  },
  {
    name: "a message that is too large",
    steps: [mail, rcpt, "DATA\r\n", `${"x".repeat(70)}\r\n`.repeat(400).concat(".\r\n"), mail],
  },
  { name: "look-alikes of the end", steps: [mail, rcpt, "DATA\r\n", "a\n.\nb\r\n.\nc\n.\r\nd\r\n.\r\n", "QUIT\r\n"] },
  { name: "bare LF in commands", steps: ["NOOP\n", "EHLO x\n".replace("EHLO", "HELO"), "QUIT\n"] },
  {
    name: "a second message in one session",
    steps: [mail, rcpt, "DATA\r\n", ".\r\n", mail, "RSET\r\n", mail, rcpt, "DATA\r\n", "x\r\n.\r\n", "QUIT\r\n"],
  },
];

for (const { name, steps, from, differs } of dialogues) {
  test(`as Postfix answers: ${name}`, { skip: why }, async () => {
    const [postfix, ours] = await Promise.all([
      converse(postfixPort, from ?? "127.0.0.1", steps),
      converse(ourPort, from ?? "127.0.0.1", steps),
    ]);
    const wanted = postfix.map((text) =>
      (differs ?? []).reduce((said, each) => said.replace(each.postfix, each.ours), text),
    );
    assert.deepEqual(ours, wanted);
  });
}
