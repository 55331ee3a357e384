import { defaults } from "../../src/conf/defaults.ts";
import { memoryLog } from "../../src/log/log.ts";
import type { NotificationDue, Notifications } from "../../src/qmgr/options.ts";
import { qmgrParams } from "../../src/qmgr/params.ts";
import { Scheduler } from "../../src/qmgr/scheduler.ts";
import type { SchedulerState } from "../../src/qmgr/state.ts";
import type { DeliveryRequest, DeliveryResult, RecipientResult } from "../../src/queue/delivery.ts";
import { state } from "../../src/queue/engine.ts";
import type { EngineStore } from "../../src/queue/engine-store.ts";
import { formatId } from "../../src/queue/id.ts";
import { openMemoryStore } from "../../src/queue/memory-store.ts";
import type { Envelope } from "../../src/queue/message.ts";
import {
  QueueError,
  type QueueStore,
  type RefusedBatch,
  type Settled,
  type Settlement,
} from "../../src/queue/store.ts";
import { SimulatedDisk, SimulatedEngine } from "./engine.ts";
import { Oracle } from "./oracle.ts";
import { newEnvelope } from "./store-run.ts";
import { quiet, type Ran, World } from "./world.ts";

/**
 * The scheduler as it is, over the store as it is, over an engine that fails. Servers take, put off and refuse recipients, are
 * down, answer late, forget to answer, and lose replies. Relays are killed at any moment, and replaced in good order, with mail in hand.
 * At the end everything works and nobody helps: whatever is queued must come to its end by itself.
 */
export async function runRelay(seed: number, steps = 70): Promise<Ran> {
  const run = new RelayRun(seed);
  const { world } = run;
  try {
    for (let step = 0; step < steps && !world.violation; step++) await run.step();
    if (!world.violation) await run.finish();
  } catch (error) {
    world.violated(error instanceof Error ? (error.stack ?? error.message) : String(error));
  }
  return { seed, violation: world.violation, hash: world.hash, trace: world.trace };
}

interface Relay {
  readonly owner: string;
  readonly generation: number;
  readonly engine: SimulatedEngine;
  readonly store: EngineStore;
  /** What we know of the recipients of messages in hand. */
  readonly known: Map<string, Envelope>;
  readonly removed: Set<string>;
  scheduler: Scheduler | undefined;
  /** Deliveries under way. */
  delivering: number;
  alive: boolean;
  closing: boolean;
}

const body = Buffer.from("Subject: test\r\n\r\nHello\r\n");

class RelayRun {
  readonly world: World;
  readonly #disk = new SimulatedDisk();
  readonly #oracle: Oracle;
  readonly #log = memoryLog();
  readonly #relays: Relay[] = [];
  readonly #refused: RefusedBatch[] = [];
  #state: SchedulerState | undefined;
  #generation = 0;
  #count = 0;
  #opening = false;

  constructor(seed: number) {
    this.world = new World(seed);
    this.#oracle = new Oracle(this.world);
  }

  async step(): Promise<void> {
    const { world } = this;
    const [relay] = this.#relays.filter(({ alive, closing }) => alive && !closing);
    if (!relay) this.#open();
    else this.#act(relay, world.below(100));
    await quiet();
    const kind = world.below(100);
    if (kind < 60) await this.#pass(world.below(30));
    else if (kind < 90) await this.#pass(world.below(3000));
    else await this.#pass(world.below(600_000));
  }

  /** Time goes on from timer to timer, as it does. */
  async #pass(by_ms: number): Promise<void> {
    const { clock } = this.world;
    const end_ms = clock.monotonic() + by_ms;
    for (let turn = 0; turn < 60 && !this.world.violation; turn++) {
      const next_ms = clock.next_ms;
      if (next_ms === undefined || clock.monotonic() + next_ms > end_ms) break;
      clock.advance(next_ms);
      await quiet();
    }
    clock.advance(Math.max(0, end_ms - clock.monotonic()));
    await quiet();
  }

  #act(relay: Relay, kind: number): void {
    if (kind < 55) this.#call(relay, this.#accept(relay));
    else if (kind < 75) this.#call(relay, this.#operate(relay, this.world.below(5)));
    else if (kind < 80) this.#kill(relay);
    else if (kind < 84) this.#call(relay, this.#replace(relay));
    else if (kind < 86) this.world.clock.jump((this.world.below(3) - 1) * 90_000);
  }

  #call(relay: Relay, call: Promise<void>): void {
    call.catch((error) => {
      if (!relay.alive) return;
      if (!(error instanceof QueueError))
        this.world.violated(`${relay.owner}: ${error instanceof Error ? error.stack : error}`);
      else if (error.kind === "failed") this.#failed(relay);
    });
  }

  // -- Relays come and go

  #open(): void {
    if (this.#opening || this.#relays.some(({ alive }) => alive)) return;
    this.#opening = true;
    const generation = ++this.#generation;
    const engine = new SimulatedEngine(this.world, this.#disk, `g${generation}`);
    void this.#opened(generation, engine)
      .catch(async (error) => {
        if (!(error instanceof QueueError)) this.world.violated(`g${generation} cannot open: ${error}`);
        await engine.kill();
      })
      .finally(() => {
        this.#opening = false;
      });
  }

  async #opened(generation: number, engine: SimulatedEngine): Promise<void> {
    const owner = `g${generation}`;
    const { clock } = this.world;
    if (await this.#disk.opened(engine)) this.#oracle.anythingDue();
    this.world.note(`${owner} opens`);
    const refused = [...this.#refused];
    const options = { owner, generation, clock, log: this.#log, queue: this.#disk.queue, refused };
    const store = await openMemoryStore({ ...options, wrap: () => engine, limits: { ops: 6, bytes: 300_000 } });
    for (const gone of await store.owners()) if (gone !== owner) await store.release(gone);
    const relay: Relay = {
      ...{ owner, generation, engine, store, known: new Map(), removed: new Set() },
      ...{ scheduler: undefined, delivering: 0, alive: true, closing: false },
    };
    this.#relays.push(relay);
    relay.scheduler = this.#scheduler(relay);
    if (this.#state) relay.scheduler.restore(this.#state);
    relay.scheduler.start();
  }

  #scheduler(relay: Relay): Scheduler {
    return new Scheduler({
      conf: {
        ...defaults(qmgrParams, {
          qmgr_message_active_limit: "8",
          qmgr_message_recipient_limit: "16",
          qmgr_message_recipient_minimum: "3",
          default_destination_concurrency_limit: "3",
          default_destination_recipient_limit: "2",
        }),
        ...{ delay_logging_resolution_limit: 2, recipient_delimiter: "+", double_bounce_sender: "double-bounce" },
        soft_bounce: false,
      },
      clock: this.world.clock,
      log: this.#log.as("qmgr"),
      store: this.#watched(relay),
      route: (_sender, recipient) => {
        return { hop: { transport: "smtp", nexthop: recipient.slice(recipient.indexOf("@") + 1) }, class: "other" };
      },
      transports: new Map([["smtp", (request: DeliveryRequest) => this.#transport(relay, request)]]),
      transportValue: () => undefined,
      slots: () => 5,
      notify: (due) => this.#notify(relay, due),
      failed: () => this.#failed(relay),
    });
  }

  /** The store failed: which batches it refused is written down, and the relay ends. */
  #failed(relay: Relay): void {
    if (!relay.alive) return;
    this.#refused.push(...relay.store.refusedBatches);
    this.#kill(relay);
  }

  #kill(relay: Relay): void {
    this.world.note(`${relay.owner} ends`);
    relay.alive = false;
    this.#oracle.ended(relay.owner);
    void relay.engine.kill();
  }

  async #replace(relay: Relay): Promise<void> {
    this.world.note(`${relay.owner} is being replaced`);
    relay.closing = true;
    await relay.scheduler?.close();
    if (!relay.alive) return;
    if (relay.delivering > 0) this.world.violated(`${relay.owner} ends in good order with a delivery in hand`);
    this.#state = JSON.parse(JSON.stringify(relay.scheduler?.stateForSuccessor())) as SchedulerState;
    await relay.store.close();
    if (relay.alive) this.#kill(relay);
  }

  // -- Between the scheduler and the store

  /** The store, with everything that says what became of a message told to the oracle. */
  #watched(relay: Relay): QueueStore {
    const { store } = relay;
    const watched: Partial<QueueStore> = {
      claim: (now_ms, limit, excluding) => this.#claim(relay, now_ms, limit, excluding),
      settle: (settlement) => this.#settle(relay, settlement),
      flush: async (which) => {
        this.#oracle.wakes(relay.owner);
        return await store.flush(which).finally(() => this.#oracle.woke(relay.owner));
      },
    };
    return new Proxy(store as QueueStore, {
      get(target, key) {
        const own = Reflect.get(watched, key) ?? Reflect.get(target, key, target);
        return typeof own === "function" ? own.bind(target) : own;
      },
    });
  }

  async #claim(relay: Relay, now_ms: number, limit: number, excluding?: ReadonlySet<string>): Promise<Envelope[]> {
    const claimed = await relay.store.claim(now_ms, limit, excluding);
    if (!relay.alive) return claimed;
    for (const envelope of claimed) {
      this.world.note(`${relay.owner} claims ${envelope.id}`);
      this.#oracle.claimed(relay.owner, envelope, now_ms);
      relay.known.set(envelope.id, envelope);
    }
    return claimed;
  }

  async #settle(relay: Relay, settlement: Settlement): Promise<Settled> {
    const { id, outcomes, unfinished, notifications, nextAttempt_ms } = settlement;
    const oracle = this.#oracle;
    const before = relay.known.get(id);
    const after = before?.recipients.map((each, index) => {
      const outcome = outcomes.find((one) => one.index === index);
      return outcome && each.status === "pending" ? { ...each, status: outcome.status } : each;
    });
    if (!relay.alive || !before || !after) return await relay.store.settle(settlement);
    const returns = notifications.map(({ message }) => message.envelope.recipients[0]?.address);
    for (const [index, { address, status }] of after.entries()) {
      if (status === "pending" || before.recipients[index]?.status !== "pending") continue;
      if (status === "bounced" && returns.length === 0 && before.sender !== "") {
        this.world.violated(`${address} is given up and nobody is told`);
      }
      oracle.tried(address, status, returns[0], before.sender !== "");
    }
    relay.known.set(id, { ...before, recipients: after });
    const whole = !unfinished || after.every(({ status }) => status !== "pending");
    const since = oracle.settling(id, whole);
    try {
      const settled = await relay.store.settle(settlement);
      if (!relay.alive) return settled;
      this.world.note(`${relay.owner} settled ${id}: ${settled.applied} ${settled.gone}`);
      if (settled.applied) {
        for (const { address, status } of after) oracle.noted(address, status);
        for (const { envelope } of settled.notifications) this.#taken(relay, envelope);
        if (whole && !settled.gone) oracle.deferred(id, nextAttempt_ms, since);
      } else if (!oracle.mayBeGone(id, relay.owner)) this.world.violated(`${relay.owner} could not settle ${id}`);
      return settled;
    } catch (error) {
      relay.known.set(id, before);
      if (relay.alive) oracle.notSettled(id, relay.owner, whole);
      throw error;
    }
  }

  #taken(relay: Relay, envelope: Envelope): void {
    this.world.note(`${relay.owner} has taken ${envelope.id}`);
    this.#oracle.accepted(envelope.id, false, relay.owner, envelope.id);
    relay.known.set(envelope.id, envelope);
  }

  async #notify(relay: Relay, { kind, envelope, results }: NotificationDue): Promise<Notifications> {
    const { world } = this;
    await world.pause(world.below(10));
    if (world.faulty && world.chance(0.1)) throw new Error("a notification cannot be written");
    if (kind !== "failure" || envelope.sender === "") return [];
    const own = relay.store.nextId();
    const address = `n${this.#count++}@d9`;
    this.#oracle.offered(own, [address]);
    const source = `bounce/${envelope.id}/${results.map(({ index }) => index)}/${own}`;
    const message = {
      ...{ id: own, arrival_ms: world.clock.now(), body },
      envelope: { ...newEnvelope([address], body.length), sender: "" },
    };
    return [{ source, message }];
  }

  // -- Mail comes and goes

  async #accept(relay: Relay): Promise<void> {
    const { world } = this;
    const { store, owner } = relay;
    const addresses = Array.from({ length: 1 + world.below(5) }, () => `r${this.#count++}@d${world.below(4)}`);
    const id = store.nextId();
    this.#oracle.offered(id, addresses);
    world.note(`${owner} is offered ${id} for ${addresses}`);
    try {
      const envelope = newEnvelope(addresses, body.length);
      const accepted = await store.accept({ id, arrival_ms: world.clock.now(), body, envelope });
      if (!relay.alive) return;
      this.#taken(relay, accepted.envelope);
      relay.scheduler?.enqueue(accepted.envelope);
    } catch (error) {
      if (relay.alive && error instanceof QueueError) this.#oracle.refused(id);
      throw error;
    }
  }

  #transport(relay: Relay, request: DeliveryRequest): Promise<DeliveryResult> {
    relay.delivering++;
    return this.#deliver(relay, request).finally(() => {
      relay.delivering--;
    });
  }

  async #deliver(relay: Relay, { envelope, recipients }: DeliveryRequest): Promise<DeliveryResult> {
    const { world } = this;
    const { owner, removed } = relay;
    if (removed.has(envelope.id) && relay.alive) world.violated(`${owner} delivers ${envelope.id}, which it removed`);
    const how = world.faulty ? world.below(12) : 0;
    world.note(`${owner} delivers ${envelope.id} ${recipients}: ${how}`);
    await world.pause(how === 11 ? 300_000 : world.below(60));
    if (!relay.alive) return await new Promise<never>(() => {});
    if (how === 10) throw new Error("a transport breaks");
    if (how >= 8) return { recipients: [], health: { kind: "failed", dsn: "4.4.1", reason: "no answer" } };
    const results = recipients.flatMap((index) => this.#attempt(owner, index, envelope) ?? []);
    await world.pause(world.below(20));
    return { recipients: results, health: { kind: "ok" } };
  }

  /** Undefined: the transport forgets this one. */
  #attempt(owner: string, index: number, { recipients }: Envelope): RecipientResult | undefined {
    const { world } = this;
    const address = recipients[index]?.address ?? "";
    const answer = world.faulty ? world.below(12) : 0;
    world.note(`${owner} asks for ${address}: ${answer}`);
    if (answer < 7) this.#oracle.delivered(owner, address, answer < 6);
    const common = { index, remoteHost: "mx.example", remoteReply: undefined };
    if (answer < 6) return { ...common, status: "sent", dsn: "2.0.0", reason: "250 ok" };
    if (answer < 9) return { ...common, status: "deferred", dsn: "4.0.0", reason: "450 later, or the reply was lost" };
    return answer < 11 ? { ...common, status: "bounced", dsn: "5.0.0", reason: "550 no" } : undefined;
  }

  // -- Operators

  async #operate(relay: Relay, kind: number): Promise<void> {
    const { store, owner, scheduler } = relay;
    const oracle = this.#oracle;
    const number = this.world.pick([...this.#disk.queue.messages.keys()]);
    if (number === undefined) return;
    const id = formatId(number);
    this.world.note(`${owner} operates ${kind} on ${id}`);
    if (kind === 0) await scheduler?.flush("all");
    else if (kind === 1) {
      await store.hold([id]);
      if (relay.alive && this.#disk.queue.messages.get(number)?.state === state.hold) oracle.holding(id);
    } else if (kind === 2) {
      oracle.removing(id);
      if ((await store.remove([id])) > 0) relay.removed.add(id);
    } else {
      oracle.wakes(owner);
      const change = kind === 3 ? store.unhold("all") : store.requeue([id]);
      await change.finally(() => oracle.woke(owner));
      scheduler?.look();
    }
  }

  // -- The end

  async finish(): Promise<void> {
    const { world } = this;
    world.faulty = false;
    world.note("everything works");
    for (let round = 0; round < 120 && !world.violation; round++) {
      const [relay] = this.#relays.filter(({ alive }) => alive);
      if (!relay) this.#open();
      // Nobody but an operator lets go of what an operator held.
      else if ([...this.#disk.queue.messages.values()].some((each) => each.state === state.hold || each.flags & 4)) {
        this.#call(relay, this.#operate(relay, 3));
      }
      await this.#pass(round % 4 === 3 ? 300_000 : 2000);
      if (relay && this.#disk.queue.messages.size === 0) break;
    }
    const left = [...this.#disk.queue.messages.values()].map(
      ({ id, state: is, owner }) => `${formatId(id)} (state ${is} of ${owner})`,
    );
    if (left.length > 0) world.violated(`this is left in the queue: ${left}`);
    this.#oracle.finished();
  }
}
