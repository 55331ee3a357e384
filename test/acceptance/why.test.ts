/** `postern why` of real messages: waiting, delivered, and of a log that was named. Needs nothing. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { startCollector } from "../lab/collector.ts";
import { until } from "../lab/until.ts";
import { type RunningPostern, startPostern } from "../peers/postern.ts";

const launcher = resolve(import.meta.dirname, "../../bin/postern");

function send({ directory }: RunningPostern, sender: string, ...to: readonly string[]): void {
  const args = ["sendmail", "-C", join(directory, "etc"), "-f", sender, ...to];
  const { status, stderr } = spawnSync(launcher, args, { input: "Subject: x\n\nHello.\n", encoding: "utf8" });
  assert.equal(status, 0, stderr);
}

test("why tells the life of a message that waits, and of one that has left, with a relay and without", async (t) => {
  const refuse = (recipient: string) =>
    recipient.includes("later@") ? "450 4.2.0 <later@far.example>: Recipient address rejected: Greylisted" : undefined;
  const collector = await startCollector(refuse);
  t.after(() => collector.stop());
  const postern = await startPostern({ mainCf: { relayhost: `[127.0.0.1]:${collector.port}` } });
  t.after(() => postern.stop());
  send(postern, "a@here.example", "later@far.example", "you@far.example");
  send(postern, "b@here.example", "you@far.example");
  await until("one is put off, and one has left", () => {
    const queue = postern.run("postqueue", "-j").stdout;
    return /"deferred"/.test(queue) && queue.split("\n").length === 2 && /: removed\n/.test(postern.log());
  });
  const idOf = (sender: string) => new RegExp(`(\\w+): from=<${sender}>, size`).exec(postern.log())?.[1] ?? "";
  const waits = idOf("a@here.example");
  const gone = idOf("b@here.example");

  const story = postern.run("why", waits.toLowerCase());
  assert.equal(story.status, 0, story.stderr);
  assert.match(
    story.stdout,
    new RegExp(`^message ${waits}\n  from <a@here\\.example>, \\d+ bytes, for 2 recipients\n  came `),
  );
  assert.match(story.stdout, /, from a program on this host \(user id \d+\)\n {2}Message-ID: </);
  assert.match(story.stdout, /: you@far\.example delivered by 127\.0\.0\.1\[127\.0\.0\.1\]:\d+\n/);
  assert.match(
    story.stdout,
    /: later@far\.example put off by .*\n {6}host 127\.0\.0\.1.* said: 450 4\.2\.0 .*\n {6}The server puts off mail/,
  );
  assert.match(story.stdout, /^now:\n {2}still to be delivered to later@far\.example;/m);
  assert.match(story.stdout, new RegExp(`the next attempt to \\[127\\.0\\.0\\.1\\]:${collector.port} is at `));

  const left = postern.run("why", gone);
  assert.match(left.stdout, /^then:\n {2}.*: it left the queue/m);
  const byAddress = postern.run("why", "YOU@far.example");
  assert.deepEqual(
    [...byAddress.stdout.matchAll(/^message (\w+)$/gm)].map(([, id]) => id),
    [gone, waits],
  );

  const [first] = JSON.parse(postern.run("why", "--json", waits).stdout).messages;
  assert.deepEqual(
    [first.id, first.attempts.length, first.queue.name, first.queue.recipients[0].code],
    [waits, 2, "deferred", "greylisted"],
  );
  const unknown = postern.run("why", "6881B9007B801");
  assert.equal(unknown.status, 1);
  assert.match(unknown.stdout, /^nothing is known of 6881B9007B801: it is not in the queue, nor in .*mail\.log/);

  const packed = join(postern.directory, "old.gz");
  writeFileSync(packed, gzipSync(postern.log().replaceAll(waits, "4jZCDc4VFFzJHZG")));
  assert.match(
    postern.run("why", "--log", packed, "4jZCDc4VFFzJHZG").stdout,
    /^message 4jZCDc4VFFzJHZG\n {2}from <a@here\.example>/,
  );

  await postern.halt();
  assert.match(postern.run("why", waits).stdout, /^now:\n {2}still to be delivered to later@far\.example;/m);
});

test("where the log is no file, what the queue knows is told, and where to look for the rest", async (t) => {
  const postern = await startPostern({
    mainCf: { relayhost: "[127.0.0.1]:1", maillog_file: "/dev/stdout", initial_destination_concurrency: "1" },
  });
  t.after(() => postern.stop());
  send(postern, "a@here.example", "you@far.example");
  const id = await until("it is put off", () => {
    const [item] = postern
      .run("postqueue", "-j")
      .stdout.split("\n")
      .filter(Boolean)
      .map((line) => JSON.parse(line));
    return item?.recipients[0].delay_reason ? (item.queue_id as string) : undefined;
  });
  const { status, stdout } = postern.run("why", "--log", "/nonexistent/mail.log", id);
  assert.equal(status, 0);
  assert.match(stdout, /^what the last attempt said:\n {2}you@far\.example\n {6}connect to /m);
  assert.match(stdout, /its destination is left alone; tried again at /);
  assert.match(stdout, /journalctl/);
});

test("why wants one queue id or address, and its help fits a screen", () => {
  const run = (...args: string[]) => spawnSync(launcher, ["why", ...args], { encoding: "utf8" });
  for (const args of [[], ["a b"], ["A1B2C3", "D4E5F6"], ["--nonsense"]])
    assert.equal(run(...args).status, 64, args.join(" "));
  const { status, stdout } = run("--help");
  assert.equal(status, 0);
  assert.ok(stdout.split("\n").length <= 24 && stdout.split("\n").every((line) => line.length <= 90));
});
