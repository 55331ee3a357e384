import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { MemoryQueue } from "../queue/memory-engine.ts";
import { ManualClock } from "../runtime/manual-clock.ts";
import { down, ok, type Pending, quiet, type World, world } from "./scheduler.fixture.ts";

/**
 * The scheduler against the plainest model there is: each recipient that was
 * accepted ends exactly once, as sent or as bounced with a notification asked
 * for, whatever happens on the way; and the limits hold at every moment.
 */
type Step =
  | { readonly do: "send"; readonly domains: readonly number[] }
  | { readonly do: "answer"; readonly which: number; readonly how: "ok" | "mixed" | "down" | "refused" | "throw" }
  | { readonly do: "advance"; readonly seconds: number }
  | { readonly do: "flush" | "logins" | "reload" };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("send" as const),
      domains: fc.array(fc.nat(3), { minLength: 1, maxLength: 12 }),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant("answer" as const),
      which: fc.nat(20),
      how: fc.constantFrom("ok", "mixed", "down", "refused", "throw"),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("advance" as const), seconds: fc.nat(700) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom("flush" as const, "logins" as const, "reload" as const) }) },
);

const conf = {
  qmgr_message_active_limit: "6",
  qmgr_message_recipient_limit: "12",
  qmgr_message_recipient_minimum: "3",
  default_destination_concurrency_limit: "3",
  default_destination_recipient_limit: "4",
  initial_destination_concurrency: "2",
} as const;
/** Rate delays, or none. */
interface Pace {
  readonly default_destination_rate_delay?: string;
  readonly default_transport_rate_delay?: string;
}

const paces: readonly Pace[] = [
  {},
  { default_destination_rate_delay: "50s" },
  { default_transport_rate_delay: "50s" },
  { default_destination_rate_delay: "400s", default_transport_rate_delay: "20s" },
];

const slots = 4;
const refused = { kind: "refused", dsn: "4.7.8", reason: "535 no" } as const;

class Run {
  readonly queue = new MemoryQueue();
  readonly clock = new ManualClock();
  readonly ends = new Map<string, string[]>();
  world: World | undefined;
  readonly #pace: Pace;
  #generation = 0;
  #sequence = 0;

  constructor(pace: Pace) {
    this.#pace = pace;
  }

  async open(): Promise<World> {
    const state = this.world?.scheduler.stateForSuccessor();
    const opened: World = await world({
      queue: this.queue,
      clock: this.clock,
      owner: `g${this.#generation++}`,
      conf: { ...conf, ...this.#pace },
      slots,
      notify: async ({ kind, envelope, results }) => {
        if (kind === "failure")
          for (const { index } of results) this.end(envelope.recipients[index]?.address ?? "", "bounced");
        return [];
      },
    });
    if (state) opened.scheduler.restore(JSON.parse(JSON.stringify(state)));
    opened.scheduler.start();
    this.world = opened;
    return opened;
  }

  end(address: string, how: string): void {
    this.ends.get(address)?.push(how);
  }

  async send(domains: readonly number[]): Promise<void> {
    const recipients = domains.map((domain) => `r${this.#sequence++}@d${domain}.example`);
    for (const address of recipients) this.ends.set(address, []);
    await this.world?.send("sender@example.org", ...recipients);
  }

  answer({ request, answer, reject, addresses }: Pending, how: string): void {
    if (how === "throw") reject(new Error("bug"));
    else if (how === "down") answer(down);
    else if (how === "refused") answer(refused);
    else {
      const status = (index: number) =>
        how === "ok" ? "sent" : ((["sent", "deferred", "bounced"] as const)[index % 3] ?? "sent");
      request.recipients.forEach((index, at) => {
        if (status(index) === "sent") this.end(addresses[at] ?? "", "sent");
      });
      answer(ok, (index) => ({
        status: status(index),
        dsn: `${{ sent: 2, deferred: 4, bounced: 5 }[status(index)]}.0.0`,
      }));
    }
  }

  async reload(): Promise<void> {
    const { world } = this;
    if (!world) return;
    const closing = world.scheduler.close();
    await quiet();
    for (const each of world.pending.splice(0)) this.answer(each, "ok");
    await closing;
    assert.equal(world.pending.length, 0, "nothing begins once closing has begun");
    await this.open();
  }

  check(): void {
    const { scheduler, pending } = this.world as World;
    const { active, destinations } = scheduler.figures();
    assert.ok(active <= 6, `${active} active`);
    if (this.#pace.default_transport_rate_delay) assert.ok(pending.length <= 1, `${pending.length} at once`);
    assert.ok(pending.length <= slots, `${pending.length} deliveries`);
    for (const { key, busy } of destinations) assert.ok(busy <= 3, `${busy} to ${key}`);
    for (const { addresses } of pending) assert.ok(addresses.length <= 4);
    for (const [address, ends] of this.ends) assert.ok(ends.length <= 1, `${address}: ${ends}`);
  }

  async take(each: Step): Promise<void> {
    const { scheduler, pending } = this.world as World;
    if (each.do === "send") await this.send(each.domains);
    else if (each.do === "advance") this.clock.advance(each.seconds * 1000);
    else if (each.do === "flush") await scheduler.flush("all");
    else if (each.do === "logins") await scheduler.loginsChanged();
    else if (each.do === "reload") await this.reload();
    else if (each.do === "answer") {
      const [delivery] = pending.splice(each.which % Math.max(1, pending.length), 1);
      if (delivery) this.answer(delivery, each.how);
    }
    await quiet();
    this.check();
  }

  /** Everything works again: how it ends. */
  async finish(): Promise<void> {
    const current = this.world as World;
    for (let turn = 0; turn < 400; turn++) {
      for (const each of current.pending.splice(0)) this.answer(each, "ok");
      await quiet();
      this.check();
      const { active, deferred } = await current.store.counts();
      if (active + deferred === 0) break;
      if (current.pending.length === 0) this.clock.advance(300_000);
      await quiet();
    }
    assert.deepEqual(await current.store.counts(), { active: 0, deferred: 0, hold: 0, corrupt: 0 });
    for (const [address, ends] of this.ends) assert.equal(ends.length, 1, `${address}: ${ends}`);
    const { active, inHand, settling, destinationCount } = current.scheduler.figures();
    assert.deepEqual({ active, inHand, settling }, { active: 0, inHand: 0, settling: 0 });
    this.clock.advance(4_000_000);
    await quiet();
    assert.ok(
      destinationCount === 0 || current.scheduler.figures().destinationCount === 0,
      "nothing is remembered for ever",
    );
  }
}

test("every recipient ends exactly once, whatever transports, time and reloads do", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), fc.constantFrom(...paces), async (steps, pace) => {
      const run = new Run(pace);
      await run.open();
      for (const each of steps) await run.take(each);
      await run.finish();
    }),
    { numRuns: 150 },
  );
});
