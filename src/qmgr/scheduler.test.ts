import assert from "node:assert/strict";
import { test } from "node:test";
import type { Deliver } from "../queue/delivery.ts";
import { EngineError } from "../queue/engine.ts";
import { MemoryQueue } from "../queue/memory-engine.ts";
import { chunkSize_bytes } from "../queue/message.ts";
import { QueueError } from "../queue/store.ts";
import type { Route } from "../routing/router.ts";
import { ManualClock } from "../runtime/manual-clock.ts";
import { TableError } from "../table/table.ts";
import { byDomain, down, ok, quiet, type World, world } from "./scheduler.fixture.ts";

const refused = {
  kind: "refused",
  dsn: "4.7.8",
  reason: "SASL authentication failed; server mx said: 535 no",
} as const;

/** Answers every delivery that begins, until none does; how many. */
async function deliverAll({ pending }: World): Promise<number> {
  let count = 0;
  for (await quiet(); pending.length > 0; await quiet()) {
    for (const each of pending.splice(0)) {
      each.answer(ok);
      count++;
    }
  }
  return count;
}

test("a message is delivered in the tick that it is enqueued in, and is gone when that is settled", async () => {
  const w = await world();
  const envelope = await w.accept("a@example.org", ["b@example.com"]);
  w.scheduler.enqueue(envelope);
  w.next().answer(ok);
  await quiet();
  assert.deepEqual(await w.store.counts(), { active: 0, deferred: 0, hold: 0, corrupt: 0 });
  assert.deepEqual(w.log.lines, [
    `qmgr: ${envelope.id}: from=<a@example.org>, size=24, nrcpt=1 (queue active)`,
    `qmgr: ${envelope.id}: removed`,
  ]);
});

test("recipients with the same next hop share deliveries, up to the recipient limit, sorted", async () => {
  const w = await world({ transport: { smtp_destination_recipient_limit: "2" } });
  await w.send("", "c@b.example", "a@b.example", "x@a.example", "b@b.example");
  const batches = w.pending.map(({ addresses }) => addresses.join());
  assert.deepEqual(batches.sort(), ["a@b.example,b@b.example", "c@b.example", "x@a.example"]);
  await deliverAll(w);
  assert.equal((await w.store.counts()).active, 0);
});

test("a deferred recipient waits for the message's age, kept between the back-off times", async () => {
  const w = await world();
  w.scheduler.start();
  await w.send("a@example.org", "b@example.com");
  w.next().answer(ok, () => ({ status: "deferred", dsn: "4.2.0", reason: "host said: 450 later" }));
  await w.advance(299_000);
  assert.equal(w.pending.length, 0);
  await w.advance(1_000);
  w.next().answer(ok, () => ({ status: "deferred", dsn: "4.2.0", reason: "host said: 450 later" }));
  await w.advance(299_000);
  assert.equal(w.pending.length, 0, "300 s old: waits 300 s more");
  await w.advance(2_000);
  w.next().answer(ok);
  await quiet();
  assert.equal((await w.store.counts()).deferred, 0);
});

test("only what is still pending is tried again", async () => {
  const w = await world();
  w.scheduler.start();
  await w.send("a@example.org", "b@example.com", "c@example.com");
  w.next().answer(ok, (index) => (index === 1 ? { status: "deferred", dsn: "4.2.0", reason: "later" } : {}));
  await w.advance(301_000);
  assert.deepEqual(w.next().addresses, ["c@example.com"]);
});

test("a failed cohort suspends the destination: what waits is deferred untried, with Postfix's words", async () => {
  const w = await world();
  for (let n = 0; n < 8; n++) await w.send("a@example.org", `b${n}@example.com`);
  assert.equal(w.pending.length, 5, "the initial concurrency");
  for (const each of w.pending.splice(0)) each.answer(down);
  await quiet();
  assert.equal(w.pending.length, 0);
  const untried = w.lines(/^error: .*relay=none/);
  assert.equal(untried.length, 3);
  assert.match(
    untried[0] ?? "",
    /^error: \w+: to=<b5@example.com>, relay=none, delay=0, delays=0\/0\/0\/0, dsn=4\.4\.1, status=deferred \(delivery temporarily suspended: connect to mx\[192\.0\.2\.1\]:25: Connection refused\)$/,
  );
  assert.equal(w.scheduler.figures().suspendedCount, 1);
  await w.send("a@example.org", "new@example.com");
  await quiet();
  assert.equal(w.pending.length, 0, "new mail for it is not tried either");
  assert.equal((await w.store.counts()).deferred, 9);
  await w.send("a@example.org", "b@other.example");
  assert.equal(w.pending.length, 1, "others are");
});

test("a suspended destination is tried again after minimal_backoff_time", async () => {
  const w = await world({ transport: { smtp_initial_destination_concurrency: "1" } });
  w.scheduler.start();
  await w.send("a@example.org", "b@example.com");
  w.next().answer(down);
  await w.advance(301_000);
  w.next().answer(ok);
  await quiet();
  assert.equal(w.scheduler.figures().suspendedCount, 0);
  assert.equal((await w.store.counts()).deferred, 0);
});

test("mail for a dead destination is left in the store and starves nobody", async () => {
  const w = await world({
    conf: { qmgr_message_active_limit: "10", minimal_backoff_time: "300s", maximal_backoff_time: "300s" },
    transport: { smtp_initial_destination_concurrency: "1" },
  });
  for (let n = 0; n < 30; n++) await w.accept("a@example.org", [`b${n}@dead.example`]);
  await w.accept("a@example.org", ["b@live.example"]);
  await w.store.release("us");
  w.scheduler.start();
  for (let turn = 0; turn < 12; turn++) {
    await quiet();
    for (const each of w.pending.splice(0)) each.answer(each.addresses[0]?.endsWith("@dead.example") ? down : ok);
  }
  assert.equal(w.lines(/removed/).length, 1);
  assert.deepEqual(await w.store.counts(), { active: 0, deferred: 30, hold: 0, corrupt: 0 });
});

test("destination_concurrency_failed_cohort_limit says after how many rounds of failures a destination is suspended", async () => {
  const suspendedAfter = async (limit: string) => {
    const transport = {
      smtp_destination_concurrency_failed_cohort_limit: limit,
      smtp_destination_concurrency_negative_feedback: "0",
    };
    const w = await world({ conf: { initial_destination_concurrency: "2" }, transport });
    for (let n = 0; n < 20; n++) await w.send("a@example.org", `b${n}@example.com`);
    let failures = 0;
    for (; w.pending.length > 0; failures++) {
      w.next().answer(down);
      await quiet();
      if (w.scheduler.figures().suspendedCount > 0) return failures + 1;
    }
    return undefined;
  };
  assert.equal(await suspendedAfter("1"), 2);
  assert.equal(await suspendedAfter("3"), 6);
  assert.equal(await suspendedAfter("0"), undefined, "0 is never");
});

test("what another process put into the store is found within queue_run_delay, though nobody says so", async () => {
  const queue = new MemoryQueue();
  const w = await world({ queue, conf: { queue_run_delay: "100s" } });
  w.scheduler.start();
  await quiet();
  const other = await world({ queue, clock: w.clock, owner: "another" });
  const { id } = await other.accept("a@example.org", ["b@example.com"]);
  const settlement = { id, outcomes: [], nextAttempt_ms: w.clock.now(), destination: "", notifications: [] };
  await other.store.settle(settlement);
  await w.advance(99_000);
  assert.equal(w.pending.length, 0);
  await w.advance(1_000);
  assert.equal(w.pending.length, 1);
});

test("concurrency grows with success up to default_destination_concurrency_limit", async () => {
  const w = await world({ conf: { default_destination_concurrency_limit: "8" } });
  for (let n = 0; n < 60; n++) await w.send("a@example.org", `b${n}@example.com`);
  let most = 0;
  for (await quiet(); w.pending.length > 0; await quiet()) {
    most = Math.max(most, w.pending.length);
    for (const each of w.pending.splice(0)) each.answer(ok);
  }
  assert.equal(most, 8);
});

test("a refused login holds the destination back as one, and is said once", async () => {
  const w = await world();
  w.scheduler.start();
  for (let n = 0; n < 7; n++) await w.send("a@example.org", `b${n}@example.com`);
  w.next().answer(refused);
  await quiet();
  assert.equal(w.lines(/error: .*delivery temporarily suspended: SASL/).length, 2);
  for (const each of w.pending.splice(0)) each.answer(refused);
  await w.advance(301_000);
  for (const each of w.pending.splice(0)) each.answer(refused);
  await quiet();
  assert.deepEqual(w.lines(/warning/), [
    `qmgr: warning: mail for example.com is held back, since our login is refused: ${refused.reason}`,
  ]);
  assert.equal(w.scheduler.figures().destinations[0]?.suspension?.kind, "refused");
});

test("a refused login is shown for as long as mail waits for it, and said once, reloads included", async () => {
  const queue = new MemoryQueue();
  const conf = { minimal_backoff_time: "300s", maximal_backoff_time: "4000s" };
  let w = await world({ queue, owner: "g0", conf });
  const said: string[] = [];
  w.scheduler.start();
  await w.send("a@example.org", "b@example.com");
  w.next().answer(refused);
  for (let generation = 1; generation <= 4; generation++) {
    for (let turn = 0; turn < 10; turn++) {
      await w.advance(400_000);
      for (const each of w.pending.splice(0)) each.answer(refused);
      await quiet();
      const [login] = w.scheduler.figures().refusedLogins;
      assert.deepEqual([login?.key, login?.reason], ["smtp:example.com", refused.reason]);
    }
    said.push(...w.lines(/login is refused/));
    const state = JSON.parse(JSON.stringify(w.scheduler.stateForSuccessor()));
    await w.scheduler.close();
    w = await world({ queue, owner: `g${generation}`, clock: w.clock, conf });
    w.scheduler.restore(state);
    w.scheduler.start();
  }
  assert.equal(said.length, 1);
  await w.advance(4_000_000);
  w.next().answer(ok);
  await quiet();
  assert.deepEqual(w.lines(/login/), ["qmgr: example.com accepts our login again"]);
  assert.deepEqual(w.scheduler.figures().refusedLogins, []);
});

test("a refused login that no mail waits for any more is forgotten", async () => {
  const w = await world({ conf: { maximal_backoff_time: "1000s" } });
  const { id } = await w.send("a@example.org", "b@example.com");
  w.next().answer(refused);
  await quiet();
  await w.store.remove([id]);
  assert.equal(w.scheduler.figures().refusedLogins.length, 1);
  await w.advance(2_001_000);
  assert.deepEqual(w.scheduler.figures().refusedLogins, []);
});

test("new credentials bring back at once what a refused login held back", async () => {
  const w = await world();
  w.scheduler.start();
  await w.send("a@example.org", "b@example.com");
  w.next().answer(refused);
  await quiet();
  await w.scheduler.loginsChanged();
  await quiet();
  w.next().answer(ok);
  await quiet();
  assert.equal(w.lines(/removed/).length, 1);
});

test("a delivery that was under way when its destination was suspended revives it", async () => {
  const w = await world({ transport: { smtp_initial_destination_concurrency: "2" } });
  await w.send("a@example.org", "b1@example.com");
  await w.send("a@example.org", "b2@example.com");
  const [first, second] = w.pending.splice(0);
  first?.answer(refused);
  await quiet();
  assert.equal(w.scheduler.figures().suspendedCount, 1);
  second?.answer(ok);
  await quiet();
  assert.equal(w.scheduler.figures().suspendedCount, 0);
});

test("a message past its lifetime is returned, with what the last attempt said", async () => {
  const w = await world({ conf: { maximal_queue_lifetime: "1h", minimal_backoff_time: "300s" } });
  w.scheduler.start();
  const { id } = await w.send("a@example.org", "b@example.com");
  w.next().answer(down);
  await w.advance(3_600_000);
  for (let turn = 0; turn < 5 && w.pending.length === 0; turn++) await w.advance(300_000);
  w.next().answer(down);
  await quiet();
  assert.deepEqual(w.lines(/expired/), [`qmgr: ${id}: from=<a@example.org>, status=expired, returned to sender`]);
  assert.equal(w.notified.length, 1);
  assert.equal(w.notified[0]?.kind, "failure");
  assert.equal(w.notified[0]?.results[0]?.dsn, "4.4.1");
  assert.deepEqual(await w.store.counts(), { active: 0, deferred: 0, hold: 0, corrupt: 0 });
});

test("a notification that cannot be delivered is given up after bounce_queue_lifetime, other mail is not", async () => {
  const w = await world({ conf: { bounce_queue_lifetime: "1h", maximal_queue_lifetime: "5d" } });
  w.scheduler.start();
  const { id } = await w.send("", "b@example.com");
  await w.send("a@example.org", "c@example.com");
  for (let turn = 0; turn < 20; turn++) {
    for (const each of w.pending.splice(0)) each.answer(down);
    await w.advance(300_000);
  }
  assert.deepEqual(w.lines(/expired/), [`qmgr: ${id}: from=<>, status=expired, returned to sender`]);
  const left = await w.store.list(undefined, 10);
  assert.deepEqual(
    left.map(({ envelope }) => envelope.recipients[0]?.address),
    ["c@example.com"],
  );
});

test("a message that an operator expires is returned without another attempt", async () => {
  const w = await world();
  w.scheduler.start();
  const { id } = await w.send("a@example.org", "b@example.com");
  w.next().answer(down);
  await quiet();
  await w.store.expire([id]);
  await w.scheduler.flush({ ids: [id] });
  await quiet();
  assert.equal(w.pending.length, 0);
  assert.match(w.lines(/relay=none/).join(), /dsn=4\.7\.0, status=deferred \(message is administratively expired\)/);
  assert.equal(w.lines(/status=force-expired, returned to sender/).length, 1);
});

test("notifications are stored with the outcomes that cause them, and go out", async () => {
  const w: World = await world({
    async notify({ envelope, kind }) {
      const { recipients, sender: _, ...rest } = envelope;
      const back = {
        ...rest,
        sender: "",
        recipients: recipients.slice(0, 1).map((r) => ({ ...r, address: "a@sender.example" })),
      };
      const message = {
        id: w.store.nextId(),
        arrival_ms: w.clock.now(),
        body: Buffer.from("Subject: failed\r\n\r\n"),
        envelope: back,
      };
      return [{ message, source: `bounce:${envelope.id}:${kind}` }];
    },
  });
  await w.send("a@sender.example", "b@example.com");
  w.next().answer(ok, () => ({ status: "bounced", dsn: "5.1.1", reason: "host said: 550 no" }));
  await quiet();
  const notification = w.next();
  assert.equal(notification.request.envelope.sender, "");
  assert.deepEqual(notification.addresses, ["a@sender.example"]);
});

test("when a notification cannot be written, nobody is given up", async () => {
  const w = await world({ notify: () => Promise.reject(new Error("no room")) });
  const { id } = await w.send("a@example.org", "b@example.com");
  w.next().answer(ok, () => ({ status: "bounced", dsn: "5.1.1", reason: "host said: 550 no" }));
  await quiet();
  assert.equal((await w.store.counts()).deferred, 1);
  assert.deepEqual(w.lines(/bounce failed/), [`qmgr: ${id}: status=deferred (bounce failed)`]);
});

test("a delay warning is asked for once, after delay_warning_time", async () => {
  const w = await world({ conf: { delay_warning_time: "1h" } });
  w.scheduler.start();
  await w.send("a@example.org", "b@example.com");
  w.next().answer(down);
  for (let turn = 0; turn < 30; turn++) {
    await w.advance(300_000);
    for (const each of w.pending.splice(0)) each.answer(down);
  }
  await quiet();
  assert.deepEqual(
    w.notified.map(({ kind }) => kind),
    ["delay"],
  );
});

test("NOTIFY=SUCCESS is reported where the next server will not report it", async () => {
  const w = await world();
  await w.send("a@example.org", ["b@example.com", ["SUCCESS"]], ["c@example.com", undefined]);
  w.next().answer(ok, () => ({ reports: "relayed" }));
  await quiet();
  assert.deepEqual(
    w.notified.map(({ kind, results }) => [kind, results.map(({ index }) => index)]),
    [["success", [0]]],
  );
});

test("error: bounces and retry: defers, as the error service says it", async () => {
  const route = (_: string, recipient: string) =>
    ({
      hop: { transport: recipient.startsWith("e") ? "error" : "retry", nexthop: "5.1.6 has moved" },
      class: "other",
    }) as const;
  const w = await world({ route });
  await w.send("a@example.org", "e@example.com");
  await w.send("a@example.org", "r@example.com");
  await quiet();
  assert.match(w.lines(/to=<e@/).join(), /^error: .* relay=none, .*dsn=5\.1\.6, status=bounced \(has moved\)$/);
  assert.match(w.lines(/to=<r@/).join(), /dsn=4\.0\.0, status=deferred \(has moved\)$/);
});

test("with soft_bounce, error: keeps the mail", async () => {
  const route = () => ({ hop: { transport: "error", nexthop: "5.1.6 has moved" }, class: "other" }) as const;
  const w = await world({ route, softBounce: true });
  await w.send("a@example.org", "e@example.com");
  await quiet();
  assert.match(w.lines(/to=<e@/).join(), /dsn=4\.1\.6, status=SOFTBOUNCE \(has moved\)$/);
  assert.equal((await w.store.counts()).deferred, 1);
});

test("a table that cannot tell defers, and does not send mail another way", async () => {
  for (const route of [
    () => {
      throw new TableError("retry", "down");
    },
    () => Promise.reject(new TableError("retry", "down")),
  ]) {
    const w = await world({ route });
    await w.send("a@example.org", "b@example.com", "c@example.com");
    await quiet();
    assert.equal(w.lines(/dsn=4\.3\.0, status=deferred \(address resolver failure\)/).length, 2);
    assert.equal((await w.store.counts()).deferred, 1);
  }
});

test("routes that come later do not lose their turn", async () => {
  const w = await world({ route: async (sender, recipient) => byDomain(sender, recipient) });
  await w.send("a@example.org", "b@example.com", "c@example.net");
  assert.equal(await deliverAll(w), 2);
  assert.equal((await w.store.counts()).active, 0);
});

test("defer_transports keeps mail until the queue is flushed", async () => {
  const w = await world({ conf: { defer_transports: "smtp" } });
  w.scheduler.start();
  await w.send("a@example.org", "b@example.com");
  await quiet();
  assert.equal(w.lines(/dsn=4\.3\.2, status=deferred \(deferred transport\)/).length, 1);
  assert.equal(await w.scheduler.flush("all"), 1);
  await quiet();
  w.next().answer(ok);
});

test("a flush overrules defer_transports also where tables answer late", async () => {
  const route = async (sender: string, recipient: string) => {
    for (let turn = 0; turn < 4; turn++) await new Promise(setImmediate);
    return byDomain(sender, recipient);
  };
  const w = await world({ conf: { defer_transports: "smtp" }, route });
  w.scheduler.start();
  await w.send("a@example.org", "b@example.com");
  await w.send("a@example.org", "c@example.com", "d@other.example");
  await quiet();
  assert.equal(w.pending.length, 0);
  await w.scheduler.flush("all");
  await quiet();
  assert.equal(w.pending.length, 3);
});

test("a flush overrules defer_transports also for a destination that was suspended", async () => {
  const w = await world({
    conf: { defer_transports: "smtp" },
    transport: { smtp_initial_destination_concurrency: "1" },
  });
  w.scheduler.start();
  for (const address of ["b@example.com", "c@example.com"]) await w.send("a@example.org", address);
  for (let turn = 0; turn < 2; turn++) {
    await quiet();
    await w.scheduler.flush("all");
    await quiet();
    assert.equal(w.pending.length, 1, `flush ${turn}`);
    w.next().answer(down);
  }
});

test("a flush gives suspended destinations another chance", async () => {
  const w = await world({ transport: { smtp_initial_destination_concurrency: "1" } });
  w.scheduler.start();
  await w.send("a@example.org", "b@example.com");
  w.next().answer(down);
  await quiet();
  await w.scheduler.flush("all");
  await quiet();
  w.next().answer(ok);
});

test("a flush of one destination has its mail tried, and leaves others suspended", async () => {
  const w = await world({ transport: { smtp_initial_destination_concurrency: "1" } });
  w.scheduler.start();
  for (const domain of ["x.example", "y.example"]) {
    await w.send("a@example.org", `b@${domain}`);
    w.next().answer(down);
    await quiet();
  }
  assert.equal(w.scheduler.figures().suspendedCount, 2);
  assert.equal(await w.scheduler.flush({ destination: "smtp:x.example" }), 1);
  await quiet();
  assert.deepEqual(
    w.pending.flatMap(({ addresses }) => addresses),
    ["b@x.example"],
  );
  assert.equal(w.scheduler.figures().suspendedCount, 1);
});

test("a flush of one message leaves the rest to defer_transports", async () => {
  const w = await world({ conf: { defer_transports: "smtp" } });
  w.scheduler.start();
  const { id } = await w.send("a@example.org", "b@example.com");
  await w.send("a@example.org", "c@example.com");
  await quiet();
  assert.equal(await w.scheduler.flush({ ids: [id] }), 1);
  await w.advance(400_000);
  assert.deepEqual(
    w.pending.flatMap(({ addresses }) => addresses),
    ["b@example.com"],
  );
});

test("a rate delay separates deliveries to one destination", async () => {
  const w = await world({ transport: { smtp_destination_rate_delay: "10s" } });
  for (let n = 0; n < 3; n++) await w.send("a@example.org", `b${n}@example.com`);
  assert.equal(w.pending.length, 1);
  w.next().answer(ok);
  await w.advance(9_000);
  assert.equal(w.pending.length, 0);
  await w.advance(1_000);
  assert.equal(w.pending.length, 1);
});

test("a transport rate delay separates all deliveries over one transport, whatever the destination", async () => {
  const w = await world({ transport: { smtp_transport_rate_delay: "10s" } });
  for (let n = 0; n < 3; n++) await w.send("a@example.org", `b@d${n}.example`);
  assert.equal(w.pending.length, 1);
  w.next().answer(ok);
  await w.advance(9_000);
  assert.equal(w.pending.length, 0);
  await w.advance(1_000);
  assert.deepEqual(
    w.pending.flatMap(({ addresses }) => addresses),
    ["b@d1.example"],
  );
  await w.advance(60_000);
  assert.equal(w.pending.length, 1, "and one at a time, however long that takes");
});

test("a reload neither shortens nor prolongs a rate delay", async () => {
  for (const transport of [{ smtp_destination_rate_delay: "100s" }, { smtp_transport_rate_delay: "100s" }]) {
    const queue = new MemoryQueue();
    let w = await world({ queue, owner: "g0", transport });
    w.scheduler.start();
    await w.send("a@example.org", "b0@example.com");
    await w.send("a@example.org", "b1@example.com");
    w.next().answer(ok);
    for (let generation = 1; generation <= 4; generation++) {
      await w.advance(20_000);
      const state = JSON.parse(JSON.stringify(w.scheduler.stateForSuccessor()));
      await w.scheduler.close();
      w = await world({ queue, owner: `g${generation}`, clock: w.clock, transport });
      w.scheduler.restore(state);
      w.scheduler.start();
    }
    await w.advance(19_000);
    assert.equal(w.pending.length, 0);
    await w.advance(1_000);
    assert.deepEqual(w.next().addresses, ["b1@example.com"]);
  }
});

test("a delivery that is under way at a reload counts for the rate delay", async () => {
  for (const transport of [{ smtp_destination_rate_delay: "100s" }, { smtp_transport_rate_delay: "100s" }]) {
    const queue = new MemoryQueue();
    const w = await world({ queue, owner: "old", transport });
    await w.send("a@example.org", "b0@example.com");
    await w.send("a@example.org", "b1@example.com");
    const state = JSON.parse(JSON.stringify(w.scheduler.stateForSuccessor()));
    const closed = w.scheduler.close();
    w.next().answer(ok);
    await closed;
    const next = await world({ queue, owner: "new", clock: w.clock, transport });
    next.scheduler.restore(state);
    next.scheduler.start();
    await next.advance(99_000);
    assert.equal(next.pending.length, 0);
    await next.advance(1_000);
    assert.equal(next.pending.length, 1);
  }
});

test("with a recipient limit of 1, limits hold for each recipient, extensions aside", async () => {
  const w = await world({
    transport: { smtp_destination_recipient_limit: "1", smtp_destination_concurrency_limit: "1" },
  });
  await w.send("a@example.org", "b@example.com", "c@example.com", "b+x@example.com");
  assert.deepEqual(w.pending.flatMap(({ addresses }) => addresses).sort(), ["b+x@example.com", "c@example.com"]);
});

test("a mailing to 50,000 recipients does not delay a single message behind it", async () => {
  for (const { messages, domains } of [
    { messages: 1, domains: 1 },
    { messages: 1, domains: 50_000 },
    { messages: 50, domains: 1 },
  ]) {
    const w = await world({ slots: 10 });
    const members = Array.from({ length: 50_000 / messages }, (_, n) => `m${n}@d${n % domains}.example`);
    for (let n = 0; n < messages; n++) await w.send("list@example.org", ...members);
    await w.send("a@example.org", "single@d0.example");
    let before = 0;
    const seen = () => w.pending.some(({ addresses }) => addresses[0] === "single@d0.example");
    for (; !seen() && before < 500; await quiet()) {
      w.next().answer(ok);
      before++;
    }
    assert.ok(before <= 20 + messages, `${messages} messages, ${domains} domains: ${before} deliveries before it`);
  }
});

test("recipients in memory are bounded: a mailing of many messages goes out in parts", async () => {
  const w = await world({ conf: { qmgr_message_recipient_limit: "500", default_extra_recipient_limit: "0" } });
  w.scheduler.start();
  const members = Array.from({ length: 100 }, (_, n) => `m${n}@example.com`);
  for (let n = 0; n < 50; n++) await w.send("list@example.org", ...members);
  let delivered = 0;
  for (await quiet(); w.pending.length > 0; await quiet()) {
    assert.ok(w.scheduler.figures().active <= 5, `${w.scheduler.figures().active} messages of 100 recipients`);
    for (const each of w.pending.splice(0)) {
      delivered += each.addresses.length;
      each.answer(ok);
    }
  }
  assert.equal(delivered, 5000);
  assert.equal(w.lines(/removed/).length, 50);
});

test("what is accepted beyond the active limit waits in the store and is delivered later", async () => {
  const w = await world({ conf: { qmgr_message_active_limit: "10" } });
  w.scheduler.start();
  for (let n = 0; n < 200; n++) {
    await w.send("a@example.org", `b${n}@example.com`);
    assert.ok(w.scheduler.figures().active <= 10);
  }
  assert.equal(await deliverAll(w), 200);
  assert.equal(w.lines(/removed/).length, 200);
});

test("while the active set is full, what comes in waits for what goes out, in order, or for in_flow_delay", async () => {
  for (const domains of [1, 8]) {
    const w = await world({ conf: { qmgr_message_active_limit: "10", in_flow_delay: "1s" } });
    w.scheduler.start();
    const sendOne = (n: number) => w.send("a@example.org", `b${n}@d${n % domains}.example`);
    for (let n = 0; n < 8; n++) {
      assert.equal(w.scheduler.admission(), undefined);
      await sendOne(n);
    }
    const entered: string[] = [];
    for (const name of ["first", "second"]) void w.scheduler.admission()?.then(() => entered.push(name));
    await sendOne(8);
    await quiet();
    assert.deepEqual(entered, []);
    w.next().answer(ok);
    await quiet();
    assert.deepEqual(entered, ["first"], `${domains} destinations`);
    await w.advance(999);
    assert.deepEqual(entered, ["first"]);
    await w.advance(1);
    assert.deepEqual(entered, ["first", "second"]);
  }
});

test("a scheduler that closes makes nobody wait, and neither does in_flow_delay = 0", async () => {
  const none = await world({ conf: { qmgr_message_active_limit: "1", in_flow_delay: "0" } });
  await none.send("a@example.org", "b@example.com");
  assert.equal(none.scheduler.admission(), undefined);
  const w = await world({ conf: { qmgr_message_active_limit: "1" } });
  await w.send("a@example.org", "b@example.com");
  let entered = 0;
  for (let n = 0; n < 3; n++) void w.scheduler.admission()?.then(() => entered++);
  void w.scheduler.close();
  await quiet();
  assert.equal(entered, 3);
  assert.equal(w.scheduler.admission(), undefined);
  w.next().answer(ok);
});

test("small messages get in while a large mailing fills the recipient limit", async () => {
  const conf = { qmgr_message_recipient_limit: "50", qmgr_message_recipient_minimum: "5" };
  const w = await world({ conf: { ...conf, default_extra_recipient_limit: "0" } });
  w.scheduler.start();
  await w.send("list@example.org", ...Array.from({ length: 60 }, (_, n) => `m${n}@example.com`));
  await w.send("list@example.org", ...Array.from({ length: 60 }, (_, n) => `m${n}@example.com`));
  await w.send("a@example.org", "b@other.example");
  await quiet();
  assert.equal(w.scheduler.figures().active, 2);
  assert.ok(w.pending.some(({ addresses }) => addresses[0] === "b@other.example"));
  await deliverAll(w);
  assert.equal(w.lines(/removed/).length, 3);
});

test("a destination that fills the active set leaves room for others", async () => {
  const w = await world({ conf: { qmgr_message_active_limit: "20" } });
  w.scheduler.start();
  for (let n = 0; n < 100; n++) await w.send("a@example.org", `b${n}@slow.example`);
  await quiet();
  await w.send("a@example.org", "b@fast.example");
  await quiet();
  assert.ok(w.pending.some(({ addresses }) => addresses[0] === "b@fast.example"));
  assert.equal(await deliverAll(w), 101);
});

test("a destination that takes up much of the active set is named, once in qmgr_clog_warn_time", async () => {
  const warnings = async (qmgr_clog_warn_time: string) => {
    const w = await world({ conf: { qmgr_message_active_limit: "20", qmgr_clog_warn_time } });
    for (let n = 0; n < 8; n++) await w.send("a@example.org", `b${n}@slow.example`);
    await w.advance(299_000);
    await w.send("a@example.org", "b8@slow.example");
    await w.advance(1_000);
    await w.send("a@example.org", "b9@slow.example");
    return w.lines(/is using up/).map((line) => line.replace(/^.* for /, ""));
  };
  const named = ["slow.example is using up 5 of 20 active queue entries"];
  assert.deepEqual(await warnings("300s"), [...named, "slow.example is using up 10 of 20 active queue entries"]);
  assert.deepEqual(await warnings("0"), []);
});

test("a transport that throws, rejects, forgets or invents defers what it was given", async () => {
  const deliver = {
    throws: () => {
      throw new Error("bug");
    },
    rejects: () => Promise.reject(new Error("bug")),
    forgets: async () => ({ recipients: [], health: ok }),
    invents: async () => ({
      recipients: [{ index: 7, status: "sent", dsn: "2.0.0", reason: "", remoteHost: "", remoteReply: undefined }],
      health: ok,
    }),
  } as const;
  for (const [name, smtp] of Object.entries(deliver)) {
    const w = await world({ transports: new Map([["smtp", smtp as never]]) });
    await w.send("a@example.org", "b@example.com");
    await quiet();
    assert.equal((await w.store.counts()).deferred, 1, name);
    assert.equal(w.lines(/dsn=4\.3\.0, status=deferred \(unknown mail transport error\)/).length, 1, name);
  }
});

test("of two results for one recipient, the first stands", async () => {
  const twice = await world({
    transports: new Map([
      [
        "smtp",
        async () => ({
          health: ok,
          recipients: (["sent", "bounced"] as const).map((status) => ({
            ...{ index: 0, status, dsn: "2.0.0", reason: "said", remoteHost: "", remoteReply: undefined },
          })),
        }),
      ],
    ]),
  });
  await twice.send("a@example.org", "b@example.com");
  await quiet();
  assert.equal(twice.notified.length, 0);
  assert.equal(twice.lines(/removed/).length, 1);
  assert.equal(twice.lines(/warning: \w+: transport smtp gave a second or unasked result for recipient 0/).length, 1);
});

test("a transport that master.cf does not have defers, which is logged once a minute", async () => {
  const w = await world({ transports: new Map() });
  const unknown = () => w.lines(/warning: connect to transport private\/smtp: No such file or directory/).length;
  await w.send("a@example.org", "b@example.com");
  await w.send("a@example.org", "c@example.com");
  await quiet();
  assert.equal(w.lines(/^error: .*dsn=4\.3\.0, status=deferred \(mail transport unavailable\)/).length, 2);
  assert.equal(unknown(), 1);
  await w.advance(60_000);
  await w.send("a@example.org", "d@example.com");
  await quiet();
  assert.equal(unknown(), 2);
});

const over = (transport: string, nexthop: string) => (): Route => ({ hop: { transport, nexthop }, class: "other" });

test("a service that there is not here defers without alarm, and the text says what it is", async () => {
  const untried = new Map([
    ["maildrop", { kind: "unavailable", why: "maildrop runs pipe, which is not here" }],
  ] as const);
  const w = await world({ untried, route: over("maildrop", "x") });
  await w.send("a@example.org", "b@example.com");
  await quiet();
  assert.equal(
    w.lines(/status=deferred \(mail transport unavailable: maildrop runs pipe, which is not here\)/).length,
    1,
  );
  assert.equal(w.lines(/warning/).length, 0);
});

test("recipients that a transport passes on go over another one, once", async () => {
  const otherwise = { dsn: "5.4.6", reason: "mail for x loops back to myself" };
  const given: string[][] = [];
  const pass = (transport: string): Deliver => {
    return async ({ recipients, envelope }) => {
      given.push([transport, ...recipients.map((index) => envelope.recipients[index]?.address ?? "")]);
      const first = { index: recipients[0] ?? 0, status: "sent", dsn: "2.0.0", reason: "ok" } as const;
      const done = transport === "smtp" ? [{ ...first, remoteHost: "", remoteReply: undefined }] : [];
      return { recipients: done, health: ok, passTo: { hop: { transport: "other", nexthop: "x" }, otherwise } };
    };
  };
  const transports = new Map([
    ["smtp", pass("smtp")],
    ["other", pass("other")],
  ]);
  const w = await world({ transports });
  await w.send("s@example.org", "a@example.com", "b@example.com", "c@example.com");
  await quiet();
  assert.deepEqual(given, [
    ["smtp", "a@example.com", "b@example.com", "c@example.com"],
    ["other", "b@example.com", "c@example.com"],
  ]);
  assert.equal(w.lines(/dsn=5\.4\.6, status=bounced \(mail for x loops back to myself\)/).length, 2);
  assert.equal(w.lines(/: removed$/).length, 1);
});

test("what is passed on to a service that delivers nothing has its verdict", async () => {
  const passTo = { hop: { transport: "discard", nexthop: "gone" }, otherwise: { dsn: "5.4.6", reason: "" } };
  const w = await world({ transports: new Map([["smtp", async () => ({ recipients: [], health: ok, passTo })]]) });
  await w.send("s@example.org", "a@example.com");
  await quiet();
  assert.equal(w.lines(/^discard: .*status=sent \(gone\)/).length, 1);
  assert.equal(w.lines(/: removed$/).length, 1);
});

test("discarded mail counts as delivered, with the next hop as the text, and success is reported where it was asked for", async () => {
  const w = await world({ route: over("discard", "2.7.1 not wanted") });
  await w.send("a@example.org", "b@example.com");
  await w.send("a@example.org", ["c@example.com", ["SUCCESS"]]);
  await quiet();
  assert.equal(w.lines(/^discard: .*, relay=none, .*, dsn=2\.7\.1, status=sent \(not wanted\)$/).length, 2);
  assert.equal(w.lines(/: removed$/).length, 2);
  assert.deepEqual(
    w.notified.map(({ kind, results }) => [kind, results[0]?.reports]),
    [["success", "delivered"]],
  );
});

test("a message that the operator removes is not delivered any more", async () => {
  const w = await world({ transport: { smtp_initial_destination_concurrency: "1" } });
  await w.send("a@example.org", "b1@example.com");
  const { id } = await w.send("a@example.org", "b2@example.com");
  await w.store.remove([id]);
  w.next().answer(ok);
  await quiet();
  assert.equal(w.pending.length, 0);
  assert.equal(w.scheduler.figures().active, 0);
  assert.equal(w.scheduler.figures().destinationCount, 0);
});

test("outcomes wait for a store without room, and nothing is delivered twice", async () => {
  let full = 3;
  const w = await world({
    wrapStore: (store) =>
      new Proxy(store, {
        get(target, name) {
          const member = Reflect.get(target, name) as unknown;
          if (name === "settle" && full > 0) return () => Promise.reject(new QueueError("full", `no room ${full--}`));
          return typeof member === "function" ? member.bind(target) : member;
        },
      }),
  });
  await w.send("a@example.org", "b@example.com");
  w.next().answer(ok);
  for (let turn = 0; turn < 4; turn++) await w.advance(60_000);
  assert.equal(w.lines(/removed/).length, 1);
  assert.equal(w.pending.length, 0);
});

test("a notification of which the store had no room for a part is written again, and once only", async () => {
  let full = false;
  const w: World = await world({
    wrapEngine: (engine) => ({
      read: (read) => engine.read(read),
      close: () => engine.close(),
      commit: (batch, ops) =>
        full && ops.some(({ kind }) => kind === "chunk")
          ? Promise.reject(new EngineError("full", "no room"))
          : engine.commit(batch, ops),
    }),
    async notify({ envelope, kind }) {
      const body = w.store.beginBody();
      await body.append(Buffer.alloc(chunkSize_bytes, "x"));
      await body.append(Buffer.from("end\r\n"));
      const recipients = envelope.recipients.map((each) => ({ ...each, address: envelope.sender }));
      const message = {
        ...{ id: w.store.nextId(), arrival_ms: w.clock.now(), body },
        envelope: { ...envelope, sender: "", recipients, size_bytes: body.size_bytes },
      };
      return [{ message, source: `bounce:${envelope.id}:${kind}` }];
    },
  });
  const { id } = await w.send("a@sender.example", "b@example.com", "c@example.com");
  full = true;
  w.next().answer(ok, (index) => (index === 0 ? { status: "bounced", dsn: "5.1.1", reason: "no" } : {}));
  await w.advance(300);
  assert.equal(w.store.owns(id), true);
  full = false;
  await w.advance(10_000);
  assert.deepEqual(w.lines(/removed/).length, 1);
  assert.equal(w.next().request.envelope.sender, "");
  assert.equal(w.pending.length, 0);
  assert.equal((await w.store.list(undefined, 10)).length, 1);
});

test("mail that waits is tried when the clock has been set back, and no id is given twice", async () => {
  const w = await world({ conf: { queue_run_delay: "300s" } });
  w.scheduler.start();
  await w.send("a@example.org", "b@example.com");
  w.next().answer(ok, () => ({ status: "deferred", dsn: "4.2.0", reason: "busy" }));
  await quiet();
  const before = w.store.nextId();
  w.clock.jump(-3_600_000);
  const after = w.store.nextId();
  assert.ok(Number.parseInt(after, 16) > Number.parseInt(before, 16));
  await w.advance(301_000);
  assert.equal(w.pending.length, 1);
  assert.equal(w.lines(/the clock went back by 3600 s/).length, 1);
});

test("mail that is due in years, since the clock was wrong when it was deferred, is tried at the start", async () => {
  const queue = new MemoryQueue();
  const first = await world({ queue, owner: "old", clock: new ManualClock(Date.UTC(2036, 0, 1)) });
  await first.send("a@example.org", "b@example.com");
  first.next().answer(down);
  await quiet();
  const next = await world({ queue, owner: "new", clock: new ManualClock(Date.UTC(2026, 0, 1)) });
  next.scheduler.start();
  await quiet();
  assert.equal(next.pending.length, 1);
  assert.equal(next.lines(/as if the clock had gone back/).length, 1);
});

test("a broken store stops everything and is reported once", async () => {
  const w = await world({
    wrapStore: (store) =>
      new Proxy(store, {
        get(target, name) {
          const member = Reflect.get(target, name) as unknown;
          if (name === "settle") return () => Promise.reject(new QueueError("failed", "sync failed"));
          return typeof member === "function" ? member.bind(target) : member;
        },
      }),
  });
  await w.send("a@example.org", "b1@example.com");
  await w.send("a@example.org", "b2@example.com");
  for (const each of w.pending.splice(0)) each.answer(ok);
  await quiet();
  assert.equal(w.failures.length, 1);
  await w.send("a@example.org", "b3@example.com");
  assert.equal(w.pending.length, 0);
  await w.scheduler.close();
});

test("a large mailing is settled as it goes", async () => {
  const w = await world({
    transport: { smtp_destination_recipient_limit: "1", smtp_destination_concurrency_limit: "1" },
  });
  const { id } = await w.send("a@example.org", "b@example.com", "c@example.com", "d@example.com");
  w.next().answer(ok);
  await quiet();
  const [entry] = await w.store.list(undefined, 1);
  assert.deepEqual(entry?.envelope.recipients.map(({ status }) => status).sort(), ["pending", "pending", "sent"]);
  assert.equal(entry?.queue, "active");
  await deliverAll(w);
  assert.deepEqual(w.lines(/removed/), [`qmgr: ${id}: removed`]);
});

test("closing waits for what is in hand and gives the rest to the successor, suspensions included", async () => {
  const queue = new MemoryQueue();
  const w = await world({ queue, owner: "old", conf: { initial_destination_concurrency: "1" } });
  w.scheduler.start();
  await w.send("a@example.org", "x@dead.example");
  w.next().answer(down);
  await quiet();
  for (let n = 0; n < 4; n++) await w.send("a@example.org", `b${n}@example.com`);
  let closed = false;
  const closing = w.scheduler.close().then(() => {
    closed = true;
  });
  await quiet();
  assert.equal(closed, false);
  assert.equal(w.pending.length, 1);
  await w.send("a@example.org", "late@example.com");
  w.next().answer(ok);
  await closing;
  assert.equal(w.lines(/removed/).length, 1);
  const state = JSON.parse(JSON.stringify(w.scheduler.stateForSuccessor()));
  const next = await world({ queue, owner: "new", clock: w.clock });
  next.scheduler.restore(state);
  next.scheduler.start();
  await quiet();
  assert.equal(next.scheduler.figures().suspendedCount, 1);
  assert.deepEqual(next.pending.flatMap(({ addresses }) => addresses).sort(), [
    "b1@example.com",
    "b2@example.com",
    "b3@example.com",
    "late@example.com",
  ]);
  await next.send("a@example.org", "y@dead.example");
  await quiet();
  assert.equal(next.lines(/delivery temporarily suspended/).length, 1);
});

test("a held message is left alone", async () => {
  const w = await world();
  w.scheduler.enqueue(await w.accept("a@example.org", ["b@example.com"], { held: true }));
  assert.equal(w.pending.length, 0);
});

test("a postmaster notification that comes back to us ends here", async () => {
  const route = () => ({ hop: { transport: "local", nexthop: "here.example" }, class: "local" }) as const;
  const w = await world({ route });
  await w.send("", "double-bounce@here.example");
  await quiet();
  assert.equal(w.lines(/status=sent \(undeliverable postmaster notification discarded\)/).length, 1);
  assert.equal(w.lines(/removed/).length, 1);
});
