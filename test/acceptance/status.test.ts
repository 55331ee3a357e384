/** `postern status` of a real relay, and of its queue without one. Needs nothing: as root the relay drops its privileges. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join, resolve } from "node:path";
import { test } from "node:test";
import { until } from "../lab/until.ts";
import { startPostern } from "../peers/postern.ts";

const launcher = resolve(import.meta.dirname, "../../bin/postern");

test("status says what waits, why, until when, and what helps, with a relay and without", async (t) => {
  const relayhost = "[127.0.0.1]:1";
  const postern = await startPostern({ mainCf: { relayhost, initial_destination_concurrency: "1" } });
  t.after(() => postern.stop());
  const nothing = postern.run("status");
  assert.deepEqual([nothing.status, nothing.stdout.split("\n")[0]], [0, "queue: 0 active, 0 deferred, 0 held"]);
  const sent = ["sendmail", "-C", join(postern.directory, "etc"), "-f", "a@here.example", "you@far.example"];
  assert.equal(spawnSync(launcher, sent, { input: "Subject: x\n\nHello.\n" }).status, 0);
  await until("it is deferred", () => postern.run("postqueue", "-j").stdout.includes('"deferred"'), {
    about: postern.log,
  });
  const running = postern.run("status");
  assert.match(
    running.stdout,
    /^left alone for a while, since deliveries fail:\n {2}\[127\.0\.0\.1\]:1: 1 message, the oldest \d+ s old\n {4}connect to 127\.0\.0\.1\[127\.0\.0\.1\]:1: Connection refused\n {4}tried again at [\d:]+, in \d+ (?:min|s)$/m,
  );
  assert.match(
    running.stdout,
    /^in the queue, by destination:\n {2}\[127\.0\.0\.1\]:1\n {4}1 message; .*\n {4}1 × connect to /m,
  );
  assert.match(running.stdout, /What helps: It is tried again\./);
  const report = JSON.parse(postern.run("status", "--json").stdout);
  assert.deepEqual(
    [report.running, report.counts.deferred, report.suspended[0].code, report.queue[0].destination],
    [true, 1, "connection-refused", `smtp:${relayhost}`],
  );
  assert.equal(JSON.parse(postern.run("status", "--json", "--brief").stdout).queue, null);
  await postern.halt();
  const ended = postern.run("status");
  assert.deepEqual([ended.status, ended.stderr], [1, "postern: the mail system is not running\n"]);
  assert.match(ended.stdout, /^queue: 0 active, 1 deferred, 0 held\nthis is what the queue on disk holds/);
  assert.match(ended.stdout, /^ {4}1 × connect to /m);
});

test("status takes no arguments that it does not know, and its help fits a screen", () => {
  const run = (...args: string[]) => spawnSync(launcher, ["status", ...args], { encoding: "utf8" });
  assert.equal(run("--nonsense").status, 64);
  const { status, stdout } = run("--help");
  assert.equal(status, 0);
  assert.ok(stdout.split("\n").length <= 24 && stdout.split("\n").every((line) => line.length <= 90));
});
