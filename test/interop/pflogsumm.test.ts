/** The mail log as Debian's pflogsumm understands it. Needs root and the package pflogsumm. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createConnection } from "node:net";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { type Collector, startCollector } from "../lab/collector.ts";
import { until } from "../lab/until.ts";
import { missing } from "../peers/place.ts";
import { type RunningPostern, startPostern } from "../peers/postern.ts";

const why = missing("pflogsumm");
let collector: Collector | undefined;
let postern: RunningPostern | undefined;

/** The server at the other end takes mail for good.example, puts off later.example, and refuses bad.example. */
const refuse = (recipient: string): string | undefined =>
  recipient.includes("@later.example")
    ? "450 4.2.0 come back later"
    : recipient.includes("@bad.example")
      ? "550 5.1.1 no such user"
      : undefined;

before(async () => {
  if (why) return;
  collector = await startCollector(refuse);
  postern = await startPostern({
    mainCf: {
      mynetworks: "127.0.0.0/8",
      relayhost: `[127.0.0.1]:${collector.port}`,
      disable_dns_lookups: "yes",
      smtpd_relay_restrictions: "permit_mynetworks, reject",
      default_destination_concurrency_failed_cohort_limit: "100",
    },
    smtpd: { smtpd_recipient_restrictions: "permit" },
    masterCf: [
      "127.0.0.1:24117 inet n - n - - smtpd",
      "  -o mynetworks=192.0.2.0/24",
      "  -o smtpd_relay_restrictions=permit_mynetworks,reject",
    ],
  });
});

after(async () => {
  await postern?.stop();
  await collector?.stop();
});

/** Says these lines, each after the reply to the one before; the replies. */
function converse(port: number, lines: readonly string[]): Promise<string[]> {
  return new Promise((resolve, reject) => {
    const replies: string[] = [];
    const socket = createConnection({ port, host: "127.0.0.1" });
    const waiting = [...lines];
    let rest = "";
    socket.setEncoding("latin1").on("error", reject);
    socket.on("data", (text: string) => {
      rest += text;
      for (let end = rest.indexOf("\r\n"); end >= 0; end = rest.indexOf("\r\n")) {
        const line = rest.slice(0, end);
        rest = rest.slice(end + 2);
        if (line[3] === "-") continue;
        replies.push(line);
        const next = waiting.shift();
        if (next !== undefined) socket.write(`${next}\r\n`);
      }
    });
    socket.on("close", () => resolve(replies));
  });
}

const message = (sender: string, ...recipients: string[]): string[] => [
  `MAIL FROM:<${sender}>`,
  ...recipients.map((each) => `RCPT TO:<${each}>`),
  "DATA",
  "Subject: x\r\n\r\nbody\r\n.",
];

test("pflogsumm counts what was received, delivered, deferred, bounced and rejected", {
  skip: why ?? false,
}, async () => {
  if (!postern) return;
  const { port } = postern;
  const good = [
    "EHLO client.example",
    ...message("s@client.example", "a@good.example", "b@good.example"),
    ...message("s@client.example", "c@good.example"),
    "QUIT",
  ];
  const later = ["EHLO client.example", ...message("s@client.example", "a@later.example"), "QUIT"];
  const bad = ["EHLO client.example", ...message("s@client.example", "a@bad.example"), "QUIT"];
  for (const lines of [good, later, bad]) assert.equal((await converse(port, lines)).at(-1), "221 2.0.0 Bye");
  const strange = [
    "EHLO stranger.example",
    "MAIL FROM:<x@stranger.example>",
    "RCPT TO:<a@elsewhere.example>",
    "RCPT TO:<b@elsewhere.example>",
    "QUIT",
  ];
  const rejected = await converse(24117, strange);
  assert.equal(rejected.filter((reply) => reply.startsWith("554 5.7.1")).length, 2, rejected.join("\n"));
  const log = () => postern?.log() ?? "";
  await until(
    "everything in the log",
    () => {
      const count = (pattern: RegExp) => log().match(pattern)?.length ?? 0;
      // The notification goes to the sender of the one that bounced.
      return (
        count(/status=sent/g) === 4 &&
        count(/status=deferred/g) === 1 &&
        count(/status=bounced/g) === 1 &&
        count(/disconnect from/g) >= 5
      );
    },
    { about: log },
  );
  const { status, stdout, stderr } = spawnSync(
    "pflogsumm",
    ["--problems_first", join(postern.directory, "log", "mail.log")],
    { encoding: "utf8", env: { ...process.env, LC_ALL: "C" } },
  );
  assert.equal(status, 0, stderr);
  const figure = (name: string) =>
    Number(new RegExp(`^\\s+(\\d+)k?\\s+${name}\\b`, "m").exec(stdout)?.[1] ?? Number.NaN);
  const figures = Object.fromEntries(
    ["received", "delivered", "deferred", "bounced", "rejected", "senders", "recipients"].map((name) => [
      name,
      figure(name),
    ]),
  );
  assert.deepEqual(
    figures,
    { received: 4, delivered: 4, deferred: 1, bounced: 1, rejected: 2, senders: 1, recipients: 4 },
    `${stdout}\n${log()}`,
  );
  assert.match(stdout, /message deferral detail\n-+\n\s+smtp \(total: 1\)\n\s+1\s+4\.2\.0 come back later/);
  assert.match(stdout, /message bounce detail \(by relay\)\n-+\n\s+127\.0\.0\.1\[127\.0\.0\.1\]:\d+ \(total: 1\)/);
  assert.match(stdout, /message reject detail\n-+\n\s+RCPT\n/);
  assert.match(stdout, /^Per-Hour Traffic Summary/m);
});
