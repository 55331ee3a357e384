import { memoryLog } from "../../src/log/log.ts";
import { state } from "../../src/queue/engine.ts";
import type { EngineStore } from "../../src/queue/engine-store.ts";
import { formatId, parseId } from "../../src/queue/id.ts";
import { openMemoryStore } from "../../src/queue/memory-store.ts";
import { plainEnvelope } from "../../src/queue/message.fixture.ts";
import { chunkSize_bytes, type Envelope, type NewEnvelope, type RecipientStatus } from "../../src/queue/message.ts";
import {
  type NewMessage,
  QueueError,
  type RecipientOutcome,
  type RefusedBatch,
  type Settlement,
} from "../../src/queue/store.ts";
import { SimulatedDisk, SimulatedEngine } from "./engine.ts";
import { Oracle } from "./oracle.ts";
import { quiet, type Ran, World } from "./world.ts";

/**
 * The coordinator and the store as they are, over an engine that fails, with one or two relays on one queue.
 * The relays take mail, claim, deliver, settle and do what operators ask, all as chance has it; they are killed, closed,
 * or taken for dead while they live; and new ones take over. At the end everything works, and every message must come to its end.
 */
export async function runStore(seed: number, steps = 90): Promise<Ran> {
  const run = new StoreRun(seed);
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
  /** Messages that are ours, and not being settled. */
  readonly hand: Map<string, Envelope>;
  /** Calls that have no answer yet. */
  readonly calls: Set<string>;
  alive: boolean;
  closing: boolean;
  /** Others take it for dead. */
  presumedDead: boolean;
}

const largeBody = Buffer.alloc(chunkSize_bytes, "x");
const smallBody = Buffer.from("Subject: test\r\n\r\nHello\r\n");

class StoreRun {
  readonly world: World;
  readonly #disk = new SimulatedDisk();
  readonly #oracle: Oracle;
  readonly #log = memoryLog();
  readonly #relays: Relay[] = [];
  /** What failed stores had refused: told to every successor. */
  readonly #refused: RefusedBatch[] = [];
  readonly #sources: { readonly source: string; readonly addresses: readonly string[] }[] = [];
  #generation = 0;
  #count = 0;
  #opening = false;

  constructor(seed: number) {
    this.world = new World(seed);
    this.#oracle = new Oracle(this.world);
  }

  async step(): Promise<void> {
    const { world } = this;
    const living = this.#living();
    if (living.length === 0 || (living.length === 1 && world.chance(0.1))) this.#open();
    const relay = world.pick(living);
    if (relay) this.#act(relay, world.below(100));
    await quiet();
    await this.#passTime();
  }

  async #passTime(): Promise<void> {
    const { world } = this;
    const { clock } = world;
    const kind = world.below(100);
    if (kind < 70) clock.advance(world.below(10));
    else if (kind < 85) clock.advance(clock.next_ms ?? 0);
    else if (kind < 97) clock.advance(world.below(3000));
    else if (kind < 99) clock.jump((world.below(3) - 1) * 90_000);
    else clock.advance(world.below(600_000));
    await quiet();
  }

  #act(relay: Relay, kind: number): void {
    if (relay.presumedDead) {
      // It has lost its lock, which a living relay cannot: all that is asked is that what it had is settled by one of them.
      if (kind < 50) this.#deliver(relay);
      else if (kind < 60) this.#kill(relay);
    } else if (kind < 32) this.#offer(relay);
    else if (kind < 36) this.#offerAgain(relay);
    else if (kind < 62) this.#deliver(relay);
    else if (kind < 76) this.#claim(relay);
    else if (kind < 88) this.#operate(relay);
    else if (kind < 92) this.#release(relay);
    else if (kind < 96) this.#kill(relay);
    else if (kind < 98) this.#close(relay);
    else this.#presumeDead(relay);
  }

  #living(): Relay[] {
    return this.#relays.filter(({ alive, closing }) => alive && !closing);
  }

  /** Runs a call of a relay; what comes after its end is of no account. */
  #call(relay: Relay, what: string, call: Promise<void>): void {
    const name = `${what} #${this.#count++}`;
    relay.calls.add(name);
    call
      .catch((error) => {
        if (relay.alive) this.world.violated(`${relay.owner} ${what}: ${error instanceof Error ? error.stack : error}`);
      })
      .finally(() => relay.calls.delete(name));
  }

  /** What a refusal means: a store that failed ends with its relay, which says first which batches it refused. */
  #refusal(relay: Relay, error: unknown): QueueError {
    if (!(error instanceof QueueError)) throw error;
    this.world.note(`${relay.owner} refuses: ${error.kind}`);
    if (error.kind === "failed" && relay.alive) {
      this.#refused.push(...relay.store.refusedBatches);
      this.#end(relay);
    }
    return error;
  }

  // -- Relays come and go

  #open(): void {
    if (this.#opening || this.#relays.filter(({ alive }) => alive).length > 1) return;
    this.#opening = true;
    void this.#opened().finally(() => {
      this.#opening = false;
    });
  }

  async #opened(): Promise<void> {
    const { world } = this;
    const taken = this.#relays.find(({ alive }) => alive)?.generation;
    this.#generation++;
    if (taken !== undefined && taken % 2 === this.#generation % 2) this.#generation++;
    const [generation, owner] = [this.#generation, `g${this.#generation}`];
    const engine = new SimulatedEngine(world, this.#disk, owner);
    if (await this.#disk.opened(engine)) this.#oracle.anythingDue();
    world.note(`${owner} opens`);
    const { clock } = world;
    const options = { owner, generation, clock, log: this.#log, queue: this.#disk.queue, refused: [...this.#refused] };
    try {
      const store = await openMemoryStore({ ...options, wrap: () => engine, limits: { ops: 4, bytes: 300_000 } });
      const relay = { owner, generation, engine, store, hand: new Map(), calls: new Set<string>() };
      this.#relays.push({ ...relay, alive: true, closing: false, presumedDead: false });
    } catch (error) {
      if (!(error instanceof QueueError)) world.violated(`${owner} cannot open: ${error}`);
      await engine.kill();
    }
  }

  #end(relay: Relay): void {
    relay.alive = false;
    this.#oracle.ended(relay.owner);
    void relay.engine.kill();
  }

  #kill(relay: Relay): void {
    this.world.note(`${relay.owner} is killed`);
    this.#end(relay);
  }

  #close(relay: Relay): void {
    this.world.note(`${relay.owner} closes`);
    relay.closing = true;
    this.#call(
      relay,
      "close",
      relay.store.close().then(() => this.#end(relay)),
    );
  }

  /**
   * It lives, and goes on for a while with what it has. That must do no harm but to repeat deliveries. It takes nothing any more, nor had
   * anything on the way: what came after it was taken for dead would be its own again.
   */
  #presumeDead(relay: Relay): void {
    if ([...relay.calls].some((call) => !call.startsWith("deliver"))) return;
    this.world.note(`${relay.owner} is taken for dead`);
    relay.presumedDead = true;
    this.#oracle.ended(relay.owner);
  }

  #release(relay: Relay): void {
    this.#call(relay, "release", this.#releasing(relay));
  }

  async #releasing(relay: Relay): Promise<void> {
    try {
      const owners = await relay.store.owners();
      const using = this.#relays.filter(({ alive, presumedDead }) => alive && !presumedDead).map(({ owner }) => owner);
      // One that is just being opened has its lock, and is not among them yet.
      if (!relay.alive || this.#opening) return;
      for (const owner of owners) {
        if (!using.includes(owner) && owner !== relay.owner && relay.alive) await this.#releaseOne(relay, owner);
      }
    } catch (error) {
      if (relay.alive) this.#refusal(relay, error);
    }
  }

  async #releaseOne({ store }: Relay, owner: string): Promise<void> {
    const refused = this.#refused.filter((each) => each.owner === owner).map(({ batch }) => batch);
    await store.release(owner, refused);
    this.#oracle.released(owner);
  }

  // -- Mail comes

  #offer(relay: Relay): void {
    const { world } = this;
    const addresses = Array.from({ length: 1 + world.below(3) }, () => `r${this.#count++}`);
    const source = world.chance(0.25) ? `maildrop/${this.#count++}` : undefined;
    if (source) this.#sources.push({ source, addresses });
    this.#call(relay, "accept", this.#accept(relay, addresses, source));
  }

  /** A maildrop file that is still there after its message was taken, or was not. */
  #offerAgain(relay: Relay): void {
    const again = this.world.pick(this.#sources);
    if (again) this.#call(relay, "accept", this.#accept(relay, again.addresses, again.source));
  }

  async #accept(relay: Relay, addresses: readonly string[], source: string | undefined): Promise<void> {
    const { world } = this;
    const { store, owner } = relay;
    const id = store.nextId();
    this.#oracle.offered(id, addresses, source);
    world.note(`${owner} is offered ${id} for ${addresses}`);
    try {
      const body = world.chance(0.2) ? await this.#bodyAhead(store) : smallBody;
      if (!relay.alive) return;
      const made = { ...newEnvelope(addresses, size(body)), held: world.chance(0.15) };
      const message = { id, arrival_ms: world.clock.now(), body, envelope: made };
      const { envelope, repeated } = await store.accept(message, source);
      if (!relay.alive) return;
      this.#accepted(relay, envelope, repeated, id);
      this.#holding(id);
    } catch (error) {
      if (!relay.alive) return;
      this.#refusal(relay, error);
      this.#oracle.refused(id);
    }
  }

  /** Of what an operator let go meanwhile nothing is promised. */
  #holding(id: string): void {
    const stored = this.#disk.queue.messages.get(parseId(id) ?? 0);
    if (stored?.state === state.hold) this.#oracle.holding(id);
  }

  #accepted(relay: Relay, envelope: Envelope, repeated: boolean, offered: string): void {
    this.world.note(`${relay.owner} has taken ${envelope.id}${repeated ? " before" : ""}`);
    this.#oracle.accepted(envelope.id, repeated, envelope.held ? undefined : relay.owner, offered);
    if (!repeated && !envelope.held && relay.store.owns(envelope.id)) relay.hand.set(envelope.id, envelope);
  }

  async #bodyAhead(store: EngineStore): Promise<NewMessage["body"]> {
    const body = store.beginBody();
    await body.append(largeBody);
    await body.append(smallBody);
    return body;
  }

  #claim(relay: Relay): void {
    this.#call(relay, "claim", this.#claiming(relay));
  }

  async #claiming(relay: Relay): Promise<void> {
    const now_ms = this.world.clock.now();
    try {
      const claimed = await relay.store.claim(now_ms, 1 + this.world.below(6));
      if (!relay.alive) return;
      for (const envelope of claimed) {
        this.world.note(`${relay.owner} claims ${envelope.id}`);
        this.#oracle.claimed(relay.owner, envelope, now_ms);
        // An operator may have removed it by way of us before we got to see it.
        if (relay.store.owns(envelope.id)) relay.hand.set(envelope.id, envelope);
      }
    } catch (error) {
      if (relay.alive) this.#refusal(relay, error);
    }
  }

  // -- Mail goes

  #deliver(relay: Relay): void {
    const id = this.world.pick([...relay.hand.keys()]);
    const envelope = id === undefined ? undefined : relay.hand.get(id);
    if (!envelope) return;
    relay.hand.delete(envelope.id);
    if (relay.store.owns(envelope.id)) this.#call(relay, "deliver", this.#delivering(relay, envelope));
  }

  async #delivering(relay: Relay, envelope: Envelope): Promise<void> {
    const { world } = this;
    try {
      await this.#readBody(relay, envelope);
    } catch (error) {
      // The store may have failed at something that nobody waited for.
      if (relay.alive) this.#refusal(relay, error);
      return;
    }
    if (!relay.alive || !relay.store.owns(envelope.id)) return;
    const outcomes: RecipientOutcome[] = [];
    const unfinished = world.chance(0.2);
    for (const [index, { address, status }] of envelope.recipients.entries()) {
      if (status === "pending" && unfinished && outcomes.length > 0) continue;
      const outcome = status === "pending" ? this.#attempt(relay, address) : stale(world, status);
      if (outcome) outcomes.push({ index, ...outcome });
    }
    await world.pause(world.below(5));
    if (relay.alive) await this.#settle(relay, envelope, outcomes, unfinished);
  }

  #attempt(relay: Relay, address: string): Omit<RecipientOutcome, "index"> {
    const { world } = this;
    const answer = world.faulty ? world.below(10) : 0;
    world.note(`${relay.owner} delivers ${address}: ${answer}`);
    if (answer < 6) this.#oracle.delivered(relay.owner, address, answer < 5);
    if (answer < 5) return { status: "sent", reason: "250 ok", dsn: "2.0.0" };
    return answer < 8
      ? { status: "pending", reason: "450 later, or no reply", dsn: "4.0.0" }
      : { status: "bounced", reason: "550 no", dsn: "5.0.0" };
  }

  async #readBody(relay: Relay, { id, size_bytes }: Envelope): Promise<void> {
    const reader = relay.store.body(id);
    let length = 0;
    for (let index = 0; ; index++) {
      const chunk = await reader.chunk(index);
      if (!chunk) break;
      length += chunk.length;
    }
    if (!relay.alive || !relay.store.owns(id) || this.#oracle.mayBeGone(id, relay.owner)) return;
    if (length !== size_bytes) this.world.violated(`${id}: ${length} of ${size_bytes} bytes of its body are there`);
  }

  async #settle(
    relay: Relay,
    envelope: Envelope,
    outcomes: readonly RecipientOutcome[],
    unfinished: boolean,
  ): Promise<void> {
    const { world } = this;
    const oracle = this.#oracle;
    const { id } = envelope;
    const after = envelope.recipients.map((each, index) => {
      const outcome = outcomes.find((one) => one.index === index);
      return outcome && each.status === "pending" ? { ...each, status: outcome.status } : each;
    });
    const whole = !unfinished || after.every(({ status }) => status !== "pending");
    const notification = this.#notification(relay, envelope, outcomes);
    for (const [index, { address, status }] of after.entries()) {
      if (status === "pending" || envelope.recipients[index]?.status !== "pending") continue;
      oracle.tried(address, status, notification?.message.envelope.recipients[0]?.address);
    }
    const due_ms = world.clock.now() + world.below(2) * (1 + world.below(60_000));
    const settlement: Settlement = {
      id,
      outcomes,
      nextAttempt_ms: due_ms,
      destination: "",
      notifications: notification ? [notification] : [],
      unfinished,
    };
    const since = oracle.settling(id, whole);
    try {
      const released = oracle.wasReleased(relay.owner);
      const settling = relay.store.settle(settlement);
      // What is noted early and what follows may be under way together.
      const early = !whole && world.chance(0.5);
      if (early) this.#call(relay, "deliver", this.#delivering(relay, { ...envelope, recipients: after }));
      const settled = await settling;
      if (!relay.alive) return;
      world.note(`${relay.owner} settled ${id}: ${settled.applied} ${settled.gone}`);
      if (!settled.applied) {
        if (!oracle.mayBeGone(id, relay.owner))
          world.violated(`${relay.owner} could not settle ${id}, which is its own`);
        return;
      }
      if (released) world.violated(`${relay.owner} settles ${id}, which was taken from it`);
      for (const { address, status } of after) oracle.noted(address, status);
      for (const each of settled.notifications) this.#accepted(relay, each.envelope, each.repeated, each.envelope.id);
      if (early) return;
      if (!whole) relay.hand.set(id, { ...envelope, recipients: after });
      else if (!settled.gone) oracle.deferred(id, due_ms, since);
      const done = after.every(({ status }) => status !== "pending");
      if (settled.gone !== done)
        world.violated(`${id} is ${settled.gone ? "" : "not "}gone, with ${after.map(({ status }) => status)}`);
    } catch (error) {
      if (!relay.alive) return;
      oracle.notSettled(id, relay.owner, whole);
      const { kind } = this.#refusal(relay, error);
      if (kind !== "failed" && !relay.closing) world.violated(`the outcome for ${id} was refused: ${kind}`);
    }
  }

  #notification(
    relay: Relay,
    { id }: Envelope,
    outcomes: readonly RecipientOutcome[],
  ): Settlement["notifications"][number] | undefined {
    const bounced = outcomes.filter(({ status, reason }) => status === "bounced" && reason !== late);
    if (bounced.length === 0) return undefined;
    const address = `n${this.#count++}`;
    const own = relay.store.nextId();
    const source = `bounce/${id}/${bounced.map(({ index }) => index)}/${own}`;
    this.#oracle.offered(own, [address]);
    const envelope = newEnvelope([address], smallBody.length);
    return { source, message: { id: own, arrival_ms: this.world.clock.now(), body: smallBody, envelope } };
  }

  // -- Operators

  #operate(relay: Relay): void {
    const kind = this.world.below(6);
    this.#call(relay, "operate", this.#operating(relay, kind));
  }

  async #operating(relay: Relay, kind: number): Promise<void> {
    const { world } = this;
    const { store, owner } = relay;
    const oracle = this.#oracle;
    const number = world.pick([...this.#disk.queue.messages.keys()]);
    if (number === undefined) return;
    const id = formatId(number);
    const wakes = kind < 3;
    let removed = false;
    world.note(`${owner} operates ${kind} on ${id}`);
    if (wakes) oracle.wakes(owner);
    if (kind === 4) oracle.removing(id);
    try {
      if (kind === 0) await store.flush("all");
      else if (kind === 1) await store.unhold("all");
      else if (kind === 2) await store.requeue([id]);
      else if (kind === 3) await store.hold([id]);
      else if (kind === 4) removed = (await store.remove([id])) > 0;
      else await store.expire([id]);
      if (!relay.alive) return;
      if (kind === 3) this.#holding(id);
      if (removed) oracle.removed(id, owner);
    } catch (error) {
      if (relay.alive) this.#refusal(relay, error);
    } finally {
      if (wakes) oracle.woke(owner);
    }
  }

  // -- The end

  /** Everything works from now on; the living finish, one relay takes over, and nothing may be left. */
  async finish(): Promise<void> {
    const { world } = this;
    world.faulty = false;
    world.note("everything works");
    await this.#wait(60);
    for (const { owner, alive, calls } of this.#relays) {
      if (alive && calls.size > 0) world.violated(`${owner} never answers: ${[...calls]}`);
    }
    for (const relay of this.#relays) if (relay.alive) this.#kill(relay);
    for (let round = 0; round < 150 && !world.violation; round++) {
      const [relay] = this.#living();
      if (!relay) this.#open();
      else if (round % 3 === 0) await this.#takeEverything(relay);
      else this.#claim(relay);
      for (const each of this.#living()) while (each.hand.size > 0) this.#deliver(each);
      await this.#wait(8);
      if (relay && this.#disk.queue.messages.size === 0) break;
    }
    const left = [...this.#disk.queue.messages.values()].map(
      ({ id, state: is, owner }) => `${id} (state ${is} of ${owner})`,
    );
    if (left.length > 0) world.violated(`this is left in the queue: ${left}`);
    this.#oracle.finished();
  }

  async #takeEverything(relay: Relay): Promise<void> {
    this.#release(relay);
    this.#oracle.wakes(relay.owner);
    void relay.store.unhold("all").then(() => relay.store.flush("all"));
    await this.#wait(8);
    this.#oracle.woke(relay.owner);
    this.#claim(relay);
  }

  async #wait(turns: number): Promise<void> {
    for (let turn = 0; turn < turns; turn++) {
      this.world.clock.advance(turn < 40 ? 5 : 10_000);
      await quiet();
    }
  }
}

const late = "an answer that comes too late";

/** An outcome for a recipient that is done already: it must change nothing. */
function stale(world: World, status: RecipientStatus): Omit<RecipientOutcome, "index"> | undefined {
  if (!world.chance(0.3)) return undefined;
  return { status: status === "sent" ? "bounced" : "sent", reason: late, dsn: "5.0.0" };
}

const size = (body: NewMessage["body"]): number => (Buffer.isBuffer(body) ? body.length : body.size_bytes);

export const newEnvelope = (addresses: readonly string[], size_bytes: number): NewEnvelope =>
  plainEnvelope("sender@example.org", addresses, size_bytes, { headerEnd_bytes: 15 });
