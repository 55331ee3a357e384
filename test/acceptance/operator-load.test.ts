/**
 * The operator's tools on a long queue, in bounded memory, with and without a relay; and while mail is being delivered.
 * Needs nothing: as root the relay drops its privileges, as any other user it stays who it is.
 */
import assert from "node:assert/strict";
import { execFile, spawnSync } from "node:child_process";

import { join, resolve } from "node:path";
import { test } from "node:test";
import { fillQueue } from "../../bench/relay/fill.ts";
import { startCollector } from "../lab/collector.ts";
import { until } from "../lab/until.ts";
import { type RunningPostern, startPostern } from "../peers/postern.ts";
import { rawClient } from "../security/raw-client.ts";

const root = resolve(import.meta.dirname, "../..");

/** All of these together are several times what a command's heap may have. */
const count = 20_000;
const heap_mib = 32;
const reason = `host mx.example[192.0.2.1] said: 450 4.2.0 ${"not now ".repeat(200)}(in reply to RCPT TO command)`;

test("20,000 messages are listed, held and removed in bounded memory, with a relay and without", async (t) => {
  const postern = await startPostern({ mainCf: { defer_transports: "smtp" } });
  t.after(() => postern.stop());
  await postern.halt();
  await fillQueue(postern.queue, count, Date.now() + 86_400_000, reason);
  const listed = (): number => lines(bounded(postern, "postqueue", "-j").stdout);
  const said = (...args: readonly string[]): string => bounded(postern, "postsuper", ...args).stderr;
  assert.equal(listed(), count);
  assert.equal(said("-h", "ALL"), `postsuper: Placed on hold: ${count} messages\n`);
  await postern.start();
  assert.match(bounded(postern, "postqueue", "-p").stdout, new RegExp(`-- \\d+ Kbytes in ${count} Requests\\.\n$`));
  assert.equal(said("-d", "ALL", "hold"), `postsuper: Deleted: ${count} messages\n`);
  assert.equal(bounded(postern, "postqueue", "-p").stdout, "Mail queue is empty\n");
});

/** Runs a command with little memory, which ends it with a signal where it wants more. */
function bounded(
  postern: RunningPostern,
  command: string,
  ...args: readonly string[]
): { stdout: string; stderr: string } {
  const node = [
    "--disable-warning=ExperimentalWarning",
    `--max-old-space-size=${heap_mib}`,
    join(root, "bin", "main.js"),
  ];
  const given = [...node, "postern", "-c", join(postern.directory, "etc"), command, ...args];
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, given, {
    encoding: "latin1",
    maxBuffer: 2 ** 30,
    env: { ...process.env, NODE_OPTIONS: undefined },
  });
  assert.deepEqual([status, signal], [0, null], `${command} ${args.join(" ")}: ${stderr.slice(-2000)}`);
  return { stdout, stderr: stderr.replace(/^postqueue: warning: Mail system is down.*\n/, "") };
}

/** Postsuper at work beside us; what it said. */
function removing({ directory }: RunningPostern, ids: readonly string[]): Promise<string> {
  const given = ["-c", join(directory, "etc"), "postsuper", ...ids.flatMap((id) => ["-d", id])];
  return new Promise((done, failed) => {
    execFile(join(root, "bin", "postern"), given, (error, _stdout, stderr) => (error ? failed(error) : done(stderr)));
  });
}

const lines = (text: string): number => text.split("\n").length - 1;

test("messages that are removed while mail is delivered are removed or delivered, once, and none is forgotten", async (t) => {
  const collector = await startCollector();
  t.after(() => collector.stop());
  const mainCf = {
    mynetworks: "127.0.0.0/8",
    relayhost: `[127.0.0.1]:${collector.port}`,
    smtp_destination_concurrency_limit: "2",
  };
  const postern = await startPostern({ mainCf });
  t.after(() => postern.stop());
  const client = await rawClient(postern.port);
  const sent = 150;
  const ids: string[] = [];
  const sending = (async () => {
    for (let n = 0; n < sent; n++) {
      await client.upToData(`r${n}@there.example`);
      client.write(`Subject: ${n}\r\n\r\nHello.\r\n.\r\n`);
      const [, id] = /queued as (\w+)/.exec(await client.reply()) ?? [];
      assert.ok(id);
      ids.push(id);
    }
    client.end();
  })();
  const changed: string[] = [];
  for (let turn = 0, over = false; !over; turn++) {
    over = ids.length === sent;
    const which = turn % 2 === 0 ? ["ALL"] : ids.slice(-3);
    const stderr = await removing(postern, which);
    changed.push(...[...stderr.matchAll(/: (\w+): removed$/gm)].map(([, id]) => id ?? ""));
  }
  await sending;
  await until("nothing is left", () => postern.run("postqueue", "-p").stdout === "Mail queue is empty\n", {
    about: postern.log,
  });
  const log = postern.log();
  assert.doesNotMatch(log, /panic|fatal|error:|corrupt/);
  const delivered = [...log.matchAll(/: (\w+): to=<r\d+@there\.example>.* status=sent/g)].map(([, id]) => id ?? "");
  assert.equal(new Set(delivered).size, delivered.length, "twice");
  assert.equal(collector.messages.length, delivered.length, "what arrived was logged as sent");
  const removed = [...log.matchAll(/postsuper\[\d+\]: Deleted: (\d+) message/g)].reduce(
    (sum, [, n]) => sum + Number(n),
    0,
  );
  const gone = [...log.matchAll(/qmgr\[\d+\]: (\w+): removed$/gm)].map(([, id]) => id ?? "");
  // One that was in delivery when it was removed may have arrived all the same; the others are in one of the two.
  assert.ok(gone.length + removed === sent, `${gone.length} delivered, ${removed} removed`);
  for (const id of changed) assert.ok(!gone.includes(id), `${id} was removed, and settled all the same`);
});
