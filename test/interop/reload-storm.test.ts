/** Reloads, crashes and stops that come at the same time, with real processes. Needs nothing but ourselves. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { appendFileSync, readdirSync, readFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { globalParams } from "../../src/conf/params.ts";
import { type Collector, startCollector } from "../lab/collector.ts";
import { until } from "../lab/until.ts";
import { children, type RunningPostern, startPostern } from "../peers/postern.ts";

const launcher = new URL("../../bin/postern", import.meta.url).pathname;
let collector: Collector;
let postern: RunningPostern;

before(async () => {
  collector = await startCollector();
  postern = await startPostern({
    mainCf: { relayhost: `[127.0.0.1]:${collector.port}`, disable_dns_lookups: "yes", mynetworks: "127.0.0.0/8" },
  });
});

after(async () => {
  await postern.stop();
  await collector.stop();
});

function command(...args: readonly string[]): Promise<{ status: number | null; err: string }> {
  return new Promise((resolve) => {
    const child = spawn(launcher, ["-c", join(postern.directory, "etc"), ...args], {
      stdio: ["pipe", "ignore", "pipe"],
    });
    let err = "";
    child.stderr.on("data", (bytes: Buffer) => (err += bytes.toString()));
    child.once("close", (status) => resolve({ status, err }));
    child.stdin.end("Subject: x\n\nbody\n");
  });
}

/** A message that goes in by the maildrop comes out at the other end. */
async function works(subject: string): Promise<void> {
  const { status, err } = await command("sendmail", "-f", `${subject}@storm.example`, "a@x.example");
  assert.equal(status, 0, err);
  await until(
    `the message of ${subject}`,
    () => collector.messages.some(({ mail }) => mail.includes(`${subject}@storm`)),
    { about: () => postern.log() },
  );
}

test("many reloads at once, with relays killed in between, leave one relay that works, with the latest configuration", {
  timeout: 120_000,
}, async () => {
  const reloads: Promise<{ status: number | null; err: string }>[] = [];
  for (let count = 0; count < 6; count++) {
    appendFileSync(join(postern.directory, "etc", "main.cf"), `smtpd_banner = $myhostname number ${count}\n`);
    reloads.push(command("reload"));
    if (count % 2 === 1) {
      await new Promise((resolve) => setTimeout(resolve, 300));
      const [relay] = children(postern.masterPid);
      if (relay) process.kill(relay, "SIGKILL");
    }
  }
  const outcomes = await Promise.all(reloads);
  await until("one relay", () => children(postern.masterPid).length === 1, { about: () => postern.log() });
  await works("storm");
  assert.ok(
    outcomes.some(({ status }) => status === 0),
    JSON.stringify(outcomes),
  );
  assert.equal((await command("reload")).status, 0);
  const banner = await new Promise<string>((resolve) => {
    const socket = connect(postern.port, "127.0.0.1");
    socket.once("data", (bytes) => {
      socket.destroy();
      resolve(bytes.toString());
    });
  });
  assert.match(banner, /number 5/);
  assert.doesNotMatch(postern.log(), /panic|TypeError|Unhandled/);
});

test("what relays left behind does not pile up", async () => {
  await command("reload");
  await until("one relay", () => children(postern.masterPid).length === 1);
  await command("reload");
  await until("one relay", () => children(postern.masterPid).length === 1);
  const locks = readdirSync(join(postern.queue, "lock"));
  assert.ok(locks.length <= 6, locks.join());
  const open = readdirSync(`/proc/${postern.masterPid}/fd`).length;
  for (let count = 0; count < 3; count++) await command("reload");
  await until("one relay", () => children(postern.masterPid).length === 1);
  assert.ok(
    readdirSync(`/proc/${postern.masterPid}/fd`).length <= open + 2,
    "the master holds more and more files open",
  );
});

test("a relay gets nothing of our environment but what import_environment names", async () => {
  const [relay] = children(postern.masterPid);
  const environment = readFileSync(`/proc/${relay}/environ`, "latin1")
    .split("\0")
    .map((each) => each.replace(/=.*/s, ""))
    .filter(Boolean);
  const { import_environment } = globalParams;
  const imported = import_environment.parse(import_environment.default).map(({ name }) => name);
  const expected = [...imported, "PATH", "NODE_CHANNEL_FD", "NODE_CHANNEL_SERIALIZATION_MODE"];
  assert.deepEqual(
    environment.filter((name) => !expected.includes(name)),
    [],
  );
});

test("whoever holds the control socket open holds up neither commands nor an end", { timeout: 60_000 }, async () => {
  const socket = join(postern.directory, "queue", "postern", "public", "control");
  const holders = Array.from({ length: 20 }, () => connect(socket).on("error", () => {}));
  await new Promise((resolve) => setTimeout(resolve, 200));
  assert.equal((await command("mailq")).status, 0);
  const { status, err } = await command("stop");
  assert.equal(status, 0, err);
  assert.equal(children(postern.masterPid).length, 0);
  for (const holder of holders) holder.destroy();
  await postern.halt();
  await postern.start();
  await works("after");
});

test("a stop that comes while a reload is under way ends all of it", { timeout: 60_000 }, async () => {
  const reload = command("reload");
  await until("a second relay", () => children(postern.masterPid).length === 2, { limit_s: 5 }).catch(() => {});
  const relays = children(postern.masterPid);
  const stopped = await command("stop");
  assert.equal(stopped.status, 0, stopped.err);
  await reload;
  for (const relay of relays) assert.throws(() => process.kill(relay, 0), { code: "ESRCH" });
  await postern.halt();
  await postern.start();
  await works("again");
});
