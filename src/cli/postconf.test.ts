import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { postconf } from "./postconf.ts";
import { testIo } from "./test-io.ts";

const directory = mkdtempSync(join(tmpdir(), "postconf-"));
after(() => rmSync(directory, { recursive: true }));
const master = join(directory, "master.cf");
writeFileSync(master, "smtp inet n - n - - smtpd\n");
const main = join(directory, "main.cf");

async function run(
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<{ status: number; out: string; err: string }> {
  const io = testIo({ env, args0: "postconf", directory: env.MAIL_CONFIG ? "/nonexistent" : directory });
  const status = await postconf(args, io);
  const { out, err } = io.written();
  return { status, out: out.toString(), err };
}

describe("postconf", () => {
  it("shows what is set, sorted, in the directory that it is given or that MAIL_CONFIG names", async () => {
    writeFileSync(main, "relayhost = [mx]\nmyhostname = h.example\n");
    const set = `config_directory = ${directory}\nmyhostname = h.example\nrelayhost = [mx]\n`;
    assert.deepEqual(await run(["-n"]), { status: 0, out: set, err: "" });
    assert.deepEqual(await run(["-n"], { MAIL_CONFIG: directory }), { status: 0, out: set, err: "" });
    assert.deepEqual(await run(["-hx", "myorigin"]), { status: 0, out: "h.example\n", err: "" });
  });

  it("after a fatal error nothing is shown, and the status is 1", async () => {
    writeFileSync(main, "a = ${b\nrelayhost = $a\n");
    const { status, out, err } = await run(["-nx"]);
    assert.equal(status, 1);
    assert.equal(out, "");
    assert.match(err, /^postconf: warning: truncated macro reference: "\$\{b"$/m);
    assert.match(err, /^postconf: fatal: macro processing error$/m);
  });

  it("edits keep bytes that are not UTF-8, and take arguments as UTF-8", async () => {
    writeFileSync(main, "a = \xff\n", "latin1");
    assert.equal((await run(["-e", "b = é"])).status, 0);
    assert.equal(readFileSync(main, "latin1"), "a = \xff\nb = \xc3\xa9\n");
  });

  it("-j shows a JSON object a line, of main.cf and of master.cf", async () => {
    writeFileSync(main, 'relayhost = "x\\y\tz"\n');
    assert.equal((await run(["-nj", "relayhost"])).out, '{"relayhost": "\\"x\\\\y\\tz\\""}\n');
    assert.equal((await run(["-Mj"])).out, '{"smtp/inet": "smtp inet n - n - - smtpd"}\n');
    assert.equal((await run(["-Fj", "*/*/command"])).out, '{"smtp/inet/command": "smtpd"}\n');
    const { err } = await run(["-jf"]);
    assert.equal(err, "postconf: fatal: with option -j, do not specify -f\n");
  });

  it("an edit of a service keeps the braces around its first argument", async () => {
    writeFileSync(master, "# kept\nx unix - n n - - pipe -o a=b {two words} {three more words}\n");
    assert.equal((await run(["-F", "x/unix/process_limit=3"])).status, 0);
    const after = "x          unix  -       n       n       -       3       pipe\n";
    assert.equal(readFileSync(master, "utf8"), `# kept\n${after}    -o a=b\n    {two words} {three more words}\n`);
    writeFileSync(master, "smtp inet n - n - - smtpd\n");
  });

  it("-T tells the TLS library and the certificates that it takes", async () => {
    assert.match((await run(["-T", "run-version"])).out, /^OpenSSL \d+\.\d+\.\d+/);
    assert.match((await run(["-T", "public-key-algorithms"])).out, /^ecdsa\nrsa\n$/m);
  });

  it("a template file of one's own is refused, not shown as if it were in force", async () => {
    const { status, err } = await run(["-t", "/etc/postfix/bounce.cf"]);
    assert.equal(status, 1);
    assert.match(err, /^postconf: fatal: \/etc\/postfix\/bounce\.cf: bounce_template_file is not supported/);
  });

  it("an option that there is not shows the usage", async () => {
    const { status, err } = await run(["-Z"]);
    assert.equal(status, 1);
    assert.match(err, /invalid option -- 'Z'\npostconf: fatal: usage: postconf/);
    assert.match((await run(["-E"])).err, /^postconf: fatal: usage: postconf/);
  });
});
