import {
  type DuePosition,
  type Engine,
  EngineError,
  flag,
  type Insert,
  type InsertResult,
  type Op,
  type OpOf,
  type Page,
  type Read,
  type ReadKind,
  type ReadOf,
  type ReadResultOf,
  type Result,
  type Row,
  type Selection,
  state,
} from "./engine.ts";

/**
 * An engine that keeps everything in memory. What survives a "crash" is a
 * MemoryQueue, which several engines (owners, generations) may share, as
 * several processes share a file. A batch is applied at once and whole.
 *
 * It says what an engine means, in the plainest way: the SQLite engine is
 * held against it by the conformance suite.
 */
export class MemoryQueue {
  readonly messages = new Map<number, StoredMessage>();
  /** Chunks by body number; a body of an active message may also be its only chunk, under the message's id. */
  readonly bodies = new Map<number, Buffer[]>();
  /** Bodies written ahead and not yet accepted, with their owner. */
  readonly unfinished = new Map<number, string>();
  readonly traces = new Map<string, Trace>();

  /** The largest id in use; 0 when empty. */
  get largestId(): number {
    let largest = 0;
    for (const id of this.messages.keys()) largest = Math.max(largest, id);
    for (const id of this.bodies.keys()) largest = Math.max(largest, id);
    for (const { id } of this.traces.values()) largest = Math.max(largest, id);
    return largest;
  }
}

export interface StoredMessage {
  id: number;
  state: number;
  flags: number;
  owner: string | undefined;
  batch: number | undefined;
  /** Who accepted it as held, as long as that batch may have to be forgotten. */
  acceptedHeld: { readonly owner: string; readonly batch: number } | undefined;
  due: number;
  destination: string;
  source: string | undefined;
  body: number;
  envelope: Buffer;
  recipients: number;
}

/** What a message that came from a source leaves behind, so that the source is not taken twice. */
interface Trace {
  readonly id: number;
  readonly gone_ms: number;
  readonly envelope: Buffer;
}

export class MemoryEngine implements Engine {
  readonly #queue: MemoryQueue;
  readonly #owner: string;

  constructor(queue: MemoryQueue, owner: string) {
    this.#queue = queue;
    this.#owner = owner;
  }

  async commit(batch: number, ops: readonly Op[]): Promise<readonly Result[]> {
    this.#assertPossible(ops);
    return ops.map((op) => this.#apply(batch, op));
  }

  async read<Kind extends ReadKind>(read: ReadOf<Kind>): Promise<ReadResultOf[Kind]> {
    return this.#read(read) as ReadResultOf[Kind];
  }

  async close(): Promise<void> {}

  /** A batch is whole or nothing: what would fail half way is found before anything is done. */
  #assertPossible(ops: readonly Op[]): void {
    const ids = new Set<number>();
    for (const [index, op] of ops.entries()) {
      const inserts =
        op.kind === "accept" ? [op.insert, ...(op.others ?? [])] : op.kind === "settle" ? op.notifications : [];
      for (const { id, source } of inserts) {
        if (source !== undefined && this.#bySource(source)) continue;
        if (this.#queue.messages.has(id) || ids.has(id)) throw new EngineError("refused", `id ${id} is in use`, index);
        ids.add(id);
      }
    }
  }

  #apply(batch: number, op: Op): Result {
    switch (op.kind) {
      case "accept":
        return this.#accept(op, batch);
      case "settle":
        return this.#settle(op);
      case "chunk":
        return this.#chunk(op);
      case "discard":
        this.#queue.unfinished.delete(op.body);
        this.#queue.bodies.delete(op.body);
        return undefined;
      case "claim":
        return this.#claim(op);
      case "operate":
        return this.#operate(op);
      case "flush":
        return this.#flush(op);
      case "release":
        return this.#release(op);
      case "forget":
        return this.#forget(op);
      case "setAside": {
        const message = this.#queue.messages.get(op.id);
        if (!message || message.state === state.corrupt) return false;
        Object.assign(message, { state: state.corrupt, owner: undefined, batch: undefined });
        return true;
      }
      case "sweep": {
        const old = [...this.#queue.traces].filter(([, { gone_ms }]) => gone_ms < op.before_ms).slice(0, op.limit);
        for (const [source] of old) this.#queue.traces.delete(source);
        return old.length;
      }
      default:
        return op satisfies never;
    }
  }

  #bySource(source: string): StoredMessage | Trace | undefined {
    for (const message of this.#queue.messages.values()) if (message.source === source) return message;
    return this.#queue.traces.get(source);
  }

  #accept({ insert, others = [] }: OpOf<"accept">, batch: number): InsertResult {
    const known = insert.source !== undefined && this.#bySource(insert.source);
    if (!known && others.some((each) => !this.#isComplete(each))) return "incomplete";
    const result = this.#insert(insert, batch);
    if (result === "stored") for (const each of others) this.#insert(each, batch);
    return result;
  }

  #isComplete({ body }: Insert): boolean {
    if (body instanceof Uint8Array) return true;
    return (this.#queue.bodies.get(body.body) ?? []).filter(Boolean).length === body.chunks;
  }

  #insert(insert: Insert, batch: number | undefined): InsertResult {
    const { id, held, source, envelope, recipients, body } = insert;
    const known = source === undefined ? undefined : this.#bySource(source);
    if (known) return "owner" in known ? this.#row(known) : goneRow(known);
    if (body instanceof Uint8Array) {
      if (body.length > 0) this.#queue.bodies.set(id, [body]);
    } else {
      if (!this.#isComplete(insert)) return "incomplete";
      this.#queue.unfinished.delete(body.body);
    }
    const acceptedHeld = held && batch !== undefined ? { owner: this.#owner, batch } : undefined;
    if (acceptedHeld) this.#dropHeldBefore(this.#owner, acceptedHeld.batch);
    this.#queue.messages.set(id, {
      id,
      state: held ? state.hold : state.active,
      flags: 0,
      owner: held ? undefined : this.#owner,
      batch,
      acceptedHeld,
      due: 0,
      destination: "",
      source,
      body: body instanceof Uint8Array ? id : body.body,
      envelope,
      recipients,
    });
    return "stored";
  }

  /** What an owner accepted before this batch is synced. */
  #dropHeldBefore(owner: string, batch: number): void {
    for (const message of this.#queue.messages.values()) {
      const { acceptedHeld } = message;
      if (acceptedHeld?.owner === owner && acceptedHeld.batch < batch) message.acceptedHeld = undefined;
    }
  }

  #settle({ id, change, notifications }: OpOf<"settle">): Result {
    const message = this.#queue.messages.get(id);
    if (message?.owner !== this.#owner) return false;
    if (change.kind === "finish") {
      if (change.trace) message.envelope = change.trace;
      this.#trace(message, change.gone_ms);
      this.#delete(message);
    } else {
      message.envelope = change.envelope;
      if (change.warned) message.flags |= flag.warned;
      if (change.kind === "defer") {
        message.recipients = change.recipients;
        this.#disown(message, change.due, change.destination);
      }
    }
    return notifications.map((each) => this.#insert(each, undefined));
  }

  #disown(message: StoredMessage, due: number, destination: string): void {
    message.state = message.flags & flag.hold ? state.hold : state.deferred;
    message.flags &= ~flag.hold;
    Object.assign(message, { owner: undefined, batch: undefined, due, destination });
  }

  #trace({ id, source, envelope }: StoredMessage, gone_ms: number): void {
    if (source !== undefined) this.#queue.traces.set(source, { id, gone_ms, envelope });
  }

  #delete({ id, body }: StoredMessage): void {
    this.#queue.messages.delete(id);
    this.#queue.bodies.delete(body);
  }

  #chunk({ body, seq, data }: OpOf<"chunk">): undefined {
    const chunks = this.#queue.bodies.get(body) ?? [];
    this.#queue.bodies.set(body, chunks);
    this.#queue.unfinished.set(body, this.#owner);
    chunks[seq] = data;
  }

  #inDueOrder(): StoredMessage[] {
    const deferred = [...this.#queue.messages.values()].filter((each) => each.state === state.deferred);
    return deferred.sort((a, b) => a.due - b.due || a.id - b.id);
  }

  #eligible(excluding: readonly string[], upTo = Number.POSITIVE_INFINITY): StoredMessage[] {
    const excluded = new Set(excluding);
    return this.#inDueOrder().filter((each) => !excluded.has(each.destination) && each.recipients <= upTo);
  }

  #claim({ now, limit, excluding, upTo, most = Number.POSITIVE_INFINITY }: OpOf<"claim">): Result {
    const due = this.#eligible(excluding, upTo).filter((each) => each.due <= now);
    let recipients = 0;
    const claimed = due.slice(0, limit).filter((each) => {
      if (recipients >= most) return false;
      recipients += each.recipients;
      return true;
    });
    const rows = claimed.map((message) => {
      Object.assign(message, { state: state.active, owner: this.#owner, batch: undefined });
      return this.#row(message);
    });
    return { rows, corrupt: [], more: false };
  }

  #operate({ action, selection, within, now }: OpOf<"operate">): Page<number> {
    const ids = this.#selected(selection);
    const changed = ids.filter((id) => {
      const message = this.#queue.messages.get(id);
      if (!message || (within && !within.includes(message.state))) return false;
      return this.#change(message, action, now);
    });
    const paged = "limit" in selection && ids.length === selection.limit;
    return { changed, next: paged ? ids.at(-1) : undefined };
  }

  #selected(selection: Selection): readonly number[] {
    if ("ids" in selection) return [...new Set(selection.ids)];
    const ids = [...this.#queue.messages.keys()].filter((id) => id > selection.after);
    return ids.sort((a, b) => a - b).slice(0, selection.limit);
  }

  #change(message: StoredMessage, action: OpOf<"operate">["action"], now: number): boolean {
    const before = `${message.state} ${message.flags} ${message.due} ${message.destination}`;
    switch (action) {
      case "remove":
        this.#trace(message, now);
        this.#delete(message);
        return true;
      case "hold":
        if (message.state === state.active) message.flags |= flag.hold;
        else if (message.state === state.deferred) message.state = state.hold;
        break;
      case "unhold":
        message.flags &= ~flag.hold;
        if (message.state === state.hold) Object.assign(message, { state: state.deferred, due: 0 });
        break;
      case "requeue":
        if (message.state === state.hold || message.state === state.deferred) {
          Object.assign(message, { state: state.deferred, due: 0, destination: "" });
          return true;
        }
        break;
      case "expire":
        if (message.state !== state.corrupt) message.flags |= flag.expired;
        break;
      default:
        return action satisfies never;
    }
    return before !== `${message.state} ${message.flags} ${message.due} ${message.destination}`;
  }

  #flush({ destination, selection }: OpOf<"flush">): Page<DuePosition> {
    const wanted = "ids" in selection ? new Set(selection.ids) : undefined;
    const found = this.#inDueOrder().filter(
      (each) =>
        each.due > 0 &&
        (destination === undefined || each.destination === destination) &&
        (wanted === undefined || wanted.has(each.id)),
    );
    for (const message of found) message.due = 0;
    return { changed: found.map(({ id }) => id), next: undefined };
  }

  #release({ owner, limit }: OpOf<"release">): Result {
    const owned = [...this.#queue.messages.values()].filter((each) => each.owner === owner);
    for (const message of owned.slice(0, limit)) this.#disown(message, 0, "");
    if (owned.length <= limit) {
      for (const [body, by] of this.#queue.unfinished) {
        if (by !== owner) continue;
        this.#queue.unfinished.delete(body);
        this.#queue.bodies.delete(body);
      }
      this.#dropHeldBefore(owner, Number.POSITIVE_INFINITY);
    }
    return { count: Math.min(owned.length, limit), corrupt: [], more: owned.length > limit };
  }

  #forget({ owner, batches }: OpOf<"forget">): number {
    const refused = [...this.#queue.messages.values()].filter((each) => {
      const by = each.acceptedHeld ?? each;
      return by.owner === owner && by.batch !== undefined && batches.includes(by.batch);
    });
    for (const message of refused) this.#delete(message);
    return refused.length;
  }

  #row({ id, state: is, flags, due, source, body, envelope, destination }: StoredMessage): Row {
    const chunks = this.#queue.bodies.get(body)?.length ?? 0;
    return {
      id,
      state: is,
      flags,
      due,
      sourced: source !== undefined,
      chunks,
      envelope: envelope.toString(),
      destination,
    };
  }

  #chunkOf(id: number, index: number): Uint8Array | undefined {
    const message = this.#queue.messages.get(id);
    return message && this.#queue.bodies.get(message.body)?.[index];
  }

  #read(read: Read): ReadResultOf[ReadKind] {
    switch (read.kind) {
      case "chunk":
        return this.#chunkOf(read.id, read.index);
      case "bodies":
        return read.ids.map((id) => this.#chunkOf(id, 0));
      case "list": {
        const ids = this.#selected(read);
        return ids.flatMap((id) => this.#queue.messages.get(id) ?? []).map((each) => this.#row(each));
      }
      case "counts": {
        const counts = [0, 0, 0, 0];
        for (const message of this.#queue.messages.values()) {
          counts[message.state] = (counts[message.state] ?? 0) + 1;
        }
        return counts;
      }
      case "owners": {
        const owners = [...this.#queue.messages.values()].flatMap(
          ({ owner, acceptedHeld }) => owner ?? acceptedHeld?.owner ?? [],
        );
        return [...new Set([...owners, ...this.#queue.unfinished.values()])];
      }
      case "reusable":
        return 0;
      case "nextDue":
        return { due: this.#eligible(read.excluding, read.upTo)[0]?.due, more: false };
      default:
        return read satisfies never;
    }
  }
}

/** A message that is gone and left a trace: no state that a queued one has. */
function goneRow({ id, envelope }: Trace): Row {
  return { id, state: -1, flags: 0, due: 0, sourced: true, chunks: 0, envelope: envelope.toString(), destination: "" };
}
