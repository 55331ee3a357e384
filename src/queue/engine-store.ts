import type { Log } from "../log/log.ts";
import type { Clock, Timer } from "../runtime/clock.ts";
import { AheadBody, chunksUnderWay } from "./ahead-body.ts";
import { Allowance } from "./allowance.ts";
import { BodyCache } from "./body-cache.ts";
import { type BatchLimits, Coordinator } from "./coordinator.ts";
import {
  type Change,
  type Engine,
  EngineError,
  type Insert,
  type InsertResult,
  type OperatorAction,
  type ReadKind,
  type ReadOf,
  type ReadResultOf,
  type Row,
  state,
  type WrittenBody,
} from "./engine.ts";
import { encodeEnvelope } from "./envelope-codec.ts";
import { formatId, IdSequence, parseId } from "./id.ts";
import type { BodyReader, Envelope } from "./message.ts";
import { Operator, operatePage } from "./operator.ts";
import { newEnvelope, settledEnvelope } from "./outcome.ts";
import { ReadAhead } from "./read-ahead.ts";
import { entryOf, envelopeOf } from "./row.ts";
import {
  type Accepted,
  type BodyWriter,
  type NewMessage,
  type QueueCounts,
  type QueueEntry,
  QueueError,
  type QueueName,
  type QueueStore,
  type RecipientRoom,
  type RefusedBatch,
  type Settled,
  type Settlement,
} from "./store.ts";

/**
 * The queue of one owner, over an engine: what envelopes say, who owns what,
 * what is cached. Everything that writes goes through the coordinator.
 *
 * Invariants
 *  1. `#owned` holds every message that this store accepted or claimed and has
 *     not settled: nobody else changes their recipients, so settle() needs no read.
 *     What an operator did meanwhile the engine knows: a settle of what is not ours
 *     any more changes nothing.
 *  2. A message leaves `#owned` when its settle is submitted, before it is durable: it is settled once.
 *  3. The body cache holds bodies of owned messages only, so it empties itself.
 */
export class EngineStore implements QueueStore {
  readonly owner: string;
  readonly keepsUnfinished = true;
  readonly #engine: Engine;
  readonly #coordinator: Coordinator;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #ids: IdSequence;
  readonly #cache: BodyCache;
  readonly #ahead: ReadAhead;
  readonly #operator: Operator;
  readonly #traces_ms: number;
  readonly #owned = new Map<string, Owned>();
  readonly #chunks = new Allowance(chunksUnderWay);
  #sweeper: Timer | undefined;
  #closing: Promise<void> | undefined;

  constructor(engine: Engine, options: EngineStoreOptions) {
    this.#engine = engine;
    this.owner = options.owner;
    this.#clock = options.clock;
    this.#log = options.log;
    this.#coordinator = new Coordinator(engine, options.clock, options.limits, this.#noteOf(options));
    this.#ids = new IdSequence(options.clock, options.generation, options.largestId);
    const cache = new BodyCache(options.cache_bytes ?? defaultCache_bytes);
    this.#cache = cache;
    this.#ahead = new ReadAhead({
      read: (ids) => this.#read<"bodies">({ kind: "bodies", ids, most_bytes: aheadRead_bytes }),
      keep: (id, body) => cache.offer(id, 0, body),
      // The other half is for what is just accepted.
      hasRoom: () => cache.size_bytes < cache.limit_bytes / 2,
    });
    this.#operator = new Operator(this.#coordinator, options.clock, (action, id) => this.#operated(action, id));
    this.#traces_ms = (options.traces_s ?? defaultTraces_s) * 1000;
    void engine.broken?.then(({ message }) => this.#coordinator.fail(message));
    this.#sweepLater();
  }

  #noteOf({ noteRefused, owner }: EngineStoreOptions): ((batch: number) => Promise<boolean>) | undefined {
    return noteRefused && ((batch) => noteRefused([{ owner, batch }]));
  }

  /** Resolves when a sync or a write has failed: the store answers nothing any more and must be opened anew. */
  get failed(): Promise<QueueError> {
    return this.#coordinator.failed;
  }

  get refusedBatches(): readonly RefusedBatch[] {
    return this.#coordinator.refused.map((batch) => ({ owner: this.owner, batch }));
  }

  /** How much was written in how many batches. */
  get figures(): { readonly batches: number; readonly ops: number; readonly largest: number } {
    return this.#coordinator.figures;
  }

  nextId(): string {
    return formatId(this.#ids.next());
  }

  owns(id: string): boolean {
    return this.#owned.has(id);
  }

  async accept(message: NewMessage, source?: string): Promise<Accepted> {
    if (this.#closing) throw new QueueError("retry", "the queue is closing");
    const insert = this.#insert(message, source);
    const { bodyNumber } = this.#remember(insert);
    try {
      const result = await this.#coordinator.submit<"accept">({ kind: "accept", insert });
      return this.#accepted(message, insert, result);
    } catch (error) {
      this.#cache.drop(bodyNumber);
      giveBack(message.body);
      throw error;
    }
  }

  async acceptAll(messages: readonly NewMessage[], source?: string): Promise<readonly Envelope[]> {
    const [first] = messages;
    if (!first) return [];
    if (messages.length === 1) {
      const { envelope, repeated } = await this.accept(first, source);
      return repeated ? [] : [envelope];
    }
    if (this.#closing) throw new QueueError("retry", "the queue is closing");
    const inserts: Insert[] = [];
    try {
      for (const each of messages) inserts.push(this.#insert(each, each === first ? source : undefined));
      for (const each of inserts) this.#remember(each);
      const [insert, ...others] = inserts as [Insert, ...Insert[]];
      const result = await this.#coordinator.submit<"accept">({ kind: "accept", insert, others });
      const accepted = messages.map((message, index) => this.#accepted(message, inserts[index] as Insert, result));
      return accepted.flatMap(({ envelope, repeated }) => (repeated ? [] : [envelope]));
    } catch (error) {
      for (const each of inserts) this.#cache.drop(numberOfBody(each));
      for (const { body } of messages) giveBack(body);
      throw error;
    }
  }

  beginBody(): BodyWriter {
    return new AheadBody(this.#coordinator, this.#cache, this.#ids, this.#chunks);
  }

  async claim(
    now_ms: number,
    limit: number,
    excluding?: ReadonlySet<string>,
    room?: RecipientRoom,
  ): Promise<Envelope[]> {
    const claimed: Envelope[] = [];
    const common = {
      kind: "claim",
      now: now_ms,
      excluding: [...(excluding ?? [])],
      ...bound("upTo", room?.upTo),
    } as const;
    let recipients = 0;
    while (claimed.length < limit && recipients < (room?.most ?? Number.POSITIVE_INFINITY)) {
      if (this.#closing) throw new QueueError("retry", "the queue is closing");
      const page = Math.min(limit - claimed.length, claimPage);
      const op = { ...common, limit: page, ...bound("most", room && room.most - recipients) };
      const { rows, corrupt, more } = await this.#coordinator.submit<"claim">(op);
      for (const id of corrupt) this.#reportCorrupt(id, "its envelope or its row fails its checksum");
      for (const row of rows) {
        const envelope = this.#take(row);
        if (envelope) claimed.push(envelope);
        recipients += envelope?.recipients.length ?? 0;
      }
      if (!more && rows.length + corrupt.length < page) break;
    }
    return claimed;
  }

  async nextDue(excluding?: ReadonlySet<string>, upTo?: number): Promise<number | undefined> {
    const read = { kind: "nextDue", excluding: [...(excluding ?? [])], ...bound("upTo", upTo) } as const;
    for (;;) {
      const { due, more } = await this.#read<"nextDue">(read);
      if (!more) return due;
    }
  }

  body(id: string): BodyReader {
    const number = parseId(id);
    return {
      chunk: (index) => {
        if (number === undefined) return Promise.resolve(undefined);
        const owned = this.#owned.get(id);
        if (owned && index >= owned.chunks) return Promise.resolve(undefined);
        const cached = this.#cache.chunk(owned?.bodyNumber ?? number, index);
        if (cached) return Promise.resolve(cached);
        return owned?.chunks === 1 ? this.#readBody(number) : this.#readChunk(number, index, owned !== undefined);
      },
    };
  }

  async settle(settlement: Settlement): Promise<Settled> {
    if (this.#coordinator.failure) throw this.#coordinator.failure;
    const { id, notifications } = settlement;
    // A notification must not be found incomplete when its cause is gone: its body is durable first.
    for (const { message } of notifications)
      if (!Buffer.isBuffer(message.body)) await (message.body as AheadBody).durable();
    const owned = this.#owned.get(id);
    if (!owned) {
      for (const { message } of notifications) giveBack(message.body);
      return notOurs;
    }
    const inserts = notifications.map(({ message, source }) => this.#insert(message, source));
    const envelope = settledEnvelope(owned.envelope, settlement);
    const gone = envelope.recipients.every(({ status }) => status !== "pending");
    const keep = settlement.unfinished === true && !gone;
    if (keep) this.#owned.set(id, { ...owned, envelope });
    else this.#disown(id, owned);
    for (const insert of inserts) this.#remember(insert);
    const change = this.#changeOf(envelope, owned, settlement, gone, keep);
    const op = { kind: "settle", id: owned.id, change, notifications: inserts } as const;
    const result = await this.#coordinator.submit<"settle">(op).catch((error) => {
      // Refused as impossible, or for want of room while closing: it is in work still.
      if (!this.#owned.has(id)) this.#owned.set(id, owned);
      for (const { message } of notifications)
        if (!Buffer.isBuffer(message.body)) (message.body as AheadBody).returned();
      throw error;
    });
    if (!keep) this.#cache.drop(owned.bodyNumber);
    if (!result) {
      if (keep) this.#forget(id, owned);
      for (const insert of inserts) this.#cache.drop(numberOfBody(insert));
      for (const { message } of notifications) giveBack(message.body);
      return notOurs;
    }
    const accepted = notifications.map(({ message }, index) => {
      const insert = inserts[index] as Insert;
      return this.#accepted(message, insert, result[index] as InsertResult);
    });
    return { applied: true, gone, notifications: accepted };
  }

  async release(owner: string, refused: readonly number[] = []): Promise<number> {
    if (refused.length > 0) await this.forget(refused.map((batch) => ({ owner, batch })));
    let released = 0;
    for (;;) {
      const op = { kind: "release", owner, limit: operatePage } as const;
      const { count, corrupt, more } = await this.#coordinator.submit<"release">(op);
      for (const id of corrupt) this.#reportCorrupt(id, "its row fails its checksum");
      released += count;
      if (!more) break;
    }
    if (owner === this.owner) this.#disownAll();
    return released;
  }

  /** Removes what was refused and may have reappeared, as a predecessor's `refusedBatches` names it. The number of messages. */
  async forget(refused: readonly RefusedBatch[]): Promise<number> {
    let forgotten = 0;
    for (const [owner, batches] of Map.groupBy(refused, (each) => each.owner)) {
      const numbers = batches.map(({ batch }) => batch);
      forgotten += await this.#coordinator.submit<"forget">({ kind: "forget", owner, batches: numbers });
    }
    return forgotten;
  }

  async owners(): Promise<string[]> {
    return [...new Set([this.owner, ...(await this.#read<"owners">({ kind: "owners" }))])];
  }

  flush(which: "all" | { readonly ids: readonly string[] } | { readonly destination: string }): Promise<number> {
    return this.#operator.flush(which);
  }

  hold(ids: readonly string[] | "all", within?: readonly QueueName[]): Promise<number> {
    return this.#operator.operate("hold", ids, within);
  }

  unhold(ids: readonly string[] | "all", within?: readonly QueueName[]): Promise<number> {
    return this.#operator.operate("unhold", ids, within);
  }

  requeue(ids: readonly string[] | "all", within?: readonly QueueName[]): Promise<number> {
    return this.#operator.operate("requeue", ids, within);
  }

  expire(ids: readonly string[] | "all", within?: readonly QueueName[]): Promise<number> {
    return this.#operator.operate("expire", ids, within);
  }

  remove(ids: readonly string[] | "all", within?: readonly QueueName[]): Promise<number> {
    return this.#operator.operate("remove", ids, within);
  }

  async list(after: string | undefined, limit: number): Promise<QueueEntry[]> {
    const rows = await this.#read<"list">({
      kind: "list",
      after: after === undefined ? 0 : (parseId(after) ?? 0),
      limit,
    });
    return rows.map((row) => {
      const { entry, corrupt } = entryOf(row);
      if (corrupt && row.state !== state.corrupt) void this.#setAside(row.id, corrupt);
      return entry;
    });
  }

  async counts(): Promise<QueueCounts> {
    const counts = await this.#read<"counts">({ kind: "counts" });
    return {
      active: counts[state.active] ?? 0,
      deferred: counts[state.deferred] ?? 0,
      hold: counts[state.hold] ?? 0,
      corrupt: counts[state.corrupt] ?? 0,
    };
  }

  reusableSpace(): Promise<number> {
    return this.#read<"reusable">({ kind: "reusable" });
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#sweeper?.cancel();
    await this.#coordinator.drain();
    this.#cache.clear();
    await this.#engine.close();
  }

  #insert({ envelope, body, id, arrival_ms }: NewMessage, source: string | undefined): Insert {
    const number = parseId(id);
    if (number === undefined) throw new Error(`"${id}" is not a queue id`);
    return {
      id: number,
      held: envelope.held ?? false,
      source,
      envelope: encodeEnvelope({ ...envelope, arrival_ms }),
      recipients: envelope.recipients.length,
      body: Buffer.isBuffer(body) ? body : (body as AheadBody).written(),
    };
  }

  /** Keeps a small body for its delivery. One written ahead was offered chunk by chunk. */
  #remember({ id, held, body }: Insert): { bodyNumber: number } {
    const bodyNumber = body instanceof Uint8Array ? id : body.body;
    if (held) this.#cache.drop(bodyNumber);
    else if (body instanceof Uint8Array && body.length > 0) this.#cache.offer(id, 0, body);
    return { bodyNumber };
  }

  #accepted(message: NewMessage, insert: Insert, result: InsertResult): Accepted {
    if (result === "stored") {
      const envelope = newEnvelope(message);
      if (!insert.held) this.#own(envelope, insert.id, insert.body, insert.source !== undefined);
      return { envelope, repeated: false };
    }
    this.#cache.drop(numberOfBody(insert));
    if (result === "incomplete") throw new QueueError("full", "part of the body was refused for want of room");
    giveBack(message.body);
    // One that cannot be read was taken all the same.
    return { envelope: entryOf(result).entry.envelope, repeated: true };
  }

  #own(envelope: Envelope, id: number, body: Buffer | WrittenBody, sourced: boolean): void {
    const chunks = body instanceof Uint8Array ? Math.min(body.length, 1) : body.chunks;
    const bodyNumber = body instanceof Uint8Array ? id : body.body;
    this.#owned.set(envelope.id, { envelope, id, bodyNumber, chunks, sourced });
    if (chunks === 1 && bodyNumber === id && !this.#cache.chunk(id, 0)) this.#ahead.expect(id);
  }

  /** A row that was claimed. One that cannot be understood is set aside. */
  #take(row: Row): Envelope | undefined {
    try {
      const envelope = envelopeOf(row);
      const { id, chunks, sourced } = row;
      this.#owned.set(envelope.id, { envelope, id, bodyNumber: id, chunks, sourced });
      if (chunks === 1) this.#ahead.expect(id);
      return envelope;
    } catch (error) {
      void this.#setAside(row.id, error instanceof Error ? error.message : String(error));
      return undefined;
    }
  }

  #changeOf(envelope: Envelope, { sourced }: Owned, settlement: Settlement, gone: boolean, keep: boolean): Change {
    if (gone) {
      return { kind: "finish", gone_ms: this.#clock.now(), trace: sourced ? encodeEnvelope(envelope) : undefined };
    }
    const warned = settlement.warned ?? false;
    const stored = encodeEnvelope(envelope);
    if (keep) return { kind: "progress", envelope: stored, warned };
    const { nextAttempt_ms, destination } = settlement;
    const recipients = envelope.recipients.length;
    return { kind: "defer", envelope: stored, recipients, due: nextAttempt_ms, destination, warned };
  }

  #forget(id: string, owned: Owned): void {
    this.#disown(id, owned);
    this.#cache.drop(owned.bodyNumber);
  }

  #disown(id: string, { id: number }: Owned): void {
    this.#owned.delete(id);
    this.#ahead.forget(number);
  }

  #disownAll(): void {
    this.#owned.clear();
    this.#ahead.clear();
    this.#cache.clear();
  }

  /** What was changed under our hands: the removed are not ours any more, the expired know it. */
  #operated(action: OperatorAction, id: string): void {
    const owned = this.#owned.get(id);
    if (!owned) return;
    if (action === "remove") this.#forget(id, owned);
    if (action === "expire") this.#owned.set(id, { ...owned, envelope: { ...owned.envelope, expired: true } });
  }

  async #readBody(number: number): Promise<Buffer | undefined> {
    return (await this.#ahead.body(number)) ?? this.#readChunk(number, 0, true);
  }

  /** `expected`: its message says that there is such a part, so the body does not end before it. */
  async #readChunk(id: number, index: number, expected: boolean): Promise<Buffer | undefined> {
    const chunk = await this.#read<"chunk">({ kind: "chunk", id, index });
    if (chunk === "corrupt" || (chunk === undefined && expected)) {
      const reason = `part ${index + 1} of its body is missing or fails its checksum`;
      await this.#setAside(id, reason);
      throw new QueueError("corrupt", `${formatId(id)}: ${reason}`);
    }
    return chunk && Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
  }

  async #setAside(id: number, reason: string): Promise<void> {
    const text = formatId(id);
    const owned = this.#owned.get(text);
    if (owned) this.#forget(text, owned);
    try {
      if (await this.#coordinator.submit<"setAside">({ kind: "setAside", id })) this.#reportCorrupt(id, reason);
    } catch {
      // The store has failed or is closed: whoever reads the message next finds the same.
    }
  }

  #reportCorrupt(id: number, reason: string): void {
    this.#log.warning(`${formatId(id)}: message set aside as corrupt and kept in the queue: ${reason}`);
  }

  /** What cannot be read now may be later: a failed read alone does not end the store. */
  async #read<Kind extends ReadKind>(read: ReadOf<Kind>): Promise<ReadResultOf[Kind]> {
    if (this.#coordinator.failure) throw this.#coordinator.failure;
    try {
      return await this.#engine.read<Kind>(read);
    } catch (error) {
      if (!(error instanceof EngineError)) throw error;
      throw this.#coordinator.failure ?? new QueueError("retry", error.message);
    }
  }

  /** Never soon after the start: a maildrop file that survived a crash must still be recognised. */
  #sweepLater(): void {
    this.#sweeper = this.#clock.after(sweepEvery_ms, () => this.#sweep(), { idle: true });
  }

  async #sweep(): Promise<void> {
    try {
      const before_ms = this.#clock.now() - this.#traces_ms;
      const op = { kind: "sweep", before_ms, limit: operatePage } as const;
      while ((await this.#coordinator.submit<"sweep">(op)) === operatePage);
    } catch {
      // No room, or closing: there is another time.
    }
    if (!this.#closing && !this.#coordinator.failure) this.#sweepLater();
  }
}

export interface EngineStoreOptions {
  readonly owner: string;
  /** Its lowest bit goes into every id: two generations that live at once must differ in it. */
  readonly generation: number;
  readonly clock: Clock;
  readonly log: Log;
  /** Of what the engine holds already. */
  readonly largestId: number;
  readonly limits?: BatchLimits;
  readonly cache_bytes?: number;
  /** How long the trace of a source is kept after its message is gone. */
  readonly traces_s?: number;
  /** Makes known to successors what is refused and may be in the file after all; false where it could not, and then nobody is told that it is refused. */
  readonly noteRefused?: (batches: readonly RefusedBatch[]) => Promise<boolean>;
}

/** A message in work here. */
interface Owned {
  readonly envelope: Envelope;
  readonly id: number;
  readonly bodyNumber: number;
  readonly chunks: number;
  readonly sourced: boolean;
}

const defaultCache_bytes = 32 * 1024 * 1024;
const defaultTraces_s = 86400;
const sweepEvery_ms = 3600 * 1000;
const claimPage = 500;
const aheadRead_bytes = 512 * 1024;

const notOurs: Settled = { applied: false, gone: false, notifications: [] };

/** A body that was not accepted after all is swept now. */
function giveBack(body: NewMessage["body"]): void {
  if (!Buffer.isBuffer(body)) (body as AheadBody).refused();
}

/** JSON, in which operations cross to another thread, has no infinity: what has no bound has no such field. */
function bound<Name extends "upTo" | "most">(name: Name, value = Number.POSITIVE_INFINITY): { [Key in Name]?: number } {
  return (Number.isFinite(value) ? { [name]: value } : {}) as { [Key in Name]?: number };
}

const numberOfBody = ({ id, body }: Insert): number => (body instanceof Uint8Array ? id : body.body);
