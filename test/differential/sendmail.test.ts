/**
 * Debian's sendmail and ours side by side: exit status, what is said, and the message as it arrives,
 * queue ids, hosts' own Received: lines and moments aside. Needs root and the package postfix.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { after, before, describe, test } from "node:test";
import { type Collected, type Collector, startCollector } from "../lab/collector.ts";
import { until } from "../lab/until.ts";
import { missing } from "../peers/place.ts";
import { type RunningPostern, startPostern } from "../peers/postern.ts";
import { type RunningPostfix, startPostfix } from "../peers/postfix.ts";

const why = missing("postfix", "sendmail", "setpriv");
const launcher = new URL("../../bin/postern", import.meta.url).pathname;

interface Ran {
  readonly status: number | null;
  readonly out: string;
  readonly err: string;
}

/** One system: its configuration directory, how its sendmail is run, and where its mail arrives. */
interface System {
  readonly etc: string;
  readonly collector: Collector;
  sendmail(args: readonly string[], input?: string | Buffer, env?: Record<string, string>): Promise<Ran>;
}

const mainCf = (port: number): Record<string, string> => ({
  myhostname: "mx.here.example",
  mydomain: "here.example",
  myorigin: "here.example",
  mydestination: "",
  mynetworks: "127.0.0.0/8",
  append_dot_mydomain: "no",
  relayhost: `[127.0.0.1]:${port}`,
  disable_dns_lookups: "yes",
  enable_long_queue_ids: "yes",
  message_size_limit: "20000",
  smtputf8_enable: "yes",
});

let postfix: RunningPostfix | undefined;
let postern: RunningPostern | undefined;
const collectors: Collector[] = [];
let theirs: System;
let ours: System;

before(async () => {
  if (why) return;
  // A recipient at later.example is put off, so that the queue has something to show.
  const refuse = (recipient: string) =>
    recipient.includes("@later.example") ? "450 4.2.0 come back later" : undefined;
  const [first, second] = [await startCollector(refuse), await startCollector(refuse)];
  collectors.push(first, second);
  [postfix, postern] = await Promise.all([
    startPostfix({ mainCf: mainCf(first.port) }),
    startPostern({ mainCf: mainCf(second.port) }),
  ]);
  theirs = system(`${postfix.directory}/etc`, first, ["/usr/sbin/sendmail"]);
  ours = system(`${postern.directory}/etc`, second, [launcher, "sendmail"]);
});

after(async () => {
  await postfix?.stop();
  await postern?.stop();
  for (const each of collectors) await each.stop();
});

function system(etc: string, collector: Collector, [program = "", ...first]: readonly string[]): System {
  const sendmail: System["sendmail"] = (args, input = "", env = {}) =>
    run(program, [...first, "-C", etc, ...args], input, env);
  return { etc, collector, sendmail };
}

function run(
  program: string,
  args: readonly string[],
  input: string | Buffer = "",
  env: Record<string, string> = {},
): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { env: { PATH: process.env.PATH, TZ: "UTC", ...env } });
    let [out, err] = ["", ""];
    child.stdout.on("data", (bytes: Buffer) => (out += bytes.toString()));
    child.stderr.on("data", (bytes: Buffer) => (err += bytes.toString()));
    child.stdin.on("error", () => {});
    child.once("error", reject);
    child.once("close", (status) => resolve({ status, out, err }));
    child.stdin.end(input);
  });
}

/** Without what differs between any two messages. */
function plain({ mail, rcpt, text }: Collected): Collected {
  const [, header = "", body = ""] = /^([\s\S]*?\r\n)(\r\n[\s\S]*)$/.exec(text) ?? ["", text, ""];
  const fields = header
    .replaceAll(/^Received:.*\r\n(?:[ \t].*\r\n)*/gm, "")
    .replaceAll(/^((?:Resent-)?(?:Message-Id|Date)): .*\r\n/gim, "$1: (some)\r\n");
  // Where nobody has said that there are eight bits, Postfix leaves that out; we say what is there (RFC 6152).
  return { mail: mail.replace(/ SIZE=\d+/, " SIZE=n").replace(" BODY=8BITMIME", ""), rcpt, text: fields + body };
}

let count = 0;

/** Sends the same by both; what arrives must be the same. `text` gets a mark to be found by. */
async function compare(
  args: readonly string[],
  text: (mark: string) => string | Buffer,
  env: Record<string, string> = {},
): Promise<Collected> {
  const mark = `mark-${count++}-mark`;
  const results: [Ran, Collected][] = [];
  for (const each of [theirs, ours]) {
    const ran = await each.sendmail(args, text(mark), env);
    assert.equal(ran.status, 0, ran.err);
    results.push([
      ran,
      plain(await each.collector.find(`${args.join(" ")} (${each.etc})`, (message) => message.text.includes(mark))),
    ]);
  }
  const [[ranTheirs, messageTheirs], [ranOurs, messageOurs]] = results as [[Ran, Collected], [Ran, Collected]];
  assert.deepEqual(messageOurs, messageTheirs);
  assert.deepEqual(ranOurs, ranTheirs);
  return messageOurs;
}

const simple = (mark: string): string => `Subject: ${mark}\n\nbody\n`;

describe("sendmail, beside Debian's", { skip: why ?? false, concurrency: false }, () => {
  const cases: readonly (readonly [
    string,
    readonly string[],
    (mark: string) => string | Buffer,
    Record<string, string>?,
  ])[] = [
    ["a plain message", ["a@x.example"], simple],
    [
      "options of cron and mail programs",
      ["-FCronDaemon", "-i", "-odi", "-oem", "-oi", "-bm", "-U", "-x", "-c", "a@x.example"],
      simple,
    ],
    [
      "recipients in lists, with words, in groups",
      ["a@x.example, b@x.example", "Some One <c@x.example>", "g: d@x.example;", "e@x.example"],
      simple,
    ],
    ["an address without a domain", ["someone", "other@"], simple],
    ["a sender with a name", ["-f", "Some One <s@x.example>", "a@x.example"], simple],
    ["a sender without a domain, by -r", ["-r", "somebody", "a@x.example"], simple],
    ["several senders", ["-f", "s@x.example, t@x.example", "a@x.example"], simple],
    ["the null sender as <>", ["-f", "<>", "a@x.example"], simple],
    ["the null sender as an empty word", ["-f", "", "a@x.example"], simple],
    ["a full name", ["-F", "Full Name", "a@x.example"], simple],
    ["a full name that needs quotes", ["-F", 'odd, "name" (x)', "a@x.example"], simple],
    ["a full name from the environment", ["a@x.example"], simple, { NAME: "From Environment" }],
    [
      "recipients from the header",
      ["-t"],
      (mark) => `To: a@x.example, B <b@x.example>\nCc: c@x.example\nBcc: d@x.example\nSubject: ${mark}\n\nx\n`,
    ],
    [
      "recipients from header and command line",
      ["-t", "z@x.example"],
      (mark) => `To: a@x.example\nSubject: ${mark}\n\nx\n`,
    ],
    [
      "recipients of a resent message",
      ["-t"],
      (mark) => `To: a@x.example\nResent-To: b@x.example\nResent-From: r@x.example\nSubject: ${mark}\n\nx\n`,
    ],
    [
      "a folded recipient header, without a body",
      ["-t"],
      (mark) => `Subject: ${mark}\nTo: a@x.example,\n\tb@x.example,\n c@x.example\n`,
    ],
    ["a hidden recipient without -t", ["a@x.example"], (mark) => `Bcc: secret@x.example\nSubject: ${mark}\n\nx\n`],
    ["a dot ends the message", ["a@x.example"], (mark) => `Subject: ${mark}\n\none\n.\ntwo\n`],
    ["a dot ends it in the header, too", ["a@x.example"], (mark) => `Subject: ${mark}\n.\nTo: x\n\ntwo\n`],
    ["with -i a dot does not", ["-i", "a@x.example"], (mark) => `Subject: ${mark}\n\none\n.\n..\n.two\n`],
    ["CRLF line ends", ["a@x.example"], (mark) => `Subject: ${mark}\r\n\r\none\r\n.\r\ntwo\r\n`],
    ["mixed line ends", ["a@x.example"], (mark) => `Subject: ${mark}\n\none\r\ntwo\r\r\nth\rree\n`],
    ["mbox lines", ["a@x.example"], (mark) => `From root Mon Jan  1\n>From other\nSubject: ${mark}\n\nFrom here\n`],
    ["no header at all", ["a@x.example"], (mark) => `${mark}\nmore\n`],
    ["a body that looks like a header", ["a@x.example"], (mark) => `\nSubject: ${mark}\n`],
    ["no line end at the end", ["a@x.example"], (mark) => `Subject: ${mark}\n\nlast`],
    ["eight bits", ["a@x.example"], (mark) => `Subject: ${mark}\n\ngrüße\n`],
    ["eight bits, announced", ["-B8BITMIME", "a@x.example"], (mark) => `Subject: ${mark}\n\ngrüße\n`],
    ["long lines", ["a@x.example"], (mark) => `Subject: ${mark}\n\n${"long ".repeat(900)}\nend\n`],
    ["notifications and an envelope id", ["-N", "success,delay", "-R", "hdrs", "-V", "id 7", "a@x.example"], simple],
    ["never a notification", ["-N", "never", "a@x.example"], simple],
    [
      "bad values that only warn",
      ["-N", "never,success", "-N", "foo", "-R", "body", "-V", "x".repeat(101), "a@x.example"],
      simple,
    ],
    [
      "mail on its way through",
      ["-G", "-f", "s@x.example", "a@x.example"],
      (mark) => `From: local\nTo: other\nSubject: ${mark}\n\nx\n`,
    ],
    [
      "a header without a domain",
      ["a@x.example"],
      (mark) => `From: local (Comment)\nTo: other, "Q" <third>\nSubject: ${mark}\n\nx\n`,
    ],
    ["a configuration file by name", ["a@x.example"], simple],
  ];
  for (const [name, args, text, env] of cases) test(name, () => compare(args, text, env).then(() => {}));

  test("an empty message arrives", async () => {
    const arrived: Collected[] = [];
    for (const each of [theirs, ours]) {
      const known = each.collector.messages.length;
      assert.equal((await each.sendmail(["empty@x.example"])).status, 0);
      await until("an empty message", () => each.collector.messages.length > known);
      arrived.push(plain(each.collector.messages.at(-1) ?? assert.fail()));
    }
    assert.deepEqual(arrived[1], arrived[0]);
  });

  test("what is refused is refused alike, with the same words and status", async () => {
    const refused: readonly (readonly string[])[] = [
      [],
      ["-t"],
      ["-bx", "a@x.example"],
      ["-qR"],
      ["-qI"],
      ["-qX"],
      ["-n", "a@x.example"],
      ["-B", "foo", "a@x.example"],
      ["-bp", "a@x.example"],
      ["-bd", "a@x.example"],
      ["-bi", "a@x.example"],
      ["-bs", "a@x.example"],
      ["-q", "a@x.example"],
      ["-qIabc", "a@x.example"],
      ["-qRx.example", "a@x.example"],
      ["-qRx.example", "-bp"],
      ["-t", "-bs"],
      ["-oA", "-bi"],
      ["-Xlog", "a@x.example"],
    ];
    const outcomes = await Promise.all(
      refused.map(
        async (args) => [args.join(" "), ...(await Promise.all([theirs.sendmail(args), ours.sendmail(args)]))] as const,
      ),
    );
    for (const [args, wanted, got] of outcomes) assert.deepEqual(got, wanted, args);
    assert.ok(outcomes.every(([, wanted]) => wanted.status === 75));
  });

  test("an unknown option shows the usage", async () => {
    const [wanted, got] = await Promise.all([theirs.sendmail(["-Z"]), ours.sendmail(["-Z"])]);
    assert.deepEqual(
      [got.status, got.err],
      [wanted.status, wanted.err.replace("sendmail: invalid option -- 'Z'\n", "")],
    );
  });

  test("a message larger than message_size_limit is refused with the same status, and nothing arrives", async () => {
    const text = `Subject: x\n\n${"text\n".repeat(10_000)}`;
    const known = collectors.map(({ messages }) => messages.length);
    const [wanted, got] = await Promise.all([
      theirs.sendmail(["a@x.example"], text),
      ours.sendmail(["a@x.example"], text),
    ]);
    assert.equal(got.status, wanted.status);
    assert.match(got.err, /^sendmail: fatal: .*[Mm]essage file too big\n$/m);
    assert.deepEqual(
      collectors.map(({ messages }) => messages.length),
      known,
    );
  });

  test("a time for looking into the queue is nothing to do", async () => {
    for (const args of [["-q30m"], ["-bH"]]) {
      const [wanted, got] = await Promise.all([theirs.sendmail(args), ours.sendmail(args)]);
      assert.deepEqual(got, wanted);
      assert.equal(got.status, 0);
    }
  });

  test("-bv and VERP are refused in words that say what to do", async () => {
    const probe = await ours.sendmail(["-bv", "a@x.example"]);
    assert.deepEqual([probe.status, probe.out], [75, ""]);
    assert.match(probe.err, /^sendmail: fatal: -bv: a report without delivery is not supported/);
    assert.match((await ours.sendmail(["-XV", "-f", "s@x.example", "a@x.example"])).err, /VERP/);
  });

  test("-bs speaks SMTP, and what it takes arrives", async () => {
    for (const each of [theirs, ours]) {
      const lines = [
        "EHLO me",
        "MAIL FROM:<s@x.example>",
        "RCPT TO:<bs@x.example>",
        "DATA",
        "Subject: by -bs",
        "",
        "..dot",
        ".",
        "QUIT",
        "",
      ];
      const ran = await each.sendmail(["-bs"], lines.join("\r\n"));
      assert.equal(ran.status, 0, ran.err);
      assert.deepEqual(
        ran.out.match(/^\d{3} /gm)?.filter((code) => code !== "250 "),
        ["220 ", "354 ", "221 "],
      );
      const arrived = await each.collector.find("mail by -bs", ({ text }) => text.includes("Subject: by -bs"));
      assert.match(arrived.text, /\r\n\r\n\.dot\r\n$/);
    }
  });

  test("any user may send, and the relay knows who it was", async () => {
    const as = (uid: number) => [
      "--reuid",
      String(uid),
      "--regid",
      "65534",
      "--clear-groups",
      launcher,
      "sendmail",
      "-C",
      ours.etc,
    ];
    const ran = await run("setpriv", [...as(65534), "-t"], "To: a@x.example\nSubject: by nobody\n\nx\n");
    assert.deepEqual(ran, { status: 0, out: "", err: "" });
    const arrived = await ours.collector.find("mail by nobody", ({ text }) => text.includes("Subject: by nobody"));
    assert.match(arrived.mail, /^<nobody@here\.example>/);
    assert.match(arrived.text, /^Received: by mx\.here\.example \(Postfix, from userid 65534\)/m);
    const logged = /postfix\/pickup\[\d+\]: [0-9A-F]+: uid=65534 from=<nobody>/;
    await until("the user in the log", () => logged.test(postern?.log() ?? ""));
  });

  test("a user with a strict creation mask, and one whom the system does not know, may send, too", async () => {
    const shell = `umask 077; exec setpriv --reuid 54321 --regid 54321 --clear-groups ${launcher} sendmail -C ${ours.etc} -f who@x.example a@x.example`;
    const ran = await run("sh", ["-c", shell], "Subject: by a stranger\n\nx\n");
    assert.equal(ran.status, 0, ran.err);
    await ours.collector.find("mail by a stranger", ({ text }) => text.includes("Subject: by a stranger"));
  });

  test("deferred mail is listed as Debian lists it: mailq, sendmail -bp, postqueue -p and -j", async () => {
    const subject = "Subject: later\n\nx\n";
    for (const each of [theirs, ours])
      assert.equal(
        (await each.sendmail(["-f", "s@x.example", "one@later.example", "two@later.example"], subject)).status,
        0,
      );
    const listing = async (which: "theirs" | "ours", option: string) => {
      const command = which === "theirs" ? ["/usr/sbin/postqueue"] : [launcher, "postqueue"];
      const [program = "", ...first] = command;
      return (await run(program, [...first, "-c", which === "theirs" ? theirs.etc : ours.etc, option])).out;
    };
    const deferred = async (which: "theirs" | "ours") =>
      until(`a deferred message (${which})`, async () => {
        const json = await listing(which, "-j");
        const settled = /"deferred".*two@later/.test(json) && /come back later.*come back later/.test(json);
        // What was there before may still be on its way out.
        return settled && json.trimEnd().split("\n").length === 1 && json;
      });
    const listed = async (which: "theirs" | "ours") =>
      until(`nothing but that in the listing (${which})`, async () => {
        const text = await listing(which, "-p");
        return !/^\w+[*!]/m.test(text) && /in 1 Request\./.test(text) && text;
      });
    const normal = (text: string) =>
      text
        .replaceAll(/"queue_id": "\w+"/g, '"queue_id": "ID"')
        .replaceAll(/"arrival_time": \d+/g, '"arrival_time": 0')
        .replaceAll(
          /^\w+(\*?) +(\d+) \w{3} \w{3} [ \d]\d [\d:]{8} /gm,
          (line: string, mark: string) => `ID${mark} ${line.length} SIZE DATE `,
        )
        .replaceAll(/"message_size": \d+/g, '"message_size": 0')
        .replaceAll(/host 127\.0\.0\.1\[127\.0\.0\.1\](:\d+)?/g, "host H");
    const [jsonTheirs, jsonOurs] = [await deferred("theirs"), await deferred("ours")];
    assert.equal(normal(jsonOurs), normal(jsonTheirs));
    const [textTheirs, textOurs] = [await listed("theirs"), await listed("ours")];
    assert.equal(
      normal(textOurs)
        .replaceAll(/\(host H.*\)/g, "(R)")
        .replaceAll(/^ +\(R\)/gm, "(R)"),
      normal(textTheirs)
        .replaceAll(/\(host H.*\)/g, "(R)")
        .replaceAll(/^ +\(R\)/gm, "(R)"),
    );
    assert.equal((await ours.sendmail(["-bp"])).out, textOurs);
    assert.equal((await run(launcher, ["mailq"], "", { MAIL_CONFIG: ours.etc })).out, textOurs);
  });

  test("-q, -qI and -qR have deferred mail tried at once", async () => {
    const queued = JSON.parse((await run(launcher, ["postqueue", "-c", ours.etc, "-j"])).out.split("\n")[0] ?? "{}");
    const tries = () => postern?.log().match(/to=<one@later\.example>.*status=deferred/g)?.length ?? 0;
    for (const option of ["-q", `-qI${queued.queue_id}`, "-qRlater.example"]) {
      const before = tries();
      const ran = await ours.sendmail([option]);
      assert.deepEqual(ran, { status: 0, out: "", err: "" }, option);
      await until(`another try after ${option}`, () => tries() > before, { about: () => postern?.log() ?? "" });
    }
  });

  test("input that cannot be read is not taken for the end of the message", async () => {
    const shell = `${launcher} sendmail -C ${ours.etc} a@x.example < /`;
    const ran = await run("sh", ["-c", shell]);
    assert.equal(ran.status, 75);
    assert.match(ran.err, /^sendmail: fatal: .*EISDIR/);
  });

  test("a user whom authorized_submit_users excludes is told at once", async () => {
    const { status, stderr } =
      postern?.run("postconf", "-e", "authorized_submit_users = !nobody, static:all") ?? assert.fail();
    assert.equal(status, 0, stderr);
    const ran = await run(
      "setpriv",
      ["--reuid", "65534", "--regid", "65534", "--clear-groups", launcher, "sendmail", "-C", ours.etc, "a@x.example"],
      "x\n",
    );
    assert.equal(ran.status, 75);
    assert.match(ran.err, /^sendmail: fatal: User nobody\(65534\) is not allowed to submit mail\n$/);
    assert.equal((await ours.sendmail(["a@x.example"], "Subject: root still may\n\n")).status, 0);
  });
});
