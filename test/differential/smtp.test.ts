/**
 * The SMTP client beside Debian's Postfix: both deliver the same message to
 * servers that misbehave in the same way, and what they write down about it is
 * compared: status, enhanced status code, reason and what the server was told.
 * Differences that are wanted are listed with their reason; nothing else may differ.
 *
 * Needs root and /usr/sbin/postfix; skipped, and counted so, without them.
 */
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { chmod, chown, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { realNet } from "../../src/runtime/net.ts";
import { requestTo, type TestMessage, testClient, type Written } from "../../src/smtp/testing/client.ts";
import { type Answer, type Script, ScriptedServer } from "../../src/smtp/testing/scripted-server.ts";

const run = promisify(execFile);
const skip = process.getuid?.() !== 0 || !existsSync("/usr/sbin/postfix") ? "needs root and Postfix" : false;

interface Case {
  /** What the server does; several are hosts tried one after the other. "refuse": nobody listens there. */
  readonly script: Script | readonly (Script | "refuse")[] | "refuse";
  readonly conf?: Written;
  /** Postfix needs it said otherwise. */
  readonly postfixConf?: Readonly<Record<string, string>>;
  readonly password?: string;
  readonly message?: TestMessage;
  readonly sendmail?: readonly string[];
  /** Why the two differ, and how ours begins instead: "status dsn reason". */
  readonly differs?: { readonly because: string; readonly ours: RegExp };
  /** What the servers are told differs, and why; the outcome must not. */
  readonly toldDiffers?: string;
}

const capabilities = (...words: string[]): Answer => ["scripted.test", "PIPELINING", "8BITMIME", ...words];
const rcpt = (answer: Answer): Script => ({ on: { RCPT: answer } });
const auth: Written = { smtp_sasl_auth_enable: "yes", smtp_sasl_security_options: "" };
const offering = (list: string, on: Script["on"] = {}): Script => ({
  ehlo: capabilities(list),
  on: { AUTH: "235 2.7.0 in", ...on },
});
const one = "one@NAME.test";
const two = { to: ["bad@NAME.test", "good@NAME.test"] };

const cases: Readonly<Record<string, Case>> = {
  accepted: { script: {} },
  "accepted without pipelining": { script: { ehlo: ["scripted.test"] }, message: two },
  "no enhanced code": { script: { dot: "250 thanks" } },
  "multi-line acceptance": { script: { dot: { raw: "250-2.0.0 first\r\n250 2.0.0 second\r\n" } } },
  "greeting 554": { script: { greeting: "554 5.7.1 go away" } },
  "greeting 554 without skip": { script: { greeting: "554 5.7.1 go away" }, conf: { smtp_skip_5xx_greeting: "no" } },
  "greeting 421": { script: { greeting: "421 4.3.2 busy" } },
  "greeting 200": { script: { greeting: "200 hello" } },
  "greeting without ESMTP": { script: { greeting: "220 scripted.test hello" } },
  "greeting without ESMTP, EHLO only where announced": {
    script: { greeting: "220 scripted.test hello" },
    conf: { smtp_always_send_ehlo: "no" },
  },
  "EHLO never": { script: {}, conf: { smtp_never_send_ehlo: "yes" } },
  "EHLO 502": { script: { ehlo: "502 5.5.1 what" } },
  "EHLO 450": { script: { ehlo: "450 4.5.1 not now" } },
  "EHLO 421": { script: { ehlo: "421 4.3.2 closing" } },
  "EHLO and HELO 5xx": { script: { ehlo: "502 5.5.1 what", helo: "554 5.7.1 no" } },
  "EHLO 5xx and HELO 450": { script: { ehlo: "502 5.5.1 what", helo: "450 4.7.1 later" } },
  "MAIL 550": { script: { on: { MAIL: "550 5.7.1 sender refused" } } },
  "MAIL 550 without pipelining": { script: { ehlo: ["scripted.test"], on: { MAIL: "550 5.7.1 sender refused" } } },
  "MAIL 451": { script: { on: { MAIL: "451 4.3.0 later" } } },
  "MAIL 666": { script: { on: { MAIL: "666 what" } } },
  "RCPT 550": { script: rcpt("550 5.1.1 no such user") },
  "RCPT 450": { script: rcpt("450 4.2.1 greylisted") },
  "RCPT 552": { script: rcpt("552 5.2.2 full") },
  "RCPT 354": { script: rcpt("354 what") },
  "RCPT 666": { script: rcpt("666 what") },
  "RCPT 251": { script: rcpt("251 2.1.5 will forward") },
  "RCPT without text": { script: rcpt("550") },
  "RCPT with a contradicting enhanced code": { script: rcpt("550 2.1.1 odd") },
  "RCPT with a temporary enhanced code": { script: rcpt("550 4.1.1 odd") },
  "RCPT refused in several lines": { script: rcpt({ raw: "550-5.1.1 no such\r\n550 5.1.1 user\r\n" }) },
  "RCPT refused for one of two": {
    script: rcpt("250 ok"),
    message: two,
  },
  "all RCPT refused": { script: rcpt("550 5.1.1 no"), message: two },
  "DATA 554": { script: { on: { DATA: "554 5.6.0 no" } } },
  "DATA 451": { script: { on: { DATA: "451 4.3.0 no" } } },
  "DATA 250": { script: { on: { DATA: "250 2.0.0 what" } } },
  "dot 554": { script: { dot: "554 5.7.1 spam" } },
  "dot 451": { script: { dot: "451 4.7.1 later" } },
  "dot 354": { script: { dot: "354 more" } },
  "dropped at the greeting": { script: { greeting: "DROP" } },
  "dropped at EHLO": { script: { ehlo: "DROP" } },
  "dropped at MAIL": { script: { on: { MAIL: "DROP" } } },
  "dropped at RCPT": { script: { on: { RCPT: "DROP" } } },
  "dropped at DATA": { script: { on: { DATA: "DROP" } } },
  "dropped after the dot": { script: { dot: "DROP" } },
  "half a reply after the dot": { script: { dot: { raw: "250" } }, conf: { smtp_data_done_timeout: "1s" } },
  "silent at the greeting": { script: { greeting: "SILENCE" }, conf: { smtp_helo_timeout: "1s" } },
  "silent at MAIL": { script: { on: { MAIL: "SILENCE" } }, conf: { smtp_mail_timeout: "1s" } },
  "silent at RCPT": { script: { on: { RCPT: "SILENCE" } }, conf: { smtp_rcpt_timeout: "1s" } },
  "silent after the dot": { script: { dot: "SILENCE" }, conf: { smtp_data_done_timeout: "1s" } },
  "nobody there": { script: "refuse" },
  "larger than SIZE": { script: { ehlo: capabilities("SIZE 10") } },
  "SIZE without a number": { script: { ehlo: capabilities("SIZE") } },
  "SIZE discarded": {
    script: { ehlo: capabilities("SIZE 10") },
    conf: { smtp_discard_ehlo_keywords: "size, silent-discard" },
  },
  "second host after a refused greeting": { script: [{ greeting: "554 5.3.2 no" }, {}] },
  "second host after a 4xx recipient": { script: [rcpt("450 4.2.1 later"), {}] },
  "no second host after a 5xx recipient": { script: [rcpt("550 5.1.1 never"), {}] },
  "second host after a drop at the dot": { script: [{ dot: "DROP" }, {}] },
  "second host when the first is not there": { script: ["refuse", {}] },
  "both hosts 4xx": { script: [rcpt("450 4.2.1 later"), rcpt("451 4.2.2 too")] },
  "first 4xx, second not there": { script: [rcpt("450 4.2.1 later"), "refuse"] },
  "junk before a reply": { script: rcpt({ raw: "what\r\n250 2.1.5 ok\r\n" }) },
  soft_bounce: { script: rcpt("550 5.1.1 no"), conf: { soft_bounce: "yes" } },
  "DSN offered": { script: { ehlo: capabilities("DSN", "SIZE") } },
  "DSN asked for and offered": {
    script: { ehlo: capabilities("DSN", "SIZE") },
    sendmail: ["-N", "success,failure", "-R", "hdrs", "-V", "abc+def=1"],
    message: {
      to: [{ address: one, original: one, notify: ["SUCCESS", "FAILURE"] }],
      envelope: { ret: "HDRS", envid: "abc+2Bdef+3D1" },
    },
  },
  "8-bit mail with MIME headers": {
    script: { ehlo: ["scripted.test"] },
    message: {
      body: "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\ngr\xc3\xbc\xc3\x9fe = x \r\n.dot\r\n",
    },
  },
  "8-bit mail without MIME headers": {
    script: { ehlo: ["scripted.test"] },
    message: { body: "Subject: x\r\n\r\ngr\xc3\xbc\xc3\x9fe\r\n" },
  },
  "8-bit multipart": {
    script: { ehlo: ["scripted.test"] },
    message: {
      body: 'MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="b b"\r\nContent-Transfer-Encoding: 8bit\r\n\r\npre\r\n--b b\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\xc3\xbc\r\n--b b\r\nContent-Type: text/plain\r\n\r\nplain\r\n--b b--\r\npost\r\n',
    },
  },
  "8BITMIME offered": {
    script: {},
    message: { body: "Subject: x\r\n\r\ngr\xc3\xbc\xc3\x9fe\r\n" },
    toldDiffers: "BODY=8BITMIME is said of every 8-bit message, not only where whoever submitted it said so",
  },
  "long lines": {
    script: {},
    message: {
      body: `Subject: x\r\n\r\n${"a".repeat(998)}\r\n${"b".repeat(999)}\r\n${"c".repeat(3000)}\r\n.\r\n..\r\n`,
    },
  },
  "TLS required and not offered": { script: {}, conf: { smtp_tls_security_level: "encrypt" } },
  "TLS required and refused": {
    script: { ehlo: capabilities("STARTTLS"), on: { STARTTLS: "454 4.7.0 not available" } },
    conf: { smtp_tls_security_level: "encrypt" },
  },
  "TLS required and refused for good": {
    script: { ehlo: capabilities("STARTTLS"), on: { STARTTLS: "500 5.5.1 what" } },
    conf: { smtp_tls_security_level: "encrypt" },
    differs: {
      because: "one injected line must not destroy mail",
      ours: /^deferred 4\.5\.1 TLS is required, but host .* refused to start TLS: 500 5\.5\.1 what$/,
    },
  },
  "TLS wished for and refused": {
    script: { ehlo: capabilities("STARTTLS"), on: { STARTTLS: "454 4.7.0 not available" } },
    conf: { smtp_tls_security_level: "may" },
  },
  "login accepted": { script: offering("AUTH PLAIN LOGIN"), conf: auth, password: "user:secret" },
  "login accepted with 250": {
    script: offering("AUTH PLAIN", { AUTH: "250 2.7.0 fine" }),
    conf: auth,
    password: "user:secret",
  },
  "login in the old form": { script: offering("AUTH=PLAIN"), conf: auth, password: "user:secret" },
  "login by LOGIN, lower case": {
    script: offering("auth login", {
      AUTH: "334 VXNlcm5hbWU6",
      dXNlcg: "334 UGFzc3dvcmQ6",
      "dXNlcg==": "334 UGFzc3dvcmQ6",
      c2VjcmV0: "235 2.7.0 in",
    }),
    conf: auth,
    password: "user:secret",
  },
  "login refused": { script: offering("AUTH PLAIN", { AUTH: "535 5.7.8 wrong" }), conf: auth, password: "user:secret" },
  "login refused for now": {
    script: offering("AUTH PLAIN", { AUTH: "454 4.7.0 later" }),
    conf: auth,
    password: "user:secret",
  },
  "login refused for good": {
    script: offering("AUTH PLAIN", { AUTH: "535 5.7.8 wrong" }),
    conf: { ...auth, smtp_sasl_auth_soft_bounce: "no" },
    password: "user:secret",
  },
  "login refused, second host": {
    script: [offering("AUTH PLAIN", { AUTH: "535 5.7.8 wrong" }), offering("AUTH PLAIN")],
    conf: auth,
    password: "user:secret",
  },
  "no mechanism that satisfies": {
    script: offering("AUTH PLAIN LOGIN"),
    conf: { smtp_sasl_auth_enable: "yes" },
    password: "user:secret",
  },
  "no mechanism that is known": { script: offering("AUTH FOO BAR"), conf: auth, password: "user:secret" },
  "an empty list of mechanisms": { script: offering("AUTH"), conf: auth, password: "user:secret" },
  "no password": { script: offering("AUTH PLAIN"), conf: auth },
  "no AUTH": { script: {}, conf: auth, password: "user:secret" },
  "an empty password": { script: offering("AUTH PLAIN"), conf: auth, password: "user" },
  "a password with a colon": { script: offering("AUTH PLAIN"), conf: auth, password: "user:se:cret" },
  "an empty user name": {
    script: offering("AUTH PLAIN"),
    conf: auth,
    password: ":secret",
    differs: { because: "it says what is wrong", ours: /^deferred 4\.7\.0 .*: the user name is empty$/ },
  },
  "dropped in AUTH": { script: offering("AUTH PLAIN", { AUTH: "DROP" }), conf: auth, password: "user:secret" },
  "a challenge that is not base64": {
    script: offering("AUTH CRAM-MD5", { AUTH: "334 ???" }),
    conf: auth,
    password: "user:secret",
    differs: {
      because: "the exchange is cancelled, as RFC 4954 asks, and the text says what was wrong",
      ours: /^deferred 4\.7\.0 SASL authentication failed; cannot authenticate to server /,
    },
  },
  "dummy AUTH": {
    script: offering("AUTH PLAIN"),
    conf: { ...auth, smtp_send_dummy_mail_auth: "yes" },
    password: "user:secret",
  },
  "a code that does not exist": {
    script: rcpt("999 what"),
    differs: {
      because: "a server out of step is no reason to return mail",
      ours: /^deferred 4\.5\.0 Protocol error: /,
    },
  },
  "one reply with different codes": {
    script: rcpt({ raw: "250-fine\r\n550 5.1.1 not fine\r\n" }),
    differs: {
      because: "a server out of step is no reason to return mail",
      ours: /^deferred 4\.5\.0 Protocol error: /,
    },
  },
  "an echo of the login": {
    script: offering("AUTH PLAIN", { AUTH: "535 5.7.8 AHVzZXIAc2VjcmV0IGlzIHdyb25n was wrong" }),
    conf: auth,
    password: "user:secret is wrong",
    differs: {
      because: "what went into AUTH is masked",
      ours: /^deferred 4\.7\.8 .* said: 535 5\.7\.8 \*\*\* was wrong$/,
    },
  },
};

interface Outcome {
  readonly results: readonly string[];
  readonly told: readonly string[];
  readonly taken: readonly string[];
}

const names = Object.keys(cases);
const domainOf = (name: string): string => `c${names.indexOf(name)}`;
let directory = "";
const postfixServers = new Map<string, ScriptedServer[]>();

before(async () => {
  if (skip) return;
  directory = await mkdtemp("/tmp/postern-differential-");
  await chmod(directory, 0o755);
  for (const name of ["conf", "queue", "data"]) await mkdir(`${directory}/${name}`);
  await chown(`${directory}/data`, Number((await run("id", ["-u", "postfix"])).stdout), -1);
  await writeConfiguration();
  await run("/usr/sbin/postfix", ["-c", `${directory}/conf`, "start"]);
});

after(async () => {
  if (skip) return;
  await run("/usr/sbin/postfix", ["-c", `${directory}/conf`, "stop"]).catch(() => {});
  for (const servers of postfixServers.values()) for (const server of servers) await server.close();
  await rm(directory, { recursive: true, force: true });
});

async function writeConfiguration(): Promise<void> {
  const main = `compatibility_level = 3.6
queue_directory = ${directory}/queue
data_directory = ${directory}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
maillog_file = ${directory}/maillog
maillog_file_prefixes = /tmp
multi_instance_name = differential
multi_instance_enable = no
myhostname = relay.test
mydestination =
inet_interfaces = loopback-only
alias_maps =
transport_maps = texthash:${directory}/conf/transport
notify_classes =
smtp_connection_cache_on_demand = no
`;
  const services = ["pickup unix n - n 60 1 pickup", "cleanup unix n - n - 0 cleanup", "qmgr unix n - n 300 1 qmgr"];
  services.push(
    "tlsmgr unix - - n 1000? 1 tlsmgr",
    "rewrite unix - - n - - trivial-rewrite",
    "bounce unix - - n - 0 bounce",
  );
  services.push("defer unix - - n - 0 bounce", "trace unix - - n - 0 bounce", "proxymap unix - - n - - proxymap");
  services.push("error unix - - n - - error", "retry unix - - n - - error", "discard unix - - n - - discard");
  services.push("anvil unix - - n - 1 anvil", "scache unix - - n - 1 scache", "showq unix n - n - - showq");
  services.push("postlog unix-dgram n - n - 1 postlogd", "flush unix n - n 1000? 0 flush");
  const transports: string[] = ["sender.test discard:"];
  for (const [name, { script, conf, postfixConf, password }] of Object.entries(cases)) {
    const servers = await listening(script);
    postfixServers.set(name, servers);
    const service = domainOf(name);
    transports.push(`${service}.test ${service}:${hopOf(script, servers)}`);
    const options: Record<string, string> = { ...conf, ...postfixConf };
    if (conf?.smtp_sasl_auth_enable) {
      const reference = password === undefined ? "{{absent=x}}" : `{{127.0.0.1=${password}}}`;
      options.smtp_sasl_password_maps = `inline:${reference}`;
    }
    services.push(`${service} unix - - n - - smtp`);
    for (const [parameter, value] of Object.entries(options)) services.push(`  -o { ${parameter} = ${value} }`);
  }
  await writeFile(`${directory}/conf/main.cf`, main);
  await writeFile(`${directory}/conf/master.cf`, `${services.join("\n")}\n`);
  await writeFile(`${directory}/conf/transport`, `${transports.join("\n")}\n`);
}

async function listening(script: Case["script"]): Promise<ScriptedServer[]> {
  const scripts = (Array.isArray(script) ? script : [script]) as readonly (Script | "refuse")[];
  const servers: ScriptedServer[] = [];
  for (const each of scripts)
    if (each !== "refuse") servers.push(await new ScriptedServer(each).listen(realNet, await freePort()));
  return servers;
}

let nextPort = 21_100;

/** In a range of our own, so that a port where nobody should listen stays free. */
async function freePort(): Promise<number> {
  for (;;) {
    const port = nextPort++;
    try {
      const listener = await realNet.listen({ address: "127.0.0.1", port }, () => {});
      await listener.close();
      return port;
    } catch {
      // Somebody else's.
    }
  }
}

function hopOf(script: Case["script"], servers: readonly ScriptedServer[]): string {
  const scripts = (Array.isArray(script) ? script : [script]) as readonly (Script | "refuse")[];
  let taken = 0;
  return scripts.map((each) => `[127.0.0.1]:${each === "refuse" ? 21_001 : servers[taken++]?.port}`).join(",");
}

function messageOf(name: string): { message: TestMessage; recipients: string[] } {
  const message = cases[name]?.message ?? {};
  const to = (message.to ?? [one]).map((each) => {
    const own = (text: string | undefined): string => (text ?? one).replace("NAME", domainOf(name));
    return typeof each === "string" ? own(each) : { ...each, address: own(each.address), original: own(each.original) };
  });
  const recipients = to.map((each) => (typeof each === "string" ? each : (each.address ?? "")));
  return { message: { ...message, sender: "from@sender.test", to }, recipients };
}

async function throughPostfix(name: string): Promise<Outcome> {
  const { message, recipients } = messageOf(name);
  const body = Buffer.from(String(message.body ?? "Subject: test\r\n\r\nhello\r\n").replaceAll("\r\n", "\n"), "latin1");
  const headers = "Date: Thu, 1 Jan 2026 00:00:00 +0000\nMessage-Id: <x@sender.test>\nFrom: from@sender.test\n";
  const options = [
    "-C",
    `${directory}/conf`,
    "-i",
    "-f",
    "from@sender.test",
    ...(cases[name]?.sendmail ?? []),
    "--",
    ...recipients,
  ];
  const child = spawn("/usr/sbin/sendmail", options, { stdio: ["pipe", "ignore", "inherit"] });
  child.stdin.end(Buffer.concat([Buffer.from(headers), body]));
  await new Promise((done) => child.once("close", done));
  const deadline = performance.now() + 30_000;
  for (;;) {
    const log = await readFile(`${directory}/maillog`, "utf8").catch(() => "");
    const found = [...log.matchAll(/: to=<([^>]*)>.*?, dsn=([\d.]+), status=(\S+) \((.*)\)$/gm)]
      .filter(([, to]) => recipients.includes(to ?? ""))
      .map(([, to, dsn, status, reason]) => `${to}: ${status} ${dsn} ${reason}`);
    if (found.length >= recipients.length) return outcome(found, postfixServers.get(name) ?? []);
    if (performance.now() > deadline) throw new Error(`Postfix did not deliver:\n${log.slice(-3000)}`);
    await new Promise((resume) => setTimeout(resume, 50));
  }
}

async function throughOurs(name: string): Promise<Outcome> {
  const { script, conf, password } = cases[name] as Case;
  const { message } = messageOf(name);
  const servers = await listening(script);
  const passwords = password === undefined ? {} : { "127.0.0.1": password };
  const { client, log } = testClient({ smtp_connection_cache_on_demand: "no", ...conf }, { passwords });
  const headers = "Date: Thu, 1 Jan 2026 00:00:00 +0000\r\nMessage-Id: <x@sender.test>\r\nFrom: from@sender.test\r\n";
  const body = headers + String(message.body ?? "Subject: test\r\n\r\nhello\r\n");
  try {
    await client.deliver(requestTo(hopOf(script, servers), { ...message, body }));
    await client.close();
    const found = log.lines.flatMap((line) => {
      const [, to, dsn, status, reason] = /: to=<([^>]*)>.*?, dsn=([\d.]+), status=(\S+) \((.*)\)$/.exec(line) ?? [];
      return to === undefined ? [] : [`${to}: ${status} ${dsn} ${reason}`];
    });
    return await outcome(found, servers);
  } finally {
    for (const server of servers) await server.close();
  }
}

/** Ports and sizes are each system's own. QUIT may still be on its way. */
async function outcome(found: readonly string[], servers: readonly ScriptedServer[]): Promise<Outcome> {
  await new Promise((resume) => setTimeout(resume, 30));
  const neutral = (text: string): string =>
    text.replace(/\]:21\d\d\d/g, "]:PORT").replace(/ SIZE=\d+|message size \d+/, " SIZE=N");
  return {
    results: [...found].map(neutral).sort(),
    told: servers.flatMap(({ conversations }) => conversations.flat().map(neutral)),
    taken: servers.flatMap(({ messages }) => messages.map(({ data }) => withoutReceived(data))),
  };
}

function withoutReceived(data: string): string {
  return data
    .replace(/^Received: .*\r\n(?:[ \t].*\r\n)*/gm, "")
    .split("\r\n")
    .filter((line) => !/^(?:Date|Message-Id|From):/i.test(line))
    .join("\r\n");
}

for (const [name, { differs, toldDiffers }] of Object.entries(cases)) {
  test(`as Postfix: ${name}${differs ? ` (but: ${differs.because})` : ""}`, { skip }, async () => {
    const [theirs, ours] = await Promise.all([throughPostfix(name), throughOurs(name)]);
    if (differs) {
      for (const result of ours.results) assert.match(result.replace(/^\S+: /, ""), differs.ours);
      assert.notDeepEqual(ours.results, theirs.results, "the difference is gone: the list should say so");
      return;
    }
    assert.deepEqual(ours.results, theirs.results);
    assert.deepEqual(ours.taken, theirs.taken);
    if (!toldDiffers) assert.deepEqual(ours.told, theirs.told);
  });
}
