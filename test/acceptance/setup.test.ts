import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { type TestContext, test } from "node:test";
import { setup } from "../../src/cli/setup.ts";
import { testIo } from "../../src/cli/test-io.ts";
import { type PracticeOptions, type PracticeServer, startPracticeServer } from "../../src/practice/practice-server.ts";
import { realRuntime } from "../../src/runtime/real.ts";
import { needs } from "../lab/needs.ts";

const able = needs({ root: true, programs: ["script"] });
const launcher = resolve(import.meta.dirname, "../../bin/postern");
const password = "p#ss $word: ü";

interface Place {
  readonly directory: string;
  readonly server: PracticeServer;
  readonly main: () => string;
}

async function place(t: TestContext, options: Partial<PracticeOptions> = {}): Promise<Place> {
  const directory = mkdtempSync(join(tmpdir(), "postern-setup-"));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const server = await startPracticeServer(realRuntime(), {
    ...{ address: "127.0.0.1", port: 0, name: "localhost", users: { "me@relay.example": password } },
    ...options,
  });
  t.after(() => server.close());
  const main = {
    ...{
      compatibility_level: "3.6",
      myhostname: "relay.example",
      mydestination: "",
      alias_maps: "",
      mynetworks: "127.0.0.0/8",
    },
    ...{ inet_protocols: "ipv4", smtp_host_lookup: "native", queue_directory: join(directory, "spool") },
  };
  mkdirSync(join(directory, "spool"));
  const lines = Object.entries(main).map(([name, value]) => `${name} = ${value}\n`);
  writeFileSync(join(directory, "main.cf"), `# ours\n${lines.join("")}`);
  writeFileSync(join(directory, "master.cf"), "");
  writeFileSync(join(directory, "ca.pem"), server.certificate ?? "");
  writeFileSync(join(directory, "password"), `${password}\n`);
  return { directory, server, main: () => readFileSync(join(directory, "main.cf"), "utf8") };
}

async function run({ directory }: Place, args: readonly string[], input?: string, env: Record<string, string> = {}) {
  const io = testIo({ directory, env, ...(input === undefined ? {} : { input: [input] }) });
  const status = await setup(args, io);
  const { out, err } = io.written();
  const text = out.toString() + err;
  assert.ok(!text.includes(password) && !text.includes("p#ss"), "a password is shown");
  return { status, text };
}

const usual = ({ directory, server }: Place): string[] => [
  ...["--server", `localhost:${server.port}`, "--account", "me@relay.example", "--ca-file", join(directory, "ca.pem")],
];

test("a login that works is written, tried with a message, and can be taken back", able, async (t) => {
  const at = await place(t);
  const before = at.main();
  const { status, text } = await run(at, [
    ...usual(at),
    "--password-file",
    join(at.directory, "password"),
    "--yes",
    "--to",
    "you@elsewhere.example",
  ]);
  assert.equal(status, 0, text);
  assert.match(text, /the login works/);
  assert.match(text, /\+\[localhost\]:\d+ me@relay\.example:\*\*\*/);
  assert.equal(at.server.messages.at(-1)?.username, "me@relay.example");
  assert.equal(at.server.messages.at(-1)?.secured, true);
  assert.ok(at.main().startsWith(before), "comments and order stay");
  const table = join(at.directory, "sasl_passwd");
  assert.equal(readFileSync(table, "utf8"), `[localhost]:${at.server.port}\tme@relay.example:${password}\n`);
  for (const path of [table, `${table}.db`]) assert.equal(statSync(path).mode & 0o777, 0o600, path);
  const again = await run(at, [...usual(at), "--password-file", join(at.directory, "password"), "--yes", "--no-test"]);
  assert.match(again.text, /nothing has to be changed/);
  assert.equal((await run(at, ["--undo"])).status, 0);
  assert.equal(at.main(), before);
  assert.deepEqual(readdirSync(at.directory).sort(), ["ca.pem", "main.cf", "master.cf", "password", "spool"]);
});

test("mail of local programs that the provider will not take is said so before it bounces", able, async (t) => {
  const at = await place(t, {
    script: ({ verb, argument }) =>
      verb === "MAIL" && argument.includes("<root@")
        ? { reply: "550 5.7.60 SMTP; Client does not have permissions to send as this sender" }
        : undefined,
  });
  const { status, text } = await run(at, [
    ...usual(at),
    ...["--password-file", join(at.directory, "password"), "--yes", "--no-test"],
  ]);
  assert.equal(status, 0, text);
  assert.match(text, /warning: .* does not take mail from <root@relay\.example>: 550 5\.7\.60/);
  assert.match(text, /smtp_generic_maps/);
});

test("a login that is refused writes nothing, and says what the server said", able, async (t) => {
  const at = await place(t);
  const before = at.main();
  const { status, text } = await run(at, [...usual(at), "--password-stdin", "--yes"], "another one\n");
  assert.equal(status, 1);
  assert.match(text, /refuses the login of me@relay\.example: 535/);
  assert.match(text, /nothing was written/);
  assert.equal(at.main(), before);
  assert.ok(!readdirSync(at.directory).some((name) => name.startsWith("sasl_passwd")));
});

test("--dry-run shows what would be written, and writes nothing", able, async (t) => {
  const at = await place(t);
  const before = at.main();
  const credentials = join(at.directory, "credentials");
  mkdirSync(credentials);
  writeFileSync(join(credentials, "smtp"), password);
  const { status, text } = await run(at, [...usual(at), "--credential", "smtp", "--dry-run"], undefined, {
    CREDENTIALS_DIRECTORY: credentials,
  });
  assert.equal(status, 0, text);
  assert.match(text, /^ {2}\+relayhost = \[localhost\]:\d+$/m);
  assert.equal(at.main(), before);
});

test("a server whose certificate nobody vouches for is refused, unless that is asked for", able, async (t) => {
  const at = await place(t);
  const args = [
    "--server",
    `localhost:${at.server.port}`,
    "--account",
    "me@relay.example",
    "--password-file",
    join(at.directory, "password"),
    "--yes",
    "--no-test",
  ];
  const refused = await run(at, args);
  assert.equal(refused.status, 1);
  assert.match(refused.text, /For a server of your own: --ca-file/);
  assert.equal((await run(at, [...args, "--no-verify"])).status, 0);
  assert.match(at.main(), /^smtp_tls_security_level = encrypt$/m);
});

test("a provider that takes no passwords any more is told so, with the date", able, async (t) => {
  const at = await place(t);
  const { status, text } = await run(at, [
    "--provider",
    "Outlook.com",
    "--account",
    "me@outlook.com",
    "--password-file",
    "/nonexistent",
  ]);
  assert.equal(status, 1);
  assert.match(text, /no passwords: .*16 September 2024/);
});

for (const [what, args, why] of [
  ["a password on the command line", ["--password", "x"], /a password is not taken from the command line/],
  ["two places for the password", ["--password-stdin", "--credential", "x"], /comes from one place/],
  ["provider and server", ["--provider", "Gmail", "--server", "x.example"], /not both/],
  ["an unknown option", ["--frob"], /Unknown option/],
] as const) {
  test(`${what} is refused with the usage`, able, async (t) => {
    const { status, text } = await run(await place(t), args);
    assert.equal(status, 64);
    assert.match(text, why);
    assert.match(text, /usage: postern/);
  });
}

/** Runs a command on a terminal of its own, and types each answer when its question is there. Resolves to all that was shown. */
function answering(
  command: string,
  answers: readonly (readonly [question: RegExp, answer: string])[],
): Promise<string> {
  const child = spawn("script", ["-qec", command, "/dev/null"], { stdio: ["pipe", "pipe", "inherit"] });
  const waiting = [...answers];
  let shown = "";
  let from = 0;
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    shown += text;
    const [question, answer = ""] = waiting[0] ?? [];
    if (!question?.test(shown.slice(from))) return;
    from = shown.length;
    waiting.shift();
    child.stdin.write(`${answer}\r`);
  });
  return new Promise((resolve) => child.on("close", () => resolve(shown)));
}

test("at a terminal it asks, and does not show the password while it is typed", able, async (t) => {
  const at = await place(t);
  const command = `exec ${launcher} -c ${at.directory} setup --server localhost:${at.server.port} --ca-file ${at.directory}/ca.pem`;
  const stdout = await answering(command, [
    [/Account \(user name\): /, "me@relay.example"],
    [/Password \(it is not shown\): /, password],
    [/Write this\? \[Y\/n\] /, "y"],
    [/test message to .*: /, "you@elsewhere.example"],
  ]);
  assert.match(stdout, /Account \(user name\): /);
  assert.match(stdout, /Password \(it is not shown\): \r?\n/);
  assert.ok(!stdout.includes("p#ss"), stdout);
  assert.match(stdout, /Write this\? \[Y\/n\]/);
  assert.match(stdout, /accepted\S*: the next server has taken it over/);
  assert.equal(at.server.messages.at(-1)?.recipients[0], "you@elsewhere.example");
});
