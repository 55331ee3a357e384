import assert from "node:assert/strict";
import { connect } from "node:net";
import { type TestContext, test } from "node:test";
import { until } from "../lab/until.ts";
import { missing } from "../peers/place.ts";
import { children, type RunningPostern, startPostern } from "../peers/postern.ts";
import { isOver } from "./ended.ts";
import { type Load, startLoad } from "./load.ts";
import { type ReceivingSink, startReceivingSink } from "./receiving-sink.ts";
import { rngFrom } from "./rng.ts";

/** The master dies alone. Its relays must not go on: they would hold the port, and what they own. */
const skip = missing() ?? false;

interface Scene {
  readonly relay: RunningPostern;
  readonly sink: ReceivingSink;
  readonly load: Load;
}

async function scene(context: TestContext, answer: () => string = () => "250 2.0.0 Ok: taken"): Promise<Scene> {
  const sink = await startReceivingSink({ answer });
  const relay = await startPostern({
    mainCf: {
      relayhost: `[127.0.0.1]:${sink.port}`,
      mynetworks: "127.0.0.0/8",
      smtp_tls_security_level: "none",
      minimal_backoff_time: "1s",
      maximal_backoff_time: "1s",
      queue_run_delay: "1s",
    },
  });
  const load = startLoad({ port: relay.port, sessions: 5, rng: rngFrom(1) });
  context.after(async () => {
    await load.stop();
    await relay.stop();
    await sink.close();
  });
  return { relay, sink, load };
}

function isRefused(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port });
    socket.once("connect", () => resolve(false)).once("error", () => resolve(true));
    socket.once("connect", () => socket.destroy());
  });
}

async function assertKept({ relay, sink, load }: Scene): Promise<void> {
  const { acknowledged, refused, unfinished } = load.book;
  const before = acknowledged.size;
  await until("mail is taken again", () => acknowledged.size > before + 50, { about: () => relay.log() });
  await load.stop();
  const isEmpty = () => relay.run("mailq").stdout.includes("Mail queue is empty");
  await until("the queue is empty", isEmpty, { about: () => relay.log().slice(-3000) });
  assert.deepEqual(
    [...acknowledged].filter((id) => !sink.taken.has(id)),
    [],
    "acknowledged, and lost",
  );
  assert.deepEqual(
    [...refused, ...unfinished].filter((id) => sink.taken.has(id)),
    [],
    "not taken, and delivered",
  );
}

test("a relay whose master was killed ends by itself, lets go of the port, and the next start takes everything back", {
  skip,
}, async (context) => {
  const running = await scene(context);
  const { relay, load } = running;
  await until("there is a load", () => load.book.acknowledged.size > 100);
  const { masterPid } = relay;
  const pid = relay.relayPid() ?? 0;
  const killed_ms = performance.now();
  process.kill(masterPid, "SIGKILL");
  await until("the relay has ended", () => isOver(pid), { limit_s: 10 });
  context.diagnostic(`it ended within ${Math.round(performance.now() - killed_ms)} ms`);
  assert.equal(await isRefused(relay.port), true);
  await relay.start();
  await assertKept(running);
});

test("of two generations both end, with deliveries in hand and mail put back", { skip }, async (context) => {
  let answer = "451 4.3.0 not yet";
  const running = await scene(context, () => answer);
  const { relay, load } = running;
  await until("there is mail that waits", () => load.book.acknowledged.size > 200);
  const old = relay.relayPid() ?? 0;
  assert.equal(relay.run("reload").status, 0);
  const both = children(relay.masterPid).filter((pid) => !isOver(pid));
  assert.ok(both.some((pid) => pid !== old));
  process.kill(relay.masterPid, "SIGKILL");
  await until("they have ended", () => both.every(isOver), { limit_s: 10 });
  assert.equal(await isRefused(relay.port), true);
  answer = "250 2.0.0 Ok: taken";
  await relay.start();
  await assertKept(running);
});

test("a start right after the master was killed takes over, though the relay is still ending", {
  skip,
}, async (context) => {
  const running = await scene(context);
  const { relay, load } = running;
  for (let round = 1; round <= 2; round++) {
    const before = load.book.acknowledged.size;
    await until("there is a load", () => load.book.acknowledged.size > before + 100, {
      about: () => relay.log().slice(-3000),
    });
    process.kill(relay.masterPid, "SIGKILL");
    await relay.start();
  }
  await assertKept(running);
});
