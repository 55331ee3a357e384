import assert from "node:assert/strict";
import { appendFileSync, chmodSync, chownSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { needs } from "../lab/needs.ts";
import { makeNetwork, type Network } from "../lab/network.ts";
import { makePostern, type Postern, type PosternOptions } from "../lab/postern.ts";
import { type Smarthost, startSmarthost } from "./smarthost.ts";

/**
 * The classic how-to for SMTP AUTH towards a provider, followed to the letter: a server whose Postern
 * begins with Debian's own main.cf, and a provider's Postfix that refuses to relay for those who
 * do not log in.
 */
const able = needs({
  root: true,
  programs: ["postfix", "postmap", "dovecot", "swaks", "smtp-source", "ip", "ss", "setpriv"],
});

let network: Network;
let provider: Smarthost;
let other: Smarthost;

before(async () => {
  if (able.skip) return;
  network = await makeNetwork(
    { "mail.my-isp.org": "10.77.0.2", "mail.other.org": "10.77.0.3" },
    { more: ["10.77.0.3"] },
  );
  const host = network.provider;
  provider = await startSmarthost({ host, name: "mail.my-isp.org", accounts: { test: "testpass" } });
  other = await startSmarthost({
    host,
    name: "mail.other.org",
    address: "10.77.0.3",
    accounts: { elsewhere: "other:pass" },
  });
});

after(async () => {
  await provider?.stop();
  await other?.stop();
  network?.remove();
});

/** What step 1 writes: the entry among commented examples. */
const sourceText = (
  password: string,
): string => `# SMTP AUTH for the servers that we relay through: server, white space, user:password
#
# smtp.example.com        user:secret
#[smtp.example.net]:587   user@example.net:secret
mail.my-isp.org      test:${password}
`;

const loginConf = (etc: string, nexthop = "mail.my-isp.org"): string => `
relayhost = [${nexthop}]
smtp_sasl_auth_enable = yes
smtp_sasl_password_maps = hash:${etc}/sasl_passwd
smtp_sasl_security_options =
`;

function makeClient(options: Omit<PosternOptions, "host"> = {}): Postern {
  return makePostern({ host: network.client, debian: true, ...options });
}

/** sasl_passwd as the how-to wants it, and its index. */
function writePasswords(postern: Postern, text: string): void {
  const path = join(postern.etc, "sasl_passwd");
  writeFileSync(path, text, { mode: 0o600 });
  const { status, stderr } = postern.program("postmap", [`hash:${path}`]);
  assert.equal(status, 0, stderr);
}

/** One that is running with the how-to behind it. */
function startClient(password = "testpass", options: Omit<PosternOptions, "host"> = {}): Postern {
  const postern = makeClient(options);
  writePasswords(postern, sourceText(password));
  appendFileSync(postern.mainCf, loginConf(postern.etc));
  postern.start();
  return postern;
}

/** Sends a message whose subject tells it from all others; resolves with its line of the log. */
async function sendAndFollow(postern: Postern, subject: string): Promise<string> {
  const from = postern.log().length;
  postern.send(`Subject: ${subject}\n\nHello.\n`, ["-f", "me@client.example.com", "you@far.example"]);
  const [, id = ""] = await postern.logged(/pickup\[\d+\]: ([0-9A-Za-z]+): uid=/, from);
  const [line] = await postern.logged(new RegExp(`${id}: to=.*status=.*`), from);
  return line;
}

const withSubject =
  (subject: string) =>
  ({ message }: { readonly message: string }): boolean =>
    message.includes(`\nSubject: ${subject}\n`);

const logins = (server: Smarthost, user: string): number => server.log().split(`sasl_username=${user}\n`).length - 1;

test("the how-to works, step by step", able, async (t) => {
  const postern = makeClient();
  t.after(() => postern.remove());
  const source = join(postern.etc, "sasl_passwd");
  const index = `${source}.db`;
  postern.start();

  await t.test("before it, the provider refuses", async () => {
    appendFileSync(postern.mainCf, "relayhost = [mail.my-isp.org]\n");
    assert.equal(postern.run(["reload"]).status, 0);
    const line = await sendAndFollow(postern, "without a login");
    assert.match(
      line,
      /relay=mail\.my-isp\.org\[10\.77\.0\.2\]:25, .*dsn=5\.7\.1, status=bounced \(host mail\.my-isp\.org\[10\.77\.0\.2\] said: 554 5\.7\.1 <you@far\.example>: Relay access denied \(in reply to RCPT TO command\)\)$/,
    );
    assert.equal(provider.delivered().filter(withSubject("without a login")).length, 0);
  });

  await t.test("1 and 2: sasl_passwd is written, root's alone", () => {
    writeFileSync(source, sourceText("testpass"));
    chownSync(source, 0, 0);
    chmodSync(source, 0o600);
  });

  await t.test("3: postmap makes an index of the same owner and mode, which Debian's postmap reads", () => {
    const { status, stdout, stderr } = network.client.run(join(import.meta.dirname, "../../bin/postern"), [
      "postmap",
      `hash:${source}`,
    ]);
    assert.deepEqual({ status, stdout, stderr }, { status: 0, stdout: "", stderr: "" });
    const { size, uid, gid, mode } = statSync(index);
    assert.deepEqual({ size, uid, gid, mode: mode & 0o7777 }, { size: 12288, uid: 0, gid: 0, mode: 0o600 });
    const debian = network.client.run("postmap", ["-q", "mail.my-isp.org", `hash:${source}`]);
    assert.deepEqual(debian, { status: 0, stdout: "test:testpass\n", stderr: "" });
    assert.equal(network.client.run("postmap", ["-q", "smtp.example.com", `hash:${source}`]).status, 1);
  });

  await t.test("5 and 6: main.cf is edited, and reload makes it effective", () => {
    appendFileSync(postern.mainCf, loginConf(postern.etc));
    const { status, stderr } = postern.run(["postfix", "reload"]);
    assert.equal(status, 0, stderr);
  });

  await t.test("mail from sendmail is relayed with a login", async () => {
    const before = logins(provider, "test");
    const line = await sendAndFollow(postern, "from sendmail");
    assert.match(
      line,
      /relay=mail\.my-isp\.org\[10\.77\.0\.2\]:25, .*dsn=2\.0\.0, status=sent \(250 2\.0\.0 Ok: queued as /,
    );
    const [arrived] = await provider.arrived(withSubject("from sendmail"));
    assert.equal(arrived?.sender, "me@client.example.com");
    assert.equal(arrived?.recipient, "you@far.example");
    assert.match(arrived?.message ?? "", /\nHello\.\n$/);
    assert.equal(logins(provider, "test"), before + 1);
  });

  await t.test("mail from an unprivileged user's sendmail is relayed, too", async () => {
    const message = "Subject: from nobody\n\nHello.\n";
    postern.send(message, ["you@far.example"], { user: "nobody" });
    const [arrived] = await provider.arrived(withSubject("from nobody"));
    assert.equal(arrived?.sender, "nobody@client.example.com");
  });

  await t.test("mail from SMTP clients is relayed with a login", async () => {
    const swaks = network.client.run("swaks", [
      ...["--server", "127.0.0.1", "--from", "me@client.example.com", "--to", "you@far.example,she@far.example"],
      ...["--header", "Subject: from swaks", "--body", "Hello."],
    ]);
    assert.equal(swaks.status, 0, swaks.stdout + swaks.stderr);
    await provider.arrived(withSubject("from swaks"), 2);
    const source = ["-s", "3", "-m", "30", "-f", "me@client.example.com", "-t", "many@far.example", "127.0.0.1:25"];
    const sent = network.client.run("smtp-source", ["-S", "from smtp-source", ...source]);
    assert.equal(sent.status, 0, sent.stderr);
    const arrived = await provider.arrived(withSubject("from smtp-source"), 30);
    assert.equal(new Set(arrived.map(({ message }) => /^Message-Id: .*$/im.exec(message)?.[0])).size, 30);
    for (const line of provider.log().match(/^.*: client=.*$/gm) ?? []) {
      assert.match(line, /client=unknown\[10\.77\.0\.1\], sasl_method=PLAIN, sasl_username=test$/);
    }
  });

  await t.test("2: the relay runs as mail_owner, cannot read sasl_passwd, and cannot come back", () => {
    const [pid, master] = [postern.relayPid(), postern.masterPid()];
    const wanted = network.client.run("id", ["-u", "postfix"]).stdout.trim();
    const owner = (id: number, name: string) =>
      new RegExp(`^${name}:\\s+(.*)$`, "m").exec(readFileSync(`/proc/${id}/status`, "utf8"))?.[1]?.split(/\s+/);
    assert.deepEqual(owner(master, "Uid"), ["0", "0", "0", "0"]);
    assert.deepEqual(owner(pid, "Uid"), [wanted, wanted, wanted, wanted]);
    const gids = owner(pid, "Gid") ?? [];
    assert.ok(!gids.includes("0"), `groups ${gids}`);
    assert.ok(!owner(pid, "Groups")?.includes("0"));
    assert.deepEqual(owner(pid, "CapEff"), ["0000000000000000"]);
    assert.deepEqual(owner(pid, "CapPrm"), ["0000000000000000"]);
    for (const path of [source, index]) {
      const read = network.client.run("cat", [path], { user: "postfix" });
      assert.equal(read.status, 1);
      assert.match(read.stderr, /Permission denied/);
    }
  });

  await t.test("4: an edit without postmap is reported in the mail log", async () => {
    writeFileSync(source, sourceText("testpass"));
    await postern.logged(new RegExp(`warning: database ${index} is older than source file ${source}`));
    // What was learnt before is still used.
    assert.match(await sendAndFollow(postern, "with the old index"), /status=sent/);
  });

  await t.test("4: after postmap, the new credentials are used within two seconds, without a reload", async (t) => {
    t.after(() => provider.setAccounts({ test: "testpass" }));
    provider.setAccounts({ test: "a new password" });
    await idle();
    assert.match(await sendAndFollow(postern, "with the old password"), /dsn=4\.7\.8, status=deferred/);
    writePasswords(postern, sourceText("a new password"));
    await pause(2000);
    assert.match(await sendAndFollow(postern, "with the new password"), /status=sent/);
    await provider.arrived(withSubject("with the old password"));
    assert.deepEqual(postern.queue(), []);
  });
});

/** Longer than a session is kept open for the next message, so that a new one has to log in. */
const idle = (): Promise<void> => pause(3000);

test("an index that Debian's postmap made is used", able, async (t) => {
  const postern = makeClient();
  t.after(() => postern.remove());
  writeFileSync(join(postern.etc, "sasl_passwd"), sourceText("testpass"), { mode: 0o600 });
  const made = network.client.run("postmap", [`hash:${join(postern.etc, "sasl_passwd")}`]);
  assert.equal(made.status, 0, made.stderr);
  appendFileSync(postern.mainCf, loginConf(postern.etc));
  postern.start();
  assert.match(await sendAndFollow(postern, "Debian's index"), /status=sent/);
});

test("an index that Debian's postmap rewrites while Postern runs is used within two seconds", able, async (t) => {
  const postern = startClient("not yet right");
  t.after(() => postern.remove());
  assert.match(await sendAndFollow(postern, "before Debian's postmap"), /status=deferred/);
  writeFileSync(join(postern.etc, "sasl_passwd"), sourceText("testpass"));
  assert.equal(network.client.run("postmap", [`hash:${join(postern.etc, "sasl_passwd")}`]).status, 0);
  await pause(2000);
  assert.match(await sendAndFollow(postern, "after Debian's postmap"), /status=sent/);
});

test(
  "with the default security options a server that offers only PLAIN and LOGIN is not logged into, until they are emptied",
  able,
  async (t) => {
    const postern = makeClient();
    t.after(() => postern.remove());
    writePasswords(postern, sourceText("testpass"));
    const conf = readFileSync(postern.mainCf, "utf8");
    writeFileSync(postern.mainCf, conf + loginConf(postern.etc).replace("smtp_sasl_security_options =\n", ""));
    postern.start();
    const line = await sendAndFollow(postern, "no mechanism");
    // The text is Postfix's, word for word.
    assert.match(
      line,
      /to=<you@far\.example>, relay=mail\.my-isp\.org\[10\.77\.0\.2\]:25, delay=[\d.]+, delays=[\d./]+, dsn=4\.7\.0, status=deferred \(SASL authentication failed; cannot authenticate to server mail\.my-isp\.org\[10\.77\.0\.2\]: no mechanism available\)$/,
    );
    assert.match(postern.log(), /warning: SASL authentication failure: No worthy mechs found/);
    assert.equal(postern.queue()[0]?.queue_name, "deferred");
    appendFileSync(postern.mainCf, "smtp_sasl_security_options =\n");
    assert.equal(postern.run(["reload"]).status, 0);
    assert.equal(postern.run(["flush"]).status, 0);
    await provider.arrived(withSubject("no mechanism"));
    await postern.logged(/status=sent/);
    assert.deepEqual(postern.queue(), []);
  },
);

test("of several entries the one for the server's name is used", able, async (t) => {
  const postern = makeClient({ mainCf: { transport_maps: "texthash:@DIRECTORY@/etc/transport" } });
  t.after(() => postern.remove());
  writePasswords(
    postern,
    "mail.nobody.org  nobody:nothing\nmail.my-isp.org  test:testpass\nmail.other.org  elsewhere:other:pass\n",
  );
  writeFileSync(join(postern.etc, "transport"), "other.example  smtp:[mail.other.org]\n");
  appendFileSync(postern.mainCf, loginConf(postern.etc));
  postern.start();
  const [first, second] = [logins(provider, "test"), logins(other, "elsewhere")];
  const recipients = ["one@other.example", "two@far.example"];
  postern.send("Subject: two ways\n\nHello.\n", ["-f", "me@client.example.com", ...recipients]);
  const [[byOther], [byProvider]] = await Promise.all([
    other.arrived(withSubject("two ways")),
    provider.arrived(withSubject("two ways")),
  ]);
  assert.equal(byOther?.recipient, "one@other.example");
  assert.equal(byProvider?.recipient, "two@far.example");
  assert.equal(logins(provider, "test"), first + 1);
  assert.equal(logins(other, "elsewhere"), second + 1);
});

test("with a wrong password mail is deferred, kept, and the password is written nowhere", able, async (t) => {
  const canary = `canary-${process.pid}-${Math.random().toString(36).slice(2)}`;
  const postern = startClient(canary);
  t.after(() => postern.remove());
  const line = await sendAndFollow(postern, "wrong password");
  assert.match(
    line,
    /dsn=4\.7\.8, status=deferred \(SASL authentication failed; server mail\.my-isp\.org\[10\.77\.0\.2\] said: 535 5\.7\.8 Error: authentication failed: .*\)$/,
  );
  const [item] = postern.queue();
  assert.equal(item?.queue_name, "deferred");
  assert.match(item?.recipients[0]?.delay_reason ?? "", /535 5\.7\.8/);
  const written = everythingWritten(postern);
  const encoded = (text: string) => Buffer.from(text).toString("base64").replace(/=+$/, "");
  for (const secret of [canary, encoded(canary), encoded(`\0test\0${canary}`), encoded(`test\0test\0${canary}`)]) {
    for (const [where, bytes] of written) assert.ok(!bytes.includes(secret), `${where} holds the password`);
  }
  writePasswords(postern, sourceText("testpass"));
  await pause(2000);
  assert.equal(postern.run(["flush"]).status, 0);
  await provider.arrived(withSubject("wrong password"));
});

/** Every file below the directory but sasl_passwd and its index, what commands print, and what `ps` shows of every process. */
function everythingWritten(postern: Postern): [string, Buffer][] {
  const files = network.client.run("find", [postern.directory, "-type", "f", "!", "-name", "sasl_passwd*"]);
  const written = files.stdout
    .split("\n")
    .filter((path) => path !== "")
    .map((path): [string, Buffer] => [path, readFileSync(path)]);
  assert.ok(written.some(([path]) => path.endsWith("/queue.db")));
  assert.ok(written.some(([path]) => path.endsWith("/mail.log")));
  const outputs: [string, string][] = [
    ["mailq", postern.program("mailq", []).stdout],
    ["postqueue -j", postern.run(["postqueue", "-j"]).stdout],
    ["postconf -n", postern.run(["postconf", "-n"]).stdout],
    ["status", JSON.stringify(postern.run(["status"]))],
    ["ps", network.client.run("ps", ["axww", "-o", "args"]).stdout],
  ];
  for (const pid of [postern.masterPid(), postern.relayPid()]) {
    outputs.push([`the environment of ${pid}`, readFileSync(`/proc/${pid}/environ`, "latin1")]);
  }
  return [...written, ...outputs.map(([name, text]): [string, Buffer] => [name, Buffer.from(text)])];
}
