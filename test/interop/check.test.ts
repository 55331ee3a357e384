import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { check } from "../../src/cli/check.ts";
import { setup } from "../../src/cli/setup.ts";
import { testIo } from "../../src/cli/test-io.ts";
import { makeCertificate } from "../../src/practice/certificate.ts";
import { type RunningDovecot, startDovecot } from "../peers/dovecot.ts";
import { freePort, missing } from "../peers/place.ts";
import { type RunningPostfix, startPostfix } from "../peers/postfix.ts";

/** `check` and `setup` against what providers really run: Debian's Postfix that demands TLS and has Dovecot look after passwords. */
const own = makeCertificate({ names: ["localhost"], notBefore_ms: Date.now() - 3_600_000, days: 30 });

describe("a Postfix with STARTTLS and Dovecot's PLAIN and LOGIN", {
  skip: missing("postfix", "dovecot") ?? false,
}, () => {
  let dovecot: RunningDovecot;
  let postfix: RunningPostfix;
  let directory: string;

  before(async () => {
    dovecot = await startDovecot({ users: { "me@relay.example": "testpass" }, mechanisms: "plain login" });
    postfix = await startPostfix({
      mainCf: {
        default_transport: "discard",
        smtpd_tls_security_level: "encrypt",
        smtpd_tls_cert_file: "@DIRECTORY@/etc/cert.pem",
        smtpd_tls_key_file: "@DIRECTORY@/etc/key.pem",
        smtpd_tls_auth_only: "yes",
        smtpd_sasl_auth_enable: "yes",
        smtpd_sasl_type: "dovecot",
        smtpd_sasl_path: dovecot.socket,
        smtpd_relay_restrictions: "permit_sasl_authenticated, reject",
        smtpd_sender_login_maps: "inline:{ me@relay.example=me@relay.example, other@relay.example=other }",
        smtpd_sender_restrictions: "reject_authenticated_sender_login_mismatch",
        smtpd_delay_reject: "no",
      },
      files: { "etc/cert.pem": own.certificate, "etc/key.pem": own.key },
    });
    directory = mkdtempSync(join(tmpdir(), "postern-check-"));
    mkdirSync(join(directory, "spool"));
    writeFileSync(join(directory, "ca.pem"), own.certificate);
    writeFileSync(join(directory, "password"), "testpass\n");
    writeFileSync(join(directory, "master.cf"), `127.0.0.1:${await freePort()} inet n - n - - smtpd\n`);
    writeFileSync(
      join(directory, "main.cf"),
      `compatibility_level = 3.6\nmyhostname = relay.example\nmydestination =\nalias_maps =\nmynetworks = 127.0.0.0/8\n` +
        `inet_protocols = ipv4\nsmtp_host_lookup = native\nqueue_directory = ${directory}/spool\n`,
    );
  });
  after(async () => {
    await postfix?.stop();
    await dovecot?.stop();
    rmSync(directory, { recursive: true, force: true });
  });

  const inspected = async (...args: readonly string[]) => {
    const io = testIo({ directory, env: {} });
    const status = await check(["--json", ...args], io);
    return { status, ...JSON.parse(io.written().out.toString()) };
  };
  const codes = (report: { findings: { code: string; severity: string }[] }): string[] =>
    report.findings.filter(({ severity }) => severity !== "notice").map(({ code }) => code);
  const set = (text: string): void =>
    assert.equal(spawnSync("postconf", ["-c", directory, "-e", text], { encoding: "utf8" }).status, 0);

  test("setup logs in, writes, and a message arrives", async () => {
    const io = testIo({ directory, env: {} });
    const args = [
      "--server",
      `localhost:${postfix.port}`,
      "--account",
      "me@relay.example",
      "--ca-file",
      `${directory}/ca.pem`,
    ];
    const status = await setup(
      [...args, "--password-file", `${directory}/password`, "--yes", "--to", "you@elsewhere.example"],
      io,
    );
    assert.equal(status, 0, io.written().out.toString() + io.written().err + postfix.log());
    assert.match(postfix.log(), /sasl_method=PLAIN, sasl_username=me@relay\.example/);
  });

  test("check goes through the whole conversation, and finds nothing wrong for the account's own sender", async () => {
    const report = await inspected("--from", "me@relay.example", "--show-dialogue");
    assert.deepEqual(codes(report), []);
    const [{ hosts }] = report.destinations;
    assert.deepEqual(
      hosts[0].steps.map(({ step }: { step: string }) => step),
      ["connect", "greeting", "hello", "starttls", "hello", "login", "mail", "reset"],
    );
    assert.equal(hosts[0].tls.status, "Verified");
    assert.deepEqual(hosts[0].tls.chain, ["localhost"]);
    assert.equal(hosts[0].login.used, "PLAIN");
    assert.deepEqual(hosts[0].login.rejected, [
      { mechanism: "LOGIN", because: "weaker than the one taken", lacking: [] },
    ]);
    assert.ok(!JSON.stringify(report).includes(Buffer.from("\0me@relay.example\0testpass").toString("base64")));
  });

  test("a sender that belongs to somebody else is named", async () => {
    assert.deepEqual(codes(await inspected("--from", "other@relay.example")), ["sender-refused"]);
  });

  test("security options that leave no mechanism are named with what is offered", async () => {
    set("smtp_sasl_tls_security_options = noplaintext, noanonymous");
    const report = await inspected("--from", "me@relay.example");
    assert.deepEqual(codes(report), ["no-mechanism"]);
    assert.match(report.findings[0].text, /offers PLAIN \(lacks noplaintext\), LOGIN \(lacks noplaintext\)/);
    set("smtp_sasl_tls_security_options = noanonymous");
  });

  test("without TLS it is told what the server wants", async () => {
    set("smtp_tls_security_level = none");
    assert.ok(codes(await inspected("--from", "me@relay.example")).includes("tls-needed"));
    set("smtp_tls_security_level = secure");
  });

  test("a password that the server refuses is named", async () => {
    writeFileSync(`${directory}/sasl_passwd`, `[localhost]:${postfix.port} me@relay.example:another\n`);
    assert.equal(spawnSync("postmap", [`hash:${directory}/sasl_passwd`]).status, 0);
    const report = await inspected("--from", "me@relay.example");
    assert.deepEqual(codes(report), ["login-refused"]);
    assert.equal(report.status, 78);
  });
});
