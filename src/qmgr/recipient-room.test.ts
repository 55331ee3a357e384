import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { MemoryQueue } from "../queue/memory-engine.ts";
import type { QueueEntry } from "../queue/store.ts";
import { ManualClock } from "../runtime/manual-clock.ts";
import { ok, quiet, type World, world } from "./scheduler.fixture.ts";

/** Which mail is taken from the store while large mailings fill the memory that recipients may have. */

const members = (count: number, domain: string) => Array.from({ length: count }, (_, n) => `m${n}@${domain}`);

/** What a predecessor left in the queue, due at once, in this order. */
async function left(...messages: readonly (readonly [sender: string, recipients: readonly string[]])[]) {
  const queue = new MemoryQueue();
  const before = await world({ queue, owner: "before" });
  for (const [sender, recipients] of messages) {
    const { id } = await before.accept(sender, recipients);
    before.clock.advance(1);
    const settlement = { id, outcomes: [], nextAttempt_ms: before.clock.now(), destination: "", notifications: [] };
    await before.store.settle(settlement);
  }
  before.clock.advance(1000);
  return { queue, clock: before.clock };
}

async function waiting({ store }: World): Promise<QueueEntry[]> {
  return (await store.list(undefined, 1000)).filter(({ queue }) => queue === "deferred");
}

test("a message waits in the store behind a mailing to 50,000 recipients no longer than without it", async () => {
  const mailing = ["list@example.org", members(50_000, "large.example")] as const;
  const w = await world(
    await left(
      mailing,
      mailing,
      ["a@example.org", ["b@small.example"]],
      ["c@example.org", members(200, "mid.example")],
    ),
  );
  w.scheduler.start();
  await quiet();
  assert.equal(w.scheduler.figures().active, 3);
  for (const domain of ["small.example", "mid.example"]) {
    assert.ok(
      w.pending.some(({ addresses }) => addresses[0]?.endsWith(`@${domain}`)),
      domain,
    );
  }
});

test("of messages that exceed qmgr_message_recipient_minimum, those that are small go on while a large one is in work", async () => {
  const conf = {
    qmgr_message_recipient_limit: "50",
    qmgr_message_recipient_minimum: "5",
    default_extra_recipient_limit: "40",
  };
  const rows = [
    ["large@example.org", members(60, "large.example")],
    ["another@example.org", members(60, "other.example")],
    ...Array.from({ length: 9 }, (_, n) => [`middle${n}@example.org`, members(10, `middle${n}.example`)] as const),
    ["small@example.org", ["one@small.example"]],
  ] as const;
  const w = await world({ ...(await left(...rows)), conf });
  w.scheduler.start();
  await quiet();
  assert.deepEqual(
    (await waiting(w)).map(({ envelope }) => envelope.sender),
    ["another@example.org", ...[4, 5, 6, 7, 8].map((n) => `middle${n}@example.org`)],
  );
  const middle = w.pending.findIndex(({ addresses }) => addresses[0]?.endsWith("@middle0.example"));
  w.pending.splice(middle, 1)[0]?.answer(ok);
  await quiet();
  assert.ok(w.pending.some(({ addresses }) => addresses[0]?.endsWith("@middle4.example")));
  while (w.pending.length > 0) {
    w.next().answer(ok);
    await quiet();
  }
  assert.equal(w.lines(/removed/).length, rows.length);
});

test("small mail that is put off while a large mailing is in work is tried when it falls due", async () => {
  const conf = { qmgr_message_recipient_limit: "50", qmgr_message_recipient_minimum: "5", queue_run_delay: "1h" };
  const w = await world({ conf, transport: { smtp_destination_concurrency_limit: "0" } });
  w.scheduler.start();
  await w.send("list@example.org", ...members(60, "large.example"));
  await w.send("list@example.org", ...members(60, "large.example"));
  await w.send("a@example.org", "b@small.example");
  await quiet();
  const small = w.pending.findIndex(({ addresses }) => addresses[0] === "b@small.example");
  w.pending.splice(small, 1)[0]?.answer(ok, () => ({ status: "deferred", dsn: "4.2.0", reason: "later" }));
  await w.advance(299_000);
  const tried = () => w.pending.some(({ addresses }) => addresses[0] === "b@small.example");
  assert.equal(tried(), false);
  await w.advance(1_000);
  assert.equal(tried(), true);
});

/** The limits, and what they promise, whatever mail there is and whatever becomes of it. */
const conf = {
  qmgr_message_active_limit: "8",
  qmgr_message_recipient_limit: "20",
  qmgr_message_recipient_minimum: "3",
  default_extra_recipient_limit: "24",
} as const;
const largest = 30;

type Step =
  | { readonly do: "send" | "leave"; readonly recipients: number }
  | { readonly do: "answer"; readonly which: number; readonly deferred: boolean }
  | { readonly do: "advance"; readonly seconds: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    do: fc.constantFrom("send" as const, "leave" as const),
    recipients: fc.integer({ min: 1, max: largest }),
  }),
  fc.record({ do: fc.constant("answer" as const), which: fc.nat(20), deferred: fc.boolean() }),
  fc.record({ do: fc.constant("advance" as const), seconds: fc.nat(400) }),
);

class Run {
  readonly clock = new ManualClock();
  readonly queue = new MemoryQueue();
  #sequence = 0;
  #world: World | undefined;

  async open(): Promise<World> {
    this.#world = await world({ queue: this.queue, clock: this.clock, conf });
    this.#world.scheduler.start();
    return this.#world;
  }

  /** Each message has a destination of its own: none is saturated, or suspended. */
  async take(w: World, each: Step): Promise<void> {
    const domain = `d${this.#sequence++}.example`;
    if (each.do === "send") await w.send("a@example.org", ...members(each.recipients, domain));
    else if (each.do === "advance") this.clock.advance(each.seconds * 1000);
    else if (each.do === "leave") {
      const { id } = await w.accept("a@example.org", members(each.recipients, domain));
      const settlement = { id, outcomes: [], nextAttempt_ms: this.clock.now(), destination: "", notifications: [] };
      await w.store.settle(settlement);
      w.scheduler.look();
    } else if (each.do === "answer") {
      const [delivery] = w.pending.splice(each.which % Math.max(1, w.pending.length), 1);
      delivery?.answer(ok, () => (each.deferred ? { status: "deferred", dsn: "4.2.0", reason: "later" } : {}));
    }
    await quiet();
    await this.#check(w);
  }

  async #check(w: World): Promise<void> {
    const entries = await w.store.list(undefined, 1000);
    const active = entries.filter(({ queue }) => queue === "active");
    const counted = active.map(({ envelope }) => envelope.recipients.length).filter((count) => count > 3);
    const inMemory = counted.reduce((sum, count) => sum + count, 0);
    assert.ok(active.length <= 8, `${active.length} messages`);
    assert.ok(inMemory < 20 + largest + 24 + 6, `${inMemory} recipients of large messages`);
    // Claims want room for half a page of messages.
    if (active.length > 4) return;
    const due = entries.filter(
      ({ queue, nextAttempt_ms }) => queue === "deferred" && nextAttempt_ms <= this.clock.now(),
    );
    const small = due.filter(({ envelope }) => envelope.recipients.length <= 3);
    assert.deepEqual(small, [], "a small message waits for large ones");
    if (inMemory <= 20 / 2) assert.deepEqual(due, [], "mail waits though there is room");
  }

  async finish(w: World): Promise<void> {
    for (let turn = 0; turn < 1000; turn++) {
      for (const each of w.pending.splice(0)) each.answer(ok);
      await quiet();
      const { active, deferred } = await w.store.counts();
      if (active + deferred === 0) return;
      if (w.pending.length === 0) this.clock.advance(300_000);
      await quiet();
    }
    assert.fail("mail is left");
  }
}

test("whatever mail there is, small messages wait for no large ones, recipients in memory are bounded, and all goes out", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const run = new Run();
      const w = await run.open();
      for (const each of steps) await run.take(w, each);
      await run.finish(w);
    }),
    { numRuns: 100 },
  );
});
