/**
 * postqueue, mailq, postsuper and postcat of Debian's Postfix and ours side by side, on real queues with the same mail: exit
 * status, what is printed and what is said, with the mail system running and without. Queue ids, moments and sizes aside
 * (Received: and Message-Id: have the ids in them). Needs root and the package postfix.
 */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { chmodSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { until } from "../lab/until.ts";
import { missing } from "../peers/place.ts";
import { type RunningPostern, startPostern } from "../peers/postern.ts";
import { type RunningPostfix, startPostfix } from "../peers/postfix.ts";

const why = missing("postfix", "sendmail", "postqueue", "postsuper", "postcat");
const launcher = new URL("../../bin/postern", import.meta.url).pathname;

interface Ran {
  readonly status: number | null;
  readonly out: string;
  readonly err: string;
}

/** One system, and what its queue has: ids by sender. */
interface System {
  run(program: string, args: readonly string[], input?: string): Promise<Ran>;
  readonly ids: Map<string, string>;
}

/** Everything is put off, whatever its destination, and nothing comes back by itself. */
const mainCf = {
  myhostname: "mx.here.example",
  mydomain: "here.example",
  myorigin: "here.example",
  relayhost: "[127.0.0.1]:1",
  defer_transports: "smtp",
  fast_flush_domains: "none.example",
  enable_long_queue_ids: "yes",
  hash_queue_names: "incoming",
};

const senders = ["one@here.example", "", "three@here.example"] as const;
let postfix: RunningPostfix | undefined;
let postern: RunningPostern | undefined;
let theirs: System;
let ours: System;

before(async () => {
  if (why) return;
  postfix = await startPostfix({ mainCf });
  postern = await startPostern({ mainCf });
  theirs = system(join(postfix.directory, "etc"), (program) => [program]);
  ours = system(join(postern.directory, "etc"), (program) => [launcher, program]);
  // Without its log service, postsuper writes the log as Postfix's user.
  chmodSync(join(postfix.directory, "log"), 0o777);
  chmodSync(join(postfix.directory, "log", "mail.log"), 0o666);
  await Promise.all([fill(theirs), fill(ours)]);
});

after(async () => {
  await postfix?.stop();
  await postern?.stop();
});

function system(etc: string, commandOf: (program: string) => readonly string[]): System {
  const run = (program: string, args: readonly string[], input = ""): Promise<Ran> => {
    const [first = "", ...more] = commandOf(program);
    return new Promise((resolve) => {
      const options = { encoding: "latin1", env: { ...process.env, MAIL_CONFIG: etc } } as const;
      const child = execFile(first, [...more, ...args], options, (_error, out, err) =>
        resolve({ status: child.exitCode, out, err }),
      );
      child.stdin?.on("error", () => {});
      child.stdin?.end(input, "latin1");
    });
  };
  return { run, ids: new Map() };
}

/** The same mail: a plain message, one from the null sender to two, and one with options for notifications. */
async function fill({ run, ids }: System): Promise<void> {
  const letter = `Subject: one\nX-Long: ${"word ".repeat(30)}\n\nfirst\n.second\n\n${"x".repeat(1900)}\nend\n`;
  const sent = await Promise.all([
    run("sendmail", ["-f", senders[0], "a@far.example"], letter),
    run("sendmail", ["-f", "<>", "b@far.example", "c@far.example"], "Subject: two\n\nhello\n"),
    run(
      "sendmail",
      ["-f", senders[2], "-N", "success,failure", "-V", "envid1", "-R", "hdrs", "d@far.example"],
      "Subject: three\n\nhello\n",
    ),
  ]);
  for (const { status, err } of sent) assert.equal(status, 0, err);
  await until("all of it is put off", async () => {
    const items = listed((await run("postqueue", ["-j"])).out).filter(({ queue_name }) => queue_name === "deferred");
    for (const { sender, queue_id } of items) ids.set(sender === "MAILER-DAEMON" ? "" : sender, queue_id);
    return items.length === senders.length && items.every(({ recipients }) => recipients[0]?.delay_reason);
  });
}

interface Item {
  readonly queue_name: string;
  readonly queue_id: string;
  readonly sender: string;
  readonly recipients: readonly { readonly delay_reason?: string }[];
}

const listed = (json: string): Item[] =>
  json
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Item);

/** "ID0" and so on for the ids of a system, as wide as they are; moments and sizes as wide as they are, too. */
function neutral({ ids }: System, text: string): string {
  let result = text;
  for (const [at, sender] of senders.entries()) {
    const id = ids.get(sender) ?? "";
    // In a table an id is followed by a mark and blanks, up to the next column.
    result = result.replaceAll(new RegExp(`^${id}([*!#]*) *(?=.{18})`, "gm"), (whole, mark: string) =>
      whole.length > 17 ? `<${at}>${mark}|${" ".repeat(Math.max(0, whole.length - 18))}` : whole,
    );
    result = result.replaceAll(id, `<${at}>`);
  }
  return result
    .replaceAll(/<\d{14}\.(<\d>)@/g, "<$1@")
    .replaceAll(/\w{3}, [ \d]\d \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4} \(\w+\)/g, "<date>")
    .replaceAll(/\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d( \d{4})?/g, (date) => `<date ${date.length}>`)
    .replaceAll(/^(<\d>[*!#]*\| *)\d+(?= <date)/gm, "$1SIZE")
    .replaceAll(/(<\d>[*!#]*\|) +SIZE/g, "$1 SIZE")
    .replaceAll(/^-- \d+ Kbytes/gm, "-- N Kbytes")
    .replaceAll(/("arrival_time"|"message_size"): \d+/g, "$1: N")
    .replaceAll(/^(?:\/usr\/sbin\/)?(?=postcat: )/gm, "");
}

/** Both queues have an order of their own. */
const sorted = (text: string, separator: string): string =>
  text.replace(/\n$/, "").split(separator).sort().join(separator);

interface Compare {
  readonly input?: string;
  /** What is known to be different, on either side. */
  readonly but?: (text: string) => string;
  readonly separator?: string;
}

/** The arguments may have "ID0" and so on for the messages. */
async function same(
  program: string,
  args: readonly string[],
  { input = "", but, separator = "\n" }: Compare = {},
): Promise<Ran> {
  const of = async (each: System): Promise<Ran> => {
    const filled = (text: string) =>
      text.replaceAll(/ID([012])/g, (_, at) => each.ids.get(senders[Number(at) as 0]) ?? "");
    const { status, out, err } = await each.run(program, args.map(filled), filled(input));
    const plain = (text: string) => neutral(each, but ? but(text) : text);
    return { status, out: sorted(plain(out), separator), err: sorted(plain(err), "\n") };
  };
  const [expected, got] = await Promise.all([of(theirs), of(ours)]);
  assert.deepEqual(got, expected, `${program} ${args.join(" ")}`);
  return got;
}

const listing: Compare = { separator: "\n\n", but: (text) => text.replace(/^----.*\n/m, "") };

/** Where the connection failed, which is something else for each of us. */
const down: Compare = {
  ...listing,
  but: (text) => text.replace(/^----.*\n/m, "").replace(/directly \(.*\)/, "directly (…)"),
};

test("postqueue -p and -j, and mailq, list a queue as Postfix does", { skip: why }, async () => {
  const { out } = await same("postqueue", ["-p"], listing);
  assert.match(out, /^<0>\| SIZE <date 19> one@here\.example\n {58}\(deferred transport\)\n {47}a@far\.example$/m);
  await same("mailq", [], listing);
  await same("postqueue", ["-j"]);
});

test("postqueue refuses what Postfix refuses, with its words and its exit status", { skip: why }, async () => {
  for (const args of [["-x"], ["-p", "-j"], ["-i", "a/b"], ["-s", "bad site"], ["-s", "[x]"]]) {
    const { status, err } = await same("postqueue", args);
    assert.equal(status, 69);
    assert.match(err, /^postqueue: fatal: /m);
  }
  await same("postqueue", ["-i", "NOSUCH"]);
  // No mail is for it: nothing must be in delivery while queues are compared.
  await same("postqueue", ["-s", "none.example"]);
});

/** What Postfix keeps of a message beside what we keep, and numbers that are about its files. */
function records(text: string): string {
  return text
    .replaceAll(/^.*(?:rewrite_context|sender_fullname|dsn_orig_rcpt).*\n/gm, "")
    .replace(/^(.*message_size:)( +\d+)( +\d+)( +\d+)( +\d+)( +\d+)( +\d+)$/m, (_, name, ...numbers: string[]) =>
      [name, ...numbers.slice(0, 6).map((each) => `<${each.length}>`), numbers[2]].join(" "),
    )
    .replaceAll(/^ {3,8}\d+ /gm, (offset) => `<${offset.length}> `);
}

test("postcat shows a message, or the part that is asked for, as Postfix does", { skip: why }, async () => {
  for (const [option, at] of [
    ["-q", 0],
    ["-hq", 1],
    ["-bq", 0],
    ["-eq", 2],
    ["-vbq", 1],
    ["-dq", 1],
    ["-oq", 0],
  ] as const) {
    const of = async (each: System): Promise<Ran> => {
      const { status, out, err } = await each.run("postcat", [option, each.ids.get(senders[at]) ?? ""]);
      // With -v, Postfix tells of its own work, too.
      return { status, out: neutral(each, records(out)), err: option.includes("v") ? "" : err };
    };
    const [got, expected] = await Promise.all([of(ours), of(theirs)]);
    assert.deepEqual(got, expected, `postcat ${option} <${at}>`);
  }
});

test("postcat refuses what Postfix refuses", { skip: why }, async () => {
  const usage: Compare = { but: (text) => text.replaceAll("usage: /usr/sbin/", "usage: ") };
  for (const args of [["-q", "NOSUCH"], ["-q", "a/b"], ["/nonexistent"], ["-x"], []])
    await same("postcat", args, usage);
});

test("postsuper holds, releases, expires and removes as Postfix does, and lists show it", { skip: why }, async () => {
  await same("postsuper", ["-h", "ID0"]);
  await same("postsuper", ["-d", "ID0", "deferred"]);
  await same("postsuper", ["-e", "ID0", "-h", "ID0"]);
  await same("postqueue", ["-p"], listing);
  await same("postsuper", ["-h", "-"], { input: "ID0\nNOSUCH\n\nID1\nID1\na/b\n" });
  await same("postqueue", ["-j"]);
  await same("postsuper", ["-h", "ALL", "deferred"]);
  await same("postsuper", ["-d", "ID2", "-d", "NOSUCH", "-h", "ID0"]);
  await same("postqueue", ["-p"], listing);
  await same("postsuper", ["-s"]);
});

test("postsuper refuses what Postfix refuses", { skip: why }, async () => {
  for (const args of [["-x"], ["-d"], ["-d", "ALL", "nosuchqueue"]]) await same("postsuper", args);
});

test("with the mail system down, each does what Postfix's does", { skip: why }, async () => {
  await postern?.halt();
  postfix?.run("postfix", "stop");
  await same("postqueue", ["-p"], down);
  await same("postqueue", ["-j"], { ...down, separator: "\n" });
  await same("postqueue", ["-f"]);
  await same("postcat", ["-bq", "ID1"]);
  await same("postsuper", ["-d", "ID1", "deferred"]);
  await same("postsuper", ["-d", "ID1"]);
  await same("postqueue", ["-p"], down);
  await same("postsuper", ["-d", "ALL", "hold"]);
  await same("postqueue", ["-p"], down);
});
