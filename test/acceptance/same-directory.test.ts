import assert from "node:assert/strict";
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, type TestContext, test } from "node:test";
import { needs } from "../lab/needs.ts";
import { makeNetwork, type Network } from "../lab/network.ts";
import { launcher, makePostern, type Postern } from "../lab/postern.ts";
import { until } from "../lab/until.ts";
import { giveToPostfix, postfixServices } from "../peers/postfix.ts";
import { type Delivered, type Smarthost, startSmarthost } from "./smarthost.ts";

/** One configuration directory, run by Debian's Postfix and by Postern: the same mail comes out of both. */
const able = needs({ root: true, programs: ["postfix", "postmap", "postalias", "dovecot", "swaks", "ip", "ss"] });

let network: Network;
let smarthost: Smarthost;

before(async () => {
  if (able.skip) return;
  network = await makeNetwork({ "mail.my-isp.org": "10.77.0.2" });
  smarthost = await startSmarthost({
    host: network.provider,
    name: "mail.my-isp.org",
    accounts: { test: "testpass" },
    refusals: {
      "refused@far.example": "550 5.1.1 no such user",
      "later@far.example": "450 4.2.0 mailbox busy",
    },
  });
});

after(async () => {
  await smarthost?.stop();
  network?.remove();
});

/** What is sent by SMTP: the envelope, and the data as it goes over the wire but for the final dot. */
const bySmtp: readonly { readonly from: string; readonly to: readonly string[]; readonly data: string }[] = [
  {
    from: "me@home.example",
    to: ["you@far.example"],
    data: "From: me@client.example.com\nTo: you@far.example\nSubject: plain\nDate: Mon, 1 Jan 2001 00:00:00 +0000\nMessage-Id: <plain@client.example.com>\n\nHello.\n",
  },
  { from: "me@home.example", to: ["you@far.example"], data: "Subject: nothing but a subject\n\nHello.\n" },
  { from: "me@home.example", to: ["you@far.example"], data: "no header at all\n" },
  { from: "me@home.example", to: ["you@far.example"], data: "\nan empty header\n" },
  {
    from: "me@home.example",
    to: ["one@far.example", "refused@far.example", "two@far.example"],
    data: "From: me@client.example.com\nSubject: one of three is refused\n\nHello.\n",
  },
  { from: "me@home.example", to: ["refused@far.example"], data: "Subject: the only one is refused\n\nHello.\n" },
  { from: "", to: ["refused@far.example"], data: "Subject: refused, and nobody to tell\n\nHello.\n" },
  { from: "me@home.example", to: ["later@far.example"], data: "Subject: not now\n\nHello.\n" },
  { from: "", to: ["you@far.example"], data: "From: MAILER-DAEMON\nSubject: from nobody\n\nHello.\n" },
  {
    from: "me@home.example",
    to: ["you@far.example"],
    data: "Subject: Gr\u00fc\u00dfe\nFrom: J\u00fcrgen <me@client.example.com>\n\n\u00e4\u00f6\u00fc \u20ac\n",
  },
  {
    from: "me@home.example",
    to: ["you@far.example"],
    data: `Subject: a long line\n\n${"0123456789".repeat(250)}\nshort\n${"x".repeat(998)}\n${"y".repeat(999)}\n`,
  },
  { from: "me@home.example", to: ["you@far.example"], data: "Subject: dots\n\n..\n..one\n...two\nend\n" },
  {
    from: "me@home.example",
    to: ["you@far.example"],
    data: "Return-Path: <old@client.example.com>\nBcc: secret@far.example\nContent-Length: 7\nSubject: removed headers\nResent-Bcc: more@far.example\n\nHello.\n",
  },
  {
    from: "me@home.example",
    to: ["you@far.example"],
    data: "Resent-To: you@far.example\nFrom : spaced@client.example.com\nSubject: resent\n and folded\n\nHello.\n",
  },
  {
    from: "me",
    to: ["you@far.example"],
    data: "From: me\nTo: you@far.example, bob\nCc: Some One <some.one>, group: a, b;\nReply-To: x@short\nSubject: names without a domain\n\nHello.\n",
  },
  { from: "me@home.example", to: ["team@virtual.example"], data: "Subject: a virtual alias\n\nHello.\n" },
  {
    from: "ME+ext@Client.Example.COM",
    to: ["You@FAR.example", "you@far.example", '"john doe"@far.example', "@relay.example:routed@far.example"],
    data: 'Subject: unusual addresses\nTo: You@FAR.example, "john doe"@far.example\n\nHello.\n',
  },
  {
    from: "me@home.example",
    to: ["you@far.example"],
    data: `Subject: many headers\n${Array.from({ length: 50 }, (_, index) => `X-${index}: ${"v".repeat(index * 20)}\n`).join("")}\nHello.\n`,
  },
];

/** What is sent by sendmail, as root. */
const bySendmail: readonly { readonly args: readonly string[]; readonly text: string }[] = [
  { args: ["-f", "me@home.example", "you@far.example"], text: "Subject: by sendmail\n\nHello.\n" },
  {
    args: ["-t", "-i", "-F", "Full Name"],
    text: "To: you@far.example\nCc: Some One <one@far.example>\nBcc: hidden@far.example\nSubject: recipients from the header\n\nbefore\n.\nafter\n",
  },
  { args: ["-f", "<>", "-oi", "you@far.example"], text: "Subject: null sender\n\nHello.\n" },
  { args: ["-f", "me@home.example", "you@far.example"], text: "Subject: a lone dot\n\nbefore\n.\nafter\n" },
  {
    args: ["-B8BITMIME", "-r", "me@home.example", "you@far.example", "two@far.example"],
    text: "Subject: \u00fcber\n\n\u00e4\n",
  },
  { args: ["-f", "me@home.example", "refused@far.example"], text: "Subject: refused by sendmail\n\nHello.\n" },
  { args: ["-f", "me@home.example", "you@far.example"], text: "Subject: no newline at the end\n\nHello." },
  {
    args: ["-f", "me@home.example", "you@far.example"],
    text: "From me Mon Jan  1 00:00:00 2001\nSubject: from a mailbox\n\nHello.\r\nWorld.\r\n",
  },
];

/** Mail for local names that are aliases: Postfix forwards it by its local delivery agent, Postern as it comes in. */
const toAliases: readonly { readonly args: readonly string[]; readonly text: string }[] = [
  {
    args: ["-i", "-FCronDaemon", "-B8BITMIME", "-oem", "root"],
    text: "From: root (Cron Daemon)\nTo: root\nSubject: Cron <root@client> backup\n\nHello.\n",
  },
  { args: ["-f", "me@home.example", "staff"], text: "Subject: an alias for three\n\nHello.\n" },
];

/** The directory: made once, run twice. */
function makeDirectory(): Postern {
  const postern = makePostern({
    host: network.client,
    masterCf: `smtp inet n - n - - smtpd\n${postfixServices.join("\n")}\n`,
    mainCf: {
      config_directory: "@DIRECTORY@/etc",
      data_directory: "@DIRECTORY@/data",
      daemon_directory: "/usr/lib/postfix/sbin",
      command_directory: "/usr/sbin",
      mydestination: "$myhostname",
      alias_maps: "hash:@DIRECTORY@/etc/aliases",
      alias_database: "hash:@DIRECTORY@/etc/aliases",
      virtual_alias_maps: "hash:@DIRECTORY@/etc/virtual",
      local_recipient_maps: "$alias_maps",
      smtp_host_lookup: "dns",
      disable_dns_lookups: "no",
      relayhost: "[mail.my-isp.org]",
      smtp_sasl_auth_enable: "yes",
      smtp_sasl_password_maps: "hash:@DIRECTORY@/etc/sasl_passwd",
      smtp_sasl_security_options: "",
    },
  });
  for (const name of ["data", "spool"]) mkdirSync(join(postern.directory, name));
  giveToPostfix(join(postern.directory, "data"));
  const table = (name: string, text: string, program: string): void => {
    const path = join(postern.etc, name);
    writeFileSync(path, text, { mode: 0o600 });
    const { status, stderr } = network.client.run(program, ["-c", postern.etc, `hash:${path}`]);
    assert.equal(status, 0, stderr);
  };
  table("sasl_passwd", "mail.my-isp.org test:testpass\n", "postmap");
  table("virtual", "team@virtual.example one@far.example, two@far.example\n", "postmap");
  table("aliases", "root: admin@far.example\nstaff: one@far.example, two@far.example, root\n", "postalias");
  return postern;
}

interface Outcome {
  readonly deliveries: readonly string[];
  readonly aliased: readonly string[];
  readonly statuses: readonly string[];
  readonly deferred: readonly string[];
}

/** Sends everything through what runs on this directory, and takes down what came of it. `program` is what a command of Postfix is called by. */
async function outcome(postern: Postern, program: readonly string[]): Promise<Outcome> {
  const known = new Set(smarthost.delivered());
  const logBefore = postern.log().length;
  const [sendmail = "", ...front] = program;
  const command = (name: string, args: readonly string[], input = "") => {
    const line = program.length > 0 ? ([sendmail, [...front, name, ...args]] as const) : ([name, args] as const);
    const ran = network.client.run(...line, { input, env: { MAIL_CONFIG: postern.etc } });
    assert.equal(ran.status, 0, `${name} ${args.join(" ")}: ${ran.stdout}${ran.stderr}${postern.log()}`);
    return ran.stdout;
  };
  const settled = async (): Promise<string[]> => {
    const items = (): { queue_name: string; recipients: { address: string }[] }[] =>
      command("postqueue", ["-j"])
        .split("\n")
        .filter((line) => line !== "")
        .map((line) => JSON.parse(line));
    const left = await until(
      "all mail to be tried",
      () => {
        const now = items();
        return now.every(({ queue_name }) => queue_name === "deferred") && now;
      },
      { about: postern.log },
    );
    await smarthost.settled();
    return left.flatMap(({ recipients }) => recipients.map(({ address }) => address));
  };
  const news = (): Delivered[] => {
    const found = smarthost.delivered().filter((each) => !known.has(each));
    for (const each of found) known.add(each);
    return found;
  };
  for (const { args, text } of toAliases) command("sendmail", args, text);
  await settled();
  const aliased = news().map(forwarded).sort();
  const logAfterAliases = Math.max(logBefore, postern.log().length);
  for (const message of bySmtp) sendBySmtp(message);
  for (const { args, text } of bySendmail) command("sendmail", args, text);
  const deferred = await settled();
  const log = postern.log().slice(logAfterAliases);
  return { deliveries: news().map(plain).sort(), aliased, statuses: statusLines(log), deferred };
}

function sendBySmtp({ from, to, data }: (typeof bySmtp)[number]): void {
  const wire = `${data.replaceAll("\n", "\r\n")}.`;
  const { status, stdout, stderr } = network.client.run(
    "swaks",
    [
      ...["--server", "127.0.0.1", "--helo", "tester.example", "--from", from === "" ? "<>" : from],
      ...["--to", to.join(","), "--no-data-fixup", "--data", "@-"],
    ],
    { input: Buffer.from(wire) },
  );
  assert.equal(status, 0, stdout + stderr);
}

const id = /\b[0-9A-F]{9,}\b/g;
const recentDate = /\w{3}, +\d{1,2} \w{3} 20[2-9]\d \d\d:\d\d:\d\d [-+]\d{4}(?: \(\w+\))?/g;

/** What differs from run to run is taken out: ids, times of today, boundaries made of them. */
function normal(text: string): string {
  return text
    .replaceAll(recentDate, "DATE")
    .replaceAll(/<\d{14}\.[0-9A-F]{9,}@/g, "<MESSAGE-ID@")
    .replaceAll(/\b[0-9A-F]{9,}\.\d{9,}\//g, "BOUNDARY/")
    .replaceAll(id, "ID");
}

const plain = ({ sender, recipient, message }: Delivered): string =>
  normal(`MAIL FROM:<${sender}>\nRCPT TO:<${recipient}>\n${message}`);

/** Without the traces of the local delivery agent. */
const forwarded = ({ sender, recipient, message }: Delivered): string =>
  normal(
    `MAIL FROM:<${sender}>\nRCPT TO:<${recipient}>\n${message.replace(/^(?:(?:Received|Delivered-To): .*\n(?:[ \t].*\n)*)+/, "")}`,
  );

function statusLines(log: string): string[] {
  return (log.match(/[^ ]+: to=<.*status=.*$/gm) ?? [])
    .map((line) => normal(line.replace(/ conn_use=\d+,/, "").replace(/ delay=[\d.]+, delays=[\d./]+,/, "")))
    .sort();
}

test(
  "under Debian's Postfix and under Postern a directory gives the same deliveries and the same log",
  able,
  async (t) => {
    const postern = makeDirectory();
    t.after(() => postern.remove());
    const postfix = (...args: string[]) => network.client.run("postfix", ["-c", postern.etc, ...args]);
    t.after(() => postfix("abort"));
    const started = postfix("start");
    assert.equal(started.status, 0, started.stderr + postern.log());
    await until("Postfix to listen", () => network.client.run("ss", ["-Hltn", "sport = :25"]).stdout, {
      about: postern.log,
    });
    const theirs = await outcome(postern, []);
    assert.equal(postfix("stop").status, 0);
    await until("Postfix to end", () => postfix("status").status !== 0);
    // What Postfix could not deliver is its own, in its own part of the queue directory.
    postern.start();
    const ours = await outcome(postern, [launcher]);
    await t.test("the envelopes and messages are the same", () => assert.deepEqual(ours.deliveries, theirs.deliveries));
    await t.test("mail to aliases goes to the same recipients", () => assert.deepEqual(ours.aliased, theirs.aliased));
    await t.test("the log's status lines are the same", () => assert.deepEqual(ours.statuses, theirs.statuses));
    await t.test("the same mail stays in the queue", () => assert.deepEqual(ours.deferred, theirs.deferred));
  },
);

/** A directory that begins as the package brings it, with nothing changed but the port and the queue directory. */
function debianDirectory(t: TestContext, files: (etc: string) => void): Postern {
  const postern = makePostern({ host: network.client });
  t.after(() => postern.remove());
  rmSync(postern.etc, { recursive: true });
  mkdirSync(postern.etc);
  files(postern.etc);
  const edited = postern.program("postconf", ["-e", `queue_directory = ${join(postern.directory, "spool")}`]);
  assert.equal(edited.status, 0, edited.stderr);
  const services = readFileSync(postern.masterCf, "utf8");
  writeFileSync(postern.masterCf, services.replace(/^smtp( +inet)/m, "2525$1"));
  assert.notEqual(readFileSync(postern.masterCf, "utf8"), services);
  return postern;
}

const packaged = (name: string): string => readFileSync(join("/usr/share/postfix", name), "utf8");

const debianTemplates: Readonly<Record<string, { main: string; unsupported: readonly string[] }>> = {
  "main.cf.debian": { main: "main.cf.debian", unsupported: [] },
  "main.cf.debian with main.cf.tls": {
    main: "main.cf.debian main.cf.tls",
    unsupported: ["smtpd_tls_cert_file", "smtpd_tls_key_file", "smtpd_tls_security_level"],
  },
};

for (const [name, { main, unsupported }] of Object.entries(debianTemplates)) {
  test(`Debian's ${name} starts with nothing changed but port and queue directory`, able, async (t) => {
    const postern = debianDirectory(t, (etc) => {
      writeFileSync(join(etc, "main.cf"), main.split(" ").map(packaged).join("\n"));
      writeFileSync(join(etc, "master.cf"), packaged("master.cf.dist"));
    });
    startsAndTakesMail(postern, unsupported);
  });
}

test(
  "what Debian's package has put into /etc/postfix starts with nothing changed but port and queue directory",
  able,
  async (t) => {
    const postern = debianDirectory(t, (etc) => cpSync("/etc/postfix", etc, { recursive: true }));
    startsAndTakesMail(postern, []);
  },
);

/** It starts, names at its start what it does not support, and answers on its port. */
function startsAndTakesMail(postern: Postern, unsupported: readonly string[]): void {
  const { status, stderr } = postern.run(["start"]);
  assert.equal(status, 0, stderr);
  for (const name of unsupported) {
    const line =
      readFileSync(postern.mainCf, "utf8")
        .split("\n")
        .findIndex((each) => each.startsWith(name)) + 1;
    const warning = `postern: warning: ${postern.mainCf}, line ${line}: parameter ${name} is not supported, and ignored\n`;
    assert.ok(stderr.includes(warning), `${stderr} lacks ${warning}`);
  }
  const greeting = network.client.run("swaks", [
    "--server",
    "127.0.0.1:2525",
    "--to",
    "you@far.example",
    "--quit-after",
    "RCPT",
  ]);
  assert.equal(greeting.status, 0, greeting.stdout + greeting.stderr);
  assert.match(greeting.stdout, /220 .* ESMTP Postfix \(Debian\/GNU\)/);
}
