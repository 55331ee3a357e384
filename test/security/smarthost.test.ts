import assert from "node:assert/strict";
import { createHmac, pbkdf2Sync } from "node:crypto";
import type { Socket } from "node:net";
import { after, before, test } from "node:test";
import { makeCertificate } from "../../src/practice/certificate.ts";
import { until } from "../lab/until.ts";
import { type RunningPostern, startPostern } from "../peers/postern.ts";
import { type HostileOptions, type HostileServer, hostileServer, type Moment } from "./hostile-server.ts";
import { rawClient } from "./raw-client.ts";

/**
 * What a server that mail is delivered to may try, against a relay that runs: each scenario is a
 * server, a domain of its own that leads there, and a transport with its own settings.
 */
interface Scenario extends HostileOptions {
  readonly transport: keyof typeof transports;
}

const certificate = makeCertificate({ names: ["right.example"], notBefore_ms: Date.now() - 86_400_000, days: 3 });
const other = makeCertificate({ names: ["right.example"], notBefore_ms: Date.now() - 86_400_000, days: 3 });

const login = ["smtp_sasl_auth_enable=yes", "smtp_sasl_password_maps=$test_passwords"];
const secure = ["smtp_tls_security_level=secure", "smtp_tls_CAfile=@DIRECTORY@/etc/ca.pem"];
const transports = {
  clear: [],
  quick: ["smtp_helo_timeout=2s", "smtp_mail_timeout=2s", "smtp_rcpt_timeout=2s"],
  impatient: ["smtp_tls_security_level=encrypt", "smtp_starttls_timeout=2s"],
  may: ["smtp_tls_security_level=may", ...login, "smtp_sasl_tls_security_options=noanonymous"],
  encrypt: ["smtp_tls_security_level=encrypt", ...login, "smtp_sasl_security_options="],
  secure: [...secure, "smtp_tls_secure_cert_match=right.example", ...login, "smtp_sasl_tls_verified_security_options="],
  wrong: [...secure, "smtp_tls_secure_cert_match=wrong.example", ...login, "smtp_sasl_tls_security_options="],
  login: login,
  plain: [...login, "smtp_sasl_security_options="],
  senders: [...login, "smtp_sasl_security_options=", "smtp_sender_dependent_authentication=yes"],
} as const;

/** Replies by verb. */
const saying =
  (replies: Readonly<Record<string, string>>): NonNullable<HostileOptions["on"]> =>
  ({ verb }) =>
    replies[verb];

/** Bytes without end. */
function flood(socket: Socket, bytes: string): "silent" {
  const block = Buffer.from(bytes.repeat(Math.ceil(16_384 / bytes.length)), "latin1");
  const more = (): void => {
    while (!socket.destroyed && socket.write(block));
  };
  socket.on("drain", more);
  more();
  return "silent";
}

function hangUp(socket: Socket, bytes: string): "silent" {
  socket.end(bytes);
  return "silent";
}

function drip(socket: Socket, bytes: string): "silent" {
  const timer = setInterval(() => socket.write(bytes), 100);
  socket.once("close", () => clearInterval(timer));
  return "silent";
}

const offering =
  (...words: readonly string[]) =>
  () => ["PIPELINING", ...words];
const startTls = offering("STARTTLS");
const withLogin = (secured: boolean) => (secured ? ["AUTH PLAIN"] : ["STARTTLS", "AUTH PLAIN"]);

/** A SCRAM server that knows the password, up to the message that the scenario puts in place of its own. */
function scram(replies: {
  readonly first?: (nonce: string) => string;
  readonly final?: (signature: string) => string;
}): NonNullable<HostileOptions["on"]> {
  const salt = Buffer.from("0123456789abcdef");
  let bare = "";
  let first = "";
  return ({ verb, line, count }) => {
    if (verb === "AUTH") {
      bare = Buffer.from(line.split(" ")[2] ?? "", "base64")
        .toString()
        .replace(/^n,,/, "");
      const nonce = `${/r=(.*)$/.exec(bare)?.[1]}server`;
      first = replies.first?.(nonce) ?? `r=${nonce},s=${salt.toString("base64")},i=4096`;
      return `334 ${Buffer.from(first).toString("base64")}\r\n`;
    }
    if (["CONNECT", "EHLO", "QUIT", "MAIL", "RCPT", "DATA", "DOT"].includes(verb)) return undefined;
    if (line === "*") return "501 5.7.0 cancelled\r\n";
    if (line === "" || count > 1) return "235 2.7.0 welcome\r\n";
    const proof = Buffer.from(line, "base64").toString();
    const salted = pbkdf2Sync(password, salt, 4096, 32, "sha256");
    const key = createHmac("sha256", salted).update("Server Key").digest();
    const message = `${bare},${first},${proof.replace(/,p=.*$/, "")}`;
    const signature = createHmac("sha256", key).update(message).digest("base64");
    return replies.final?.(signature) ?? `334 ${Buffer.from(`v=${signature}`).toString("base64")}\r\n`;
  };
}

const password = "correct horse battery staple";
const offersScram = offering("AUTH SCRAM-SHA-256 PLAIN");
const encoded = (text: string) => `334 ${Buffer.from(text).toString("base64")}\r\n`;

const scenarios = {
  stripped: { transport: "encrypt", ehlo: offering("AUTH PLAIN") },
  "tls-refused": { transport: "encrypt", ehlo: startTls, on: saying({ STARTTLS: "500 5.5.1 never heard of it\r\n" }) },
  injected: {
    transport: "encrypt",
    certificate,
    ehlo: startTls,
    on: saying({ STARTTLS: "220 go\r\n250 trust me\r\n" }),
  },
  "injected-half": { transport: "encrypt", certificate, ehlo: startTls, on: saying({ STARTTLS: "220 go\r\n25" }) },
  "injected-ahead": { transport: "encrypt", certificate, on: saying({ EHLO: "250-x\r\n250 STARTTLS\r\n220 go\r\n" }) },
  "injected-late": { transport: "encrypt", ehlo: startTls, on: late },
  "may-stripped": { transport: "may", ehlo: offering("AUTH PLAIN LOGIN") },
  "handshake-hangs": { transport: "impatient", ehlo: startTls, on: saying({ STARTTLS: "220 go\r\n" }) },
  "handshake-cut": { transport: "encrypt", ehlo: startTls, on: cutInHandshake },
  "no-plaintext": { transport: "login", ehlo: offering("AUTH PLAIN LOGIN") },
  "not-trusted": { transport: "secure", certificate: other, ehlo: withLogin },
  "wrong-name": { transport: "wrong", certificate, ehlo: withLogin },
  "right-name": { transport: "secure", certificate, ehlo: withLogin },
  "scram-right": { transport: "login", ehlo: offersScram, on: scram({}) },
  "scram-no-signature": { transport: "login", ehlo: offersScram, on: scram({ final: () => "235 welcome\r\n" }) },
  "scram-wrong-signature": {
    transport: "login",
    ehlo: offersScram,
    on: scram({ final: () => encoded(`v=${"A".repeat(43)}=`) }),
  },
  "scram-at-once": { transport: "login", ehlo: offersScram, on: saying({ AUTH: "235 welcome\r\n" }) },
  "scram-one-round": {
    transport: "login",
    ehlo: offersScram,
    on: scram({ first: (nonce) => `r=${nonce},s=c2FsdA==,i=1` }),
  },
  "scram-rounds": {
    transport: "login",
    ehlo: offersScram,
    on: scram({ first: (nonce) => `r=${nonce},s=c2FsdA==,i=2147483648` }),
  },
  "scram-nonce": { transport: "login", ehlo: offersScram, on: scram({ first: () => "r=mine,s=c2FsdA==,i=4096" }) },
  "bad-base64": {
    transport: "plain",
    ehlo: offering("AUTH LOGIN"),
    on: saying({ AUTH: "334 !!!!\r\n", "*": "501 no\r\n" }),
  },
  "endless-334": { transport: "plain", ehlo: offering("AUTH LOGIN"), on: always334 },
  "endless-line": {
    transport: "clear",
    on: ({ verb, socket }) => (verb === "CONNECT" ? flood(socket, "x") : undefined),
  },
  "endless-reply": {
    transport: "clear",
    on: ({ verb, socket }) => (verb === "EHLO" ? flood(socket, "250-x\r\n") : undefined),
  },
  "endless-junk": {
    transport: "clear",
    on: ({ verb, socket }) => (verb === "MAIL" ? flood(socket, "junk\r\n") : undefined),
  },
  "dripping-greeting": {
    transport: "quick",
    on: ({ verb, socket }) => (verb === "CONNECT" ? drip(socket, "2") : undefined),
  },
  "dripping-reply": {
    transport: "quick",
    ehlo: () => [],
    on: ({ verb, socket }) => (verb === "MAIL" ? drip(socket, "250-x\r\n") : undefined),
  },
  mixed: { transport: "clear", on: saying({ MAIL: "250-2.1.0 Ok\r\n550 5.1.1 no\r\n" }) },
  "code-999": { transport: "clear", on: saying({ MAIL: "999 what\r\n" }) },
  "hangs-up": { transport: "clear", on: ({ verb, socket }) => (verb === "DOT" ? hangUp(socket, "250") : undefined) },
  contradicting: { transport: "clear", on: saying({ RCPT: "550 2.0.0 fine\r\n" }) },
  behind: { transport: "clear", on: saying({ EHLO: "250-x\r\n250 PIPELINING\r\n421 4.3.2 closing\r\n" }) },
  "taken-ahead": { transport: "clear", on: saying({ DATA: "354 go ahead\r\n250 2.0.0 Ok: queued\r\n" }) },
  senders: { transport: "senders", ehlo: offering("AUTH PLAIN") },
} satisfies Readonly<Record<string, Scenario>>;

/** Clear text behind the reply to STARTTLS, in a packet of its own. */
function late({ verb, socket }: Moment): string | undefined {
  if (verb !== "STARTTLS") return undefined;
  socket.write("220 go\r\n");
  socket.once("data", () => socket.write("250-trust.me\r\n250 AUTH PLAIN\r\n"));
  return "silent";
}

/** The connection ends where the handshake should begin. */
function cutInHandshake({ verb, socket }: Moment): string | undefined {
  return verb === "STARTTLS" ? hangUp(socket, "220 go\r\n") : undefined;
}

function always334({ verb }: Moment): string | undefined {
  return ["CONNECT", "EHLO", "QUIT"].includes(verb) ? undefined : "334 VXNlcm5hbWU6\r\n";
}

type Name = keyof typeof scenarios;
const names = Object.keys(scenarios) as Name[];
const servers = new Map<Name, HostileServer>();
let postern: RunningPostern;

before(async () => {
  for (const name of names) servers.set(name, await hostileServer(scenarios[name]));
  const hop = (name: Name) => `${name}.example = ${scenarios[name].transport}:[127.0.0.1]:${serverOf(name).port}`;
  postern = await startPostern({
    mainCf: {
      mynetworks: "127.0.0.0/8",
      transport_maps: `inline:{${names.map((name) => `{ ${hop(name)} }`).join(" ")}}`,
      test_passwords: `inline:{ {127.0.0.1 = test:${password}} {a@client.example = alice:aaa} {b@client.example = bob:bbb} }`,
      notify_classes: "",
    },
    masterCf: Object.entries(transports).map(
      ([name, settings]) => `${name} unix - - n - - smtp${settings.map((each) => `\n  -o ${each}`).join("")}`,
    ),
    files: { "etc/ca.pem": certificate.certificate },
  });
  const client = await rawClient(postern.port);
  for (const name of names) {
    await client.upToData(`you@${name}.example`, { sender: "a@client.example" });
    client.write("Subject: secret plans\r\n\r\nx\r\n.\r\n");
    assert.match(await client.reply(), /^250 /);
  }
  client.end();
});

after(async () => {
  await postern?.stop();
  for (const server of servers.values()) await server.close();
});

function serverOf(name: Name): HostileServer {
  const server = servers.get(name);
  assert.ok(server);
  return server;
}

/** The log's line about the recipient: "deferred 4.7.4 (text)". */
async function outcome(name: Name, to = "you"): Promise<string> {
  const line = new RegExp(` to=<${to}@${name}\\.example>.* dsn=(\\S+), status=(\\S+) (.*)`);
  const [, dsn, status, text] = await until(`an answer for ${name}`, () => line.exec(postern.log()), {
    about: () => postern.log().slice(-3000),
  });
  return `${status} ${dsn} ${text}`;
}

/** Neither the message nor a login reached the server; `clear`: nor did it in clear. */
function nothingSaid(name: Name, pattern = /MAIL|RCPT|DATA|AUTH|secret/): void {
  for (const bytes of serverOf(name).sent) assert.doesNotMatch(bytes.toString("latin1"), pattern);
  assert.equal(serverOf(name).messages.length, 0);
}

/** Scenario, what the log says of it, and what must not have been sent. */
const deferred: readonly [promise: string, name: Name, expected: RegExp, unsaid?: RegExp][] = [
  ["STARTTLS stripped from EHLO", "stripped", /^deferred 4\.7\.4 \(TLS is required, but was not offered/],
  ["STARTTLS refused for good", "tls-refused", /^deferred 4\.\d\.\d \(TLS is required, but host/],
  [
    "a reply injected behind the one to STARTTLS",
    "injected",
    /^deferred 4\.7\.0 .*sent more behind its reply to STARTTLS/,
  ],
  ["half a reply injected behind it", "injected-half", /^deferred 4\.7\.0 .*sent more behind its reply to STARTTLS/],
  ["a reply to STARTTLS before STARTTLS", "injected-ahead", /^deferred 4\.5\.0 .*nobody asked for/],
  [
    "clear text in place of the handshake",
    "injected-late",
    /^deferred 4\.7\.5 \(Cannot start TLS: handshake failure\)/,
  ],
  ["a handshake that never ends", "handshake-hangs", /^deferred 4\.7\.5 \(Cannot start TLS: handshake failure\)/],
  [
    "a connection that ends in the handshake",
    "handshake-cut",
    /^deferred 4\.7\.5 \(Cannot start TLS: handshake failure\)/,
  ],
  ["STARTTLS stripped where TLS is left to chance", "may-stripped", /^deferred 4\.7\.0 \(SASL authentication failed/],
  [
    "PLAIN and LOGIN alone, under noplaintext",
    "no-plaintext",
    /^deferred 4\.7\.0 \(SASL authentication failed; cannot authenticate/,
  ],
  ["a certificate that nobody vouches for", "not-trusted", /^deferred 4\.7\.5 \(Server certificate not verified\)/],
  ["a certificate for another name", "wrong-name", /^deferred 4\.7\.5 \(Server certificate not verified\)/],
  ["SCRAM without the server's signature", "scram-no-signature", /^deferred 4\.7\.0 .*has not proved/, /MAIL|secret/],
  ["SCRAM with a wrong signature", "scram-wrong-signature", /^deferred 4\.7\.0 .*signature is wrong/, /MAIL|secret/],
  ["a 235 in place of SCRAM", "scram-at-once", /^deferred 4\.7\.0 /, /MAIL|secret/],
  ["SCRAM with one round", "scram-one-round", /^deferred 4\.7\.0 .*asks for 1 iterations/, /MAIL|secret|,p=|LHA9/],
  ["SCRAM with 2^31 rounds", "scram-rounds", /^deferred 4\.7\.0 .*asks for 2147483648 iterations/, /MAIL|secret|LHA9/],
  [
    "SCRAM with a nonce that is not ours",
    "scram-nonce",
    /^deferred 4\.7\.0 .*nonce does not begin with ours/,
    /MAIL|secret/,
  ],
  ["a challenge that is not base64", "bad-base64", /^deferred 4\.7\.0 .*not base64/, /MAIL|secret/],
  ["challenges without end", "endless-334", /^deferred 4\.[37]\.0 /, /MAIL|secret/],
  ["a line without end", "endless-line", /^deferred 4\.5\.0 .*endless reply/],
  ["a reply without end", "endless-reply", /^deferred 4\.5\.0 .*endless reply/],
  ["junk without end", "endless-junk", /^deferred 4\.5\.0 .*endless reply/, /secret/],
  ["a greeting that drips in", "dripping-greeting", /^deferred 4\.4\.2 .*timed out while receiving the initial/],
  ["a reply that drips in", "dripping-reply", /^deferred 4\.4\.2 .*timed out while sending MAIL FROM/, /secret/],
  ["one reply with two codes", "mixed", /^deferred 4\.5\.0 .*different codes/, /secret/],
  ["code 999", "code-999", /^deferred 4\.5\.0 .*reply code that does not exist/, /secret/],
  ["a reply right behind EHLO's", "behind", /^deferred 4\.5\.0 .*nobody asked for/, /secret/],
  ["an acceptance before the message was sent", "taken-ahead", /^deferred 4\.5\.0 .*nobody asked for/, /secret/],
];

for (const [promise, name, expected, unsaid] of deferred) {
  test(`${promise}: the mail waits, and nothing is said that should not be`, async () => {
    assert.match(await outcome(name), expected);
    nothingSaid(name, unsaid);
  });
}

test("half a reply to the final dot, and the end of the connection: the mail waits", async () => {
  assert.match(await outcome("hangs-up"), /^deferred 4\.4\.2 .*lost connection/);
});

test("a 550 with 2.0.0 is a refusal, and no success", async () => {
  assert.match(await outcome("contradicting"), /^bounced 5\.0\.0 /);
  assert.deepEqual(
    serverOf("contradicting").messages.map(({ data }) => data.length),
    [0],
  );
});

test("SCRAM with a server that knows the password, and a certificate with the right name, get the mail", async () => {
  assert.match(await outcome("scram-right"), /^sent /);
  assert.match(await outcome("right-name"), /^sent /);
});

test("where TLS is demanded, nothing but EHLO and STARTTLS is ever in clear", async () => {
  for (const name of names.filter((each) => ["encrypt", "secure", "wrong"].includes(scenarios[each].transport))) {
    await outcome(name);
    for (const bytes of serverOf(name).sentInClear) {
      assert.match(bytes.toString("latin1"), /^EHLO \S+\r\n(?:QUIT\r\n|STARTTLS\r\n[\s\S]*)?$/, name);
      assert.doesNotMatch(bytes.toString("latin1"), /AUTH|MAIL|secret/, name);
    }
  }
});

test("a session that logged in for one sender is never used for another", async () => {
  await outcome("senders");
  const client = await rawClient(postern.port);
  for (const [index, sender] of ["b", "a", "b", "c", "a"].entries()) {
    await client.upToData(`x${index}@senders.example`, { sender: `${sender}@client.example` });
    client.write("Subject: x\r\n\r\nx\r\n.\r\n");
    await client.reply();
    assert.match(await outcome("senders", `x${index}`), /^sent /);
  }
  client.end();
  const logins = { a: "\0alice\0aaa", b: "\0bob\0bbb", c: `\0test\0${password}` } as const;
  const { sent } = serverOf("senders");
  assert.ok(sent.length >= 3);
  for (const bytes of sent) {
    const text = bytes.toString("latin1");
    const senders = new Set([...text.matchAll(/^MAIL FROM:<(.)@/gm)].map(([, sender]) => sender as "a" | "b" | "c"));
    const used = Buffer.from(/^AUTH PLAIN (\S+)/m.exec(text)?.[1] ?? "", "base64").toString();
    assert.deepEqual(
      [...senders].map((sender) => logins[sender]),
      [used],
    );
  }
});

test("the relay that went through all this is the one that was started", () => {
  assert.doesNotMatch(postern.log(), /\]: (?:panic|fatal|error): |unexpected/);
});
