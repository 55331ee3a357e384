/** msmtp and swaks as clients of ours. Needs root and the packages msmtp and swaks. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { after, before, describe, test } from "node:test";
import { type Collector, startCollector } from "../lab/collector.ts";
import { missing } from "../peers/place.ts";
import { type RunningPostern, startPostern } from "../peers/postern.ts";

const why = missing("msmtp", "swaks");
let collector: Collector;
let postern: RunningPostern;

before(async () => {
  if (why) return;
  collector = await startCollector();
  postern = await startPostern({
    mainCf: { mynetworks: "127.0.0.0/8", relayhost: `[127.0.0.1]:${collector.port}`, disable_dns_lookups: "yes" },
    smtpd: { smtpd_relay_restrictions: "permit_mynetworks,reject" },
  });
});

after(async () => {
  if (why) return;
  await postern.stop();
  await collector.stop();
});

function run(program: string, args: readonly string[], input = ""): Promise<{ status: number | null; text: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args);
    let text = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (bytes: Buffer) => (text += bytes.toString()));
    child.stdin.on("error", () => {});
    child.once("error", reject);
    child.once("close", (status) => resolve({ status, text }));
    child.stdin.end(input);
  });
}

const arrived = (subject: string) => collector.find(subject, ({ text }) => text.includes(`Subject: ${subject}\r\n`));

describe("clients", { skip: why ?? false }, () => {
  const msmtp = (...args: string[]) => [
    "--file=/dev/null",
    "--host=127.0.0.1",
    `--port=${postern.port}`,
    "--tls=off",
    "--auth=off",
    "--from=s@client.example",
    ...args,
  ];

  test("msmtp delivers, dots and bytes as they were", async () => {
    const ran = await run(
      "msmtp",
      msmtp("a@x.example", "b@x.example"),
      "Subject: by msmtp\nFrom: s@client.example\n\n.leading\n..two\ngrüße\n",
    );
    assert.equal(ran.status, 0, ran.text);
    const { mail, rcpt, text } = await arrived("by msmtp");
    assert.match(mail, /^<s@client\.example>/);
    assert.deepEqual(
      rcpt.map((each) => each.replace(/ .*/, "")),
      ["<a@x.example>", "<b@x.example>"],
    );
    assert.match(text, /\r\n\r\n\.leading\r\n\.\.two\r\ngrüße\r\n$/);
  });

  test("msmtp reads recipients itself, and hides Bcc", async () => {
    const ran = await run("msmtp", msmtp("-t"), "To: a@x.example\nBcc: hidden@x.example\nSubject: by msmtp -t\n\nx\n");
    assert.equal(ran.status, 0, ran.text);
    const { rcpt, text } = await arrived("by msmtp -t");
    assert.equal(rcpt.length, 2);
    assert.doesNotMatch(text, /hidden/);
  });

  test("msmtp asks for notifications", async () => {
    const ran = await run(
      "msmtp",
      msmtp("--dsn-notify=failure,delay", "--dsn-return=headers", "a@x.example"),
      "Subject: dsn by msmtp\n\nx\n",
    );
    assert.equal(ran.status, 0, ran.text);
    const { mail, rcpt } = await arrived("dsn by msmtp").catch(() => ({ mail: "", rcpt: [] as readonly string[] }));
    assert.match(`${mail} ${rcpt.join()}`, /RET=HDRS.*NOTIFY=FAILURE,DELAY|NOTIFY/);
  });

  const swaks = (subject: string, ...args: string[]) => [
    ...[
      "--server",
      `127.0.0.1:${postern.port}`,
      "--from",
      "s@client.example",
      "--header",
      `Subject: ${subject}`,
      "--helo",
      "client.example",
    ],
    ...args,
  ];

  test("swaks delivers, with and without pipelining", async () => {
    for (const [subject, ...more] of [
      ["by swaks"],
      ["by swaks in a pipeline", "--pipeline"],
      ["by swaks with HELO", "--protocol", "SMTP"],
    ] as const) {
      const ran = await run("swaks", swaks(subject, "--to", "a@x.example,b@x.example", ...more));
      assert.equal(ran.status, 0, ran.text);
      assert.equal((await arrived(subject)).rcpt.length, 2);
    }
  });

  test("swaks sends a file with MIME parts, and it arrives whole", async () => {
    const ran = await run(
      "swaks",
      swaks(
        "a part by swaks",
        "--to",
        "a@x.example",
        "--attach-type",
        "application/octet-stream",
        "--attach",
        "-",
        "--body",
        "text",
      ),
      "attached\n",
    );
    assert.equal(ran.status, 0, ran.text);
    assert.match((await arrived("a part by swaks")).text, /multipart\/mixed[\s\S]*YXR0YWNoZWQK/);
  });

  test("swaks is told what is refused", async () => {
    const ran = await run("swaks", swaks("refused", "--to", "not an address"));
    assert.notEqual(ran.status, 0);
    assert.match(ran.text, /<\*\* (501|553|555) /);
  });
});
