import type { BodyReader, Envelope, NewEnvelope, RecipientStatus } from "./message.ts";

/**
 * The queue, whatever keeps it. Every store passes the same conformance suite
 * (test/conformance/queue-store.ts).
 *
 * States, and the call that makes each move:
 *   (nothing) -> active     accept     owner = us; durable when it resolves
 *   active    -> deferred   settle     owner cleared, due later
 *   deferred  -> active     claim      owner = us
 *   active    -> (gone)     settle     no recipient is pending
 *   active    -> deferred   release    the owner is provably gone; due at once
 *   deferred <-> held       hold, unhold   by the operator
 *   any       -> (gone)     remove     by the operator; a settle that comes later does nothing
 *   any       -> corrupt    set aside when a checksum fails; reported, never dropped
 *   (nothing) -> held       accept     of an envelope that is `held`; it is nobody's (its accepter does not own() it, and has nothing to settle)
 *
 * Invariants
 *  1. accept() resolves only after its transaction is synced.
 *  2. settle() by anyone but the owner changes nothing.
 *  3. A recipient only goes from pending to sent or bounced.
 *  4. What accept() refused is never claimed by anybody, not after a crash either.
 *  5. What cannot be read is set aside and reported.
 */
export interface QueueStore {
  /** Whom this store's messages belong to: one generation of one relay. */
  readonly owner: string;

  /** settle() knows `unfinished`: the outcomes of a large mailing are written as they come, so that a crash repeats little of it. */
  readonly keepsUnfinished?: boolean;

  /** A fresh queue id, larger than every one before it; given out at once, so that Received: and log lines can bear it. */
  nextId(): string;

  /**
   * Makes a message durable, owned by this store's owner. With a `source` (a
   * maildrop file's identity, a notification's cause) a second accept of the
   * same source resolves to the first one's envelope with `repeated`, for as long as that message or its trace is kept.
   * Throws QueueError "full" (nothing was stored) or "retry".
   */
  accept(message: NewMessage, source?: string): Promise<Accepted>;

  /**
   * The same for several messages that belong together: all are stored, or none, whatever happens. Resolves to their envelopes;
   * to none where the source was accepted before. `source` stands for all of them.
   */
  acceptAll(messages: readonly NewMessage[], source?: string): Promise<readonly Envelope[]>;

  /** A body too large for one chunk is written ahead, chunk by chunk, then named by accept(). Discarded at start if never accepted. */
  beginBody(): BodyWriter;

  /**
   * Makes up to `limit` messages ours that are due at `now_ms`, oldest due first; messages all of whose pending
   * recipients go to destinations in `excluding` (as noted by settle) stay where they are, and so do those with more
   * recipients than `room` has for one message. Fewer than `limit` are all there are, unless their recipients take up the room.
   */
  claim(now_ms: number, limit: number, excluding?: ReadonlySet<string>, room?: RecipientRoom): Promise<Envelope[]>;

  /**
   * When the next message falls due, those left out that claim() would leave out: by destination, or since they have more than
   * `upTo` recipients. Undefined when none waits.
   */
  nextDue(excluding?: ReadonlySet<string>, upTo?: number): Promise<number | undefined>;

  /** False once a message was settled, or removed by the operator: there is no point in delivering it. Answers at once. */
  owns(id: string): boolean;

  body(id: string): BodyReader;

  /** One transaction: what became of a message's recipients, and the notifications that this causes. */
  settle(settlement: Settlement): Promise<Settled>;

  /**
   * Takes back what a gone owner had. Only when it provably is gone. The number of messages.
   * What it had refused (its `refusedBatches`) is removed first. Our own messages too, at the end of our work.
   */
  release(owner: string, refused?: readonly number[]): Promise<number>;

  /** Owners of messages in work, ourselves included. */
  owners(): Promise<string[]>;

  /** Makes deferred messages due at once: all, those with one of these ids, or those for a destination. The number of messages. */
  flush(which: "all" | { readonly ids: readonly string[] } | { readonly destination: string }): Promise<number>;

  /**
   * The operator's. Each resolves to the number of messages changed. `"all"` means every message; with `within`, only
   * those that are in one of these queues at that moment.
   * A message in work that is held goes on, and is held once what it has in hand is settled; one that is
   * removed is not settled any more; one that is expired says so when it is next claimed.
   * Requeued are deferred and held messages: due at once, for no destination in particular.
   */
  hold(ids: readonly string[] | "all", within?: readonly QueueName[]): Promise<number>;
  unhold(ids: readonly string[] | "all", within?: readonly QueueName[]): Promise<number>;
  requeue(ids: readonly string[] | "all", within?: readonly QueueName[]): Promise<number>;
  expire(ids: readonly string[] | "all", within?: readonly QueueName[]): Promise<number>;
  remove(ids: readonly string[] | "all", within?: readonly QueueName[]): Promise<number>;

  /** A page of the queue in order of ids, beginning after `after`; empty at the end. Never a long read transaction. */
  list(after: string | undefined, limit: number): Promise<QueueEntry[]>;
  counts(): Promise<QueueCounts>;
  /** Bytes of the queue's own files that hold nothing and will be written again: room that the file system does not know of. */
  reusableSpace(): Promise<number>;

  /** After this, nothing is accepted; what was begun is finished. */
  close(): Promise<void>;
}

/** How many recipients there is room for, done ones included: they take up memory, too. */
export interface RecipientRoom {
  /** The most that one message may have. */
  readonly upTo: number;
  /** The most of all that are claimed together, by one message more. */
  readonly most: number;
}

export interface NewMessage {
  readonly envelope: NewEnvelope;
  /** The whole body, if it fits one chunk; else what beginBody() gave, complete. */
  readonly body: Buffer | BodyWriter;
  /** Given by the caller where the id had to be known before (Received:, log lines); see nextId(). */
  readonly id: string;
  readonly arrival_ms: number;
}

export interface BodyWriter {
  /**
   * Chunks of chunkSize_bytes, only the last smaller. Resolves when it may go on (not yet durable). Throws QueueError "full".
   * The buffer is given away: the caller neither changes nor reads it afterwards (it may have gone to another thread).
   */
  append(chunk: Buffer): Promise<void>;
  readonly size_bytes: number;
  /** Forgets what was written. */
  abandon(): void;
}

export interface Accepted {
  readonly envelope: Envelope;
  readonly repeated: boolean;
}

export interface RecipientOutcome {
  /** Index into the envelope's recipients. */
  readonly index: number;
  readonly status: RecipientStatus;
  readonly reason: string;
  readonly dsn: string;
}

export interface Settlement {
  readonly id: string;
  readonly outcomes: readonly RecipientOutcome[];
  /** When what is still pending is tried again. Ignored when nothing is. */
  readonly nextAttempt_ms: number;
  /** The destination that the pending ones wait for, as the scheduler names it: `transport:nexthop`. "" for several. */
  readonly destination: string;
  /** Notifications caused by these outcomes: accepted in the same transaction. */
  readonly notifications: readonly { readonly message: NewMessage; readonly source: string }[];
  readonly warned?: boolean;
  /** More is under way: what is pending stays ours, and only what the outcomes say is noted. */
  readonly unfinished?: boolean;
}

/** A batch whose sync failed: what it stored may reappear, and must be removed before anything is claimed. */
export interface RefusedBatch {
  readonly owner: string;
  readonly batch: number;
}

export interface Settled {
  /** False: we do not own it (any more), and nothing was changed. */
  readonly applied: boolean;
  /** Nothing is pending: the message is gone from the queue. */
  readonly gone: boolean;
  readonly notifications: readonly Accepted[];
}

export type QueueName = "active" | "deferred" | "hold" | "corrupt";

export interface QueueEntry {
  readonly queue: QueueName;
  readonly envelope: Envelope;
  readonly nextAttempt_ms: number;
  /** What it waits for, as settle() had it; "" for several destinations, or before the first attempt. */
  readonly destination: string;
}

export interface QueueCounts {
  readonly active: number;
  readonly deferred: number;
  readonly hold: number;
  readonly corrupt: number;
}

/**
 * full     no room; nothing was stored; later it may work
 * retry    busy or closing; nothing was stored
 * failed   the store is broken (a sync failed): it answers nothing any more and must be opened again
 * corrupt  this message cannot be read; it was set aside
 */
export type QueueErrorKind = "full" | "retry" | "failed" | "corrupt";

export class QueueError extends Error {
  readonly kind: QueueErrorKind;

  constructor(kind: QueueErrorKind, message: string) {
    super(message);
    this.kind = kind;
  }
}
