import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { makeCertificate } from "../../src/practice/certificate.ts";
import { needs } from "../lab/needs.ts";
import { launcher } from "../lab/postern.ts";
import { until } from "../lab/until.ts";
import { children, type RunningPostern, startPostern } from "../peers/postern.ts";
import { type HostileOptions, type HostileServer, hostileServer, type Moment } from "./hostile-server.ts";
import { rawClient } from "./raw-client.ts";

/**
 * A canary: one password, found nowhere else in the world, goes through every kind of login, success and
 * failure, over servers that give it back wherever they can; then everything that the relay has written is searched for it.
 */
const user = "canary-user";
const canary = `Zk9-q/W=ü%${Math.random().toString(36).slice(2, 12)}xV!`;
const authLine = `\0${user}\0${canary}`;

/** What comes back from a server that means us ill: everything that went into AUTH, in every dress. */
function echo(lines: readonly string[]): string {
  const bytes = Buffer.from(canary);
  const forms = [
    ...lines,
    ...lines.map((line) =>
      Buffer.from(line.split(" ").at(-1) ?? "", "base64")
        .toString("latin1")
        .replaceAll("\0", " "),
    ),
    canary,
    canary.toUpperCase(),
    `İ${canary}İ`,
    bytes.toString("latin1"),
    bytes.toString("base64"),
    bytes.toString("base64").slice(0, -3),
    bytes.toString("hex").toUpperCase(),
    encodeURIComponent(canary),
    Buffer.from(authLine).toString("base64"),
    Buffer.from(`the password is ${canary}!`).toString("base64"),
  ];
  return forms.map((form) => form.replace(/[\r\n]/g, " ")).join(" | ");
}

/** The same in each reply that `where` names, behind its code. */
function echoing(code: string, ...where: readonly string[]): NonNullable<HostileOptions["on"]> {
  const heard: string[] = [];
  return ({ verb, line }: Moment) => {
    if (line.length > 0 && !["CONNECT", "EHLO", "MAIL", "RCPT", "DATA", "DOT", "QUIT", "RSET"].includes(verb))
      heard.push(line);
    if (where.includes("RESPONSE") && heard.length > 1 && heard.at(-1) === line) return reply(code, heard);
    if (where.includes(verb)) return reply(code, heard);
    if (verb === "AUTH" && line === "AUTH LOGIN") return "334 VXNlcm5hbWU6\r\n";
    if (verb === "AUTH" && line === "AUTH CRAM-MD5") return "334 PDEyM0BoPg==\r\n";
    return heard.length === 2 && heard[0] === "AUTH LOGIN" && heard.at(-1) === line
      ? "334 UGFzc3dvcmQ6\r\n"
      : undefined;
  };
}

/** Lines of half the length that a reply may have, so that each form stands in one of them. */
function reply(code: string, heard: readonly string[]): string {
  const lines = echo(heard)
    .split(" | ")
    .map((form) => Buffer.from(form).toString("latin1"));
  return lines.map((line, index) => `${code}${index < lines.length - 1 ? "-" : " "}${line}\r\n`).join("");
}

const offers = (mechanism: string) => () => ["PIPELINING", "8BITMIME", `AUTH ${mechanism}`];
const certificate = makeCertificate({ names: ["h.example"], notBefore_ms: Date.now() - 86_400_000, days: 3 });

const servers = {
  "plain-refused": { ehlo: offers("PLAIN"), on: echoing("535", "AUTH") },
  "plain-later": { ehlo: offers("PLAIN"), on: echoing("454", "AUTH") },
  "login-refused": { ehlo: offers("LOGIN"), on: echoing("535", "RESPONSE") },
  "cram-refused": { ehlo: offers("CRAM-MD5"), on: echoing("535", "RESPONSE") },
  "odd-challenge": { ehlo: offers("LOGIN"), on: echoing("334", "AUTH") },
  accepted: { ehlo: offers("PLAIN"), on: echoing("250", "DOT") },
  "rcpt-refused": { ehlo: offers("PLAIN"), on: echoing("550", "RCPT") },
  "rcpt-later": { ehlo: offers("PLAIN"), on: echoing("450", "RCPT") },
  "mail-refused": { ehlo: offers("PLAIN"), on: echoing("550", "MAIL") },
  "dot-refused": { ehlo: offers("PLAIN"), on: echoing("554", "DOT") },
  junk: { ehlo: offers("PLAIN"), on: junk },
  "over-tls": {
    certificate,
    ehlo: (secured) => (secured ? ["AUTH PLAIN"] : ["STARTTLS"]),
    on: echoing("535", "AUTH"),
  },
} satisfies Readonly<Record<string, HostileOptions>>;

function junk({ verb }: Moment): string | undefined {
  return verb === "RCPT" ? `${Buffer.from(canary).toString("latin1")} is your password\r\n250 Ok\r\n` : undefined;
}

const names = Object.keys(servers) as (keyof typeof servers)[];
const running = new Map<string, HostileServer>();
/** Where notifications go. It never gets a login. */
let home: HostileServer;
let postern: RunningPostern;

before(async () => {
  home = await hostileServer();
  for (const name of names) running.set(name, await hostileServer(servers[name]));
  const hop = (name: string) => `{ ${name}.example = may:[127.0.0.1]:${running.get(name)?.port} }`;
  postern = await startPostern({
    mainCf: {
      mynetworks: "127.0.0.0/8",
      relayhost: `[127.0.0.1]:${home.port}`,
      transport_maps: `inline:{${names.map(hop).join(" ")}}`,
      smtp_tls_loglevel: "1",
    },
    masterCf: [
      [
        "may unix - - n - - smtp",
        "smtp_tls_security_level=may",
        "smtp_sasl_auth_enable=yes",
        "smtp_sasl_security_options=",
        "smtp_sasl_password_maps=hash:@DIRECTORY@/etc/sasl_passwd",
      ].join("\n  -o "),
    ],
    files: { "etc/sasl_passwd": `127.0.0.1 ${user}:${canary}\n` },
    prepare: (directory) => postmap(join(directory, "etc", "sasl_passwd")),
  });
  const client = await rawClient(postern.port);
  for (const name of names) {
    await client.upToData(`you@${name}.example`, { sender: `from-${name}@home.example`, mail: " RET=FULL" });
    client.write("Subject: x\r\n\r\nx\r\n.\r\n");
    assert.match(await client.reply(), /^250 /);
  }
  client.end();
  for (const name of names) {
    const line = new RegExp(` to=<you@${name}\\.example>.* status=`);
    await until(`an answer for ${name}`, () => line.test(postern.log()), { about: () => postern.log().slice(-4000) });
  }
  await until("three notifications", () => home.messages.length >= 3);
});

after(async () => {
  await postern?.stop();
  await home?.close();
  for (const server of running.values()) await server.close();
});

function postmap(path: string): void {
  chmodSync(path, 0o600);
  const { status, stderr } = spawnSync(launcher, ["postmap", "-c", join(path, ".."), `hash:${path}`], {
    encoding: "utf8",
  });
  assert.equal(status, 0, stderr);
}

/** The forms in which a secret could be lying about: as it is, in base64 at each of three alignments, in hexadecimal. */
function traces(secret: string): string[] {
  const bytes = Buffer.from(secret);
  const found = new Set([secret, bytes.toString("latin1"), bytes.toString("hex"), encodeURIComponent(secret)]);
  for (const shift of [0, 1, 2]) {
    const whole = Math.floor((bytes.length - ((3 - shift) % 3)) / 3) * 3;
    found.add(bytes.subarray((3 - shift) % 3, ((3 - shift) % 3) + whole).toString("base64"));
  }
  return [...found].map((form) => Buffer.from(form).toString("latin1").toLowerCase());
}

const wanted = traces(canary);

function search(what: string, bytes: Buffer | string): void {
  const text = (typeof bytes === "string" ? Buffer.from(bytes) : bytes).toString("latin1").toLowerCase();
  for (const form of wanted) {
    const at = text.indexOf(form);
    assert.ok(at < 0, `${what} holds the password as ${form}: …${text.slice(Math.max(0, at - 100), at + 60)}`);
  }
}

function filesBelow(directory: string): string[] {
  return readdirSync(directory, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

test("the search finds what it looks for", () => {
  const line = Buffer.from(authLine);
  for (const [index, given] of [
    `x${canary}y`,
    line.toString("base64"),
    Buffer.from(`x${authLine}`).toString("base64"),
    Buffer.from(`xy${authLine}`).toString("base64"),
    line.toString("hex"),
  ].entries()) {
    assert.throws(() => search("it", given), /holds the password/, String(index));
  }
});

test("the password went out to every server that asked for it", () => {
  for (const name of names) {
    const sent = Buffer.concat([...(running.get(name)?.sent ?? [])]).toString("latin1");
    assert.match(sent, /^AUTH /m, name);
  }
});

test("the log holds no password, whatever the servers said", () => {
  assert.match(postern.log(), /said: 535 AUTH PLAIN \*\*\*/);
  search("the log", postern.log());
});

test("no file of the queue, the log or the data directory holds it", () => {
  const files = ["queue", "log", "data"].flatMap((name) => filesBelow(join(postern.directory, name)));
  assert.ok(
    files.some((path) => path.includes("/postern/queue/")),
    files.join(" "),
  );
  for (const path of files) search(path, readFileSync(path));
});

test("no notification holds it", () => {
  for (const bytes of home.sent) {
    search("what the sender was told", bytes);
    // Nor where it was broken into lines.
    search("what the sender was told", Buffer.from(bytes.toString("latin1").replace(/=?\r\n[ \t]*/g, ""), "latin1"));
  }
});

test("mailq, status and the other commands do not tell it", () => {
  for (const command of [
    ["postqueue", "-p"],
    ["postqueue", "-j"],
    ["mailq"],
    ["status"],
    ["check"],
    ["postconf", "-n"],
  ] as const) {
    const [name, ...args] = command;
    const { stdout, stderr } = postern.run(name, ...args);
    search(command.join(" "), stdout + stderr);
  }
  assert.match(postern.run("postqueue", "-p").stdout, /\*\*\*/);
});

test("no process shows it in its arguments or its environment", () => {
  const pids = [postern.masterPid, ...children(postern.masterPid)];
  assert.ok(pids.length >= 2);
  for (const pid of pids) {
    search(`cmdline of ${pid}`, readFileSync(`/proc/${pid}/cmdline`));
    search(`environ of ${pid}`, readFileSync(`/proc/${pid}/environ`));
  }
});

test(
  "the relay, which knows it, leaves no core file and cannot be looked into by its own user",
  needs({ root: true }),
  () => {
    const pid = postern.relayPid();
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    const [, uid] = /^Uid:\s+\d+\s+(\d+)/m.exec(status) ?? [];
    assert.notEqual(uid, "0");
    // The files of a process that may be dumped belong to its user.
    assert.equal(statSync(`/proc/${pid}/environ`).uid, 0);
  },
);
