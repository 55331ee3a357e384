import type { Clock, Timer } from "../runtime/clock.ts";
import {
  type Engine,
  EngineError,
  type Op,
  type OpKind,
  type OpOf,
  type Result,
  type ResultOf,
  weight,
} from "./engine.ts";
import { QueueError } from "./store.ts";

/**
 * Group commit: whatever arrived while the last batch was being written goes
 * into the next one, one transaction and one sync for all of it. There is no
 * waiting for a batch to fill.
 *
 * States, and what makes each move:
 *   idle    -> writing   submit     a batch is taken from the front of the queue
 *   writing -> idle      committed  every operation in it is answered
 *   writing -> pausing   full, busy what may be refused was; what must not be lost waits
 *   pausing -> writing   the clock
 *   any     -> failed    a sync failed: for good
 *
 * Invariants
 *  1. An operation is answered after the sync that covers it, or refused.
 *  2. Operations are applied in the order of submit(), one batch at a time.
 *  3. What reports finished work (settle, discard, set aside) is never refused for want of room: forgetting it
 *     would repeat deliveries. It is tried again until it succeeds or the store fails.
 *  4. While that waits for room, nothing that needs room is taken.
 *  5. After "failed" nothing is written any more, and `refused` names every batch that may reappear. Nobody is told that
 *     something in it was refused before that is noted, or where it cannot be: what was not refused may reappear.
 */
export class Coordinator {
  readonly #engine: Engine;
  readonly #clock: Clock;
  readonly #limits: BatchLimits;
  readonly #note: ((batch: number) => Promise<boolean>) | undefined;
  #queue: Entry[] = [];
  #batch = 0;
  #writing = false;
  #scheduled = false;
  #pause: Timer | undefined;
  /** What the current pause is for. */
  #pausedBy: "full" | "busy" = "full";
  #pause_ms = firstPause_ms;
  /** How many operations a batch may have; halved while room is short, so that some may fit where all do not. */
  #most: number;
  #closing = false;
  #closed = false;
  #lastTries = triesWhenClosing;
  #idle: (() => void)[] = [];
  #failure: QueueError | undefined;
  #reportFailure: (failure: QueueError) => void = () => {};
  readonly refused: number[] = [];
  /** Resolves when the store has failed. */
  readonly failed: Promise<QueueError>;
  readonly figures = { batches: 0, ops: 0, largest: 0 };

  /** `note` makes it known to successors that a batch is refused; false where it could not. */
  constructor(
    engine: Engine,
    clock: Clock,
    limits: BatchLimits = defaultLimits,
    note?: (batch: number) => Promise<boolean>,
  ) {
    this.#note = note;
    this.#engine = engine;
    this.#clock = clock;
    this.#limits = limits;
    this.#most = limits.ops;
    this.failed = new Promise((resolve) => {
      this.#reportFailure = resolve;
    });
  }

  get failure(): QueueError | undefined {
    return this.#failure;
  }

  /** Resolves once the operation is durable. Throws QueueError "full", "retry" or "failed". */
  submit<Kind extends OpKind>(op: OpOf<Kind>): Promise<ResultOf[Kind]> {
    return new Promise((resolve, reject) => {
      const refusal = this.#refusal(op);
      if (refusal) return reject(refusal);
      this.#queue.push({ op, resolve: resolve as (result: Result) => void, reject, weight: weight(op) });
      this.#schedule();
    });
  }

  /**
   * From now on only what must not be lost is taken; resolves when everything
   * has been answered, and then nothing is taken. If room is still short after a few tries, the rest is refused:
   * a successor will do that work again.
   */
  async drain(): Promise<void> {
    this.#closing = true;
    if (this.#pause) this.#resume();
    while (this.#writing || this.#queue.length > 0) {
      await new Promise<void>((resolve) => this.#idle.push(resolve));
    }
    this.#closed = true;
  }

  /** The engine is found broken by other means than a commit. */
  fail(reason: string): void {
    this.#reportFailure(this.#stop(reason));
    this.#wakeIdle();
  }

  /** Nothing is written or taken any more; what no batch holds is refused. */
  #stop(reason: string): QueueError {
    if (this.#failure) return this.#failure;
    const failure = new QueueError("failed", reason);
    this.#failure = failure;
    this.#pause?.cancel();
    const queue = this.#queue;
    this.#queue = [];
    for (const { reject } of queue) reject(failure);
    return failure;
  }

  #refusal(op: Op): QueueError | undefined {
    if (this.#failure) return this.#failure;
    if (mustNotBeLost(op) && !this.#closed) return undefined;
    if (this.#closing) return new QueueError("retry", "the queue is closing");
    return this.#pause ? this.#refusedBy(this.#pausedBy) : undefined;
  }

  #refusedBy(cause: "full" | "busy"): QueueError {
    return cause === "full"
      ? new QueueError("full", "no room in the queue file system")
      : new QueueError("retry", "the queue file is locked by another process");
  }

  #schedule(): void {
    if (this.#scheduled || this.#writing || this.#pause) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      this.#write();
    });
  }

  #write(): void {
    if (this.#writing || this.#pause || this.#failure || this.#queue.length === 0) return;
    const entries = this.#take();
    this.#writing = true;
    const number = ++this.#batch;
    this.#engine
      .commit(
        number,
        entries.map(({ op }) => op),
      )
      .then(
        (results) => this.#committed(entries, results),
        (error) => this.#notCommitted(number, entries, error),
      );
  }

  #take(): Entry[] {
    let count = 0;
    let bytes = 0;
    for (const entry of this.#queue) {
      if (count > 0 && (count >= this.#most || bytes + entry.weight > this.#limits.bytes)) break;
      count++;
      bytes += entry.weight;
    }
    if (count === this.#queue.length) {
      const all = this.#queue;
      this.#queue = [];
      return all;
    }
    return this.#queue.splice(0, count);
  }

  #committed(entries: readonly Entry[], results: readonly Result[]): void {
    this.#writing = false;
    this.#most = this.#limits.ops;
    this.#pause_ms = firstPause_ms;
    this.figures.batches++;
    this.figures.ops += entries.length;
    this.figures.largest = Math.max(this.figures.largest, entries.length);
    // The next batch goes out before these are answered: the engine works while we do.
    this.#write();
    for (let i = 0; i < entries.length; i++) entries[i]?.resolve(results[i]);
    this.#wakeIdle();
  }

  #notCommitted(number: number, entries: readonly Entry[], error: unknown): void {
    this.#writing = false;
    const kind = error instanceof EngineError ? error.kind : "failed";
    const message = error instanceof Error ? error.message : String(error);
    if (kind === "failed") return this.#refuseBatch(number, entries, message);
    if (kind === "refused") this.#refuseOne(entries, (error as EngineError).index, message);
    else this.#waitFor(kind, entries);
    this.#wakeIdle();
  }

  /** The batch may be in the file after all. */
  #refuseBatch(number: number, entries: readonly Entry[], message: string): void {
    this.refused.push(number);
    const failure = this.#stop(message);
    const end = (noted: boolean): void => {
      this.#writing = false;
      if (noted) for (const { reject } of entries) reject(failure);
      this.#reportFailure(failure);
      this.#wakeIdle();
    };
    if (!this.#note) return end(true);
    this.#writing = true;
    this.#note(number).then(end, () => end(false));
  }

  /** One operation spoils the batch: the others go again without it. */
  #refuseOne(entries: readonly Entry[], index: number, message: string): void {
    const spoiler = entries[index];
    this.#queue = [...entries.filter((entry) => entry !== spoiler), ...this.#queue];
    spoiler?.reject(new Error(message));
    if (spoiler) this.#write();
    else this.fail(message);
  }

  #waitFor(cause: "full" | "busy", entries: readonly Entry[]): void {
    const refusal = this.#refusedBy(cause);
    const givingUp = this.#closing && this.#lastTries-- <= 0;
    const kept: Entry[] = [];
    for (const entry of [...entries, ...this.#queue]) {
      if (mustNotBeLost(entry.op) && !givingUp) kept.push(entry);
      else entry.reject(refusal);
    }
    this.#queue = kept;
    if (kept.length === 0) return;
    this.#most = Math.max(1, Math.floor(Math.min(this.#most, entries.length) / 2));
    // Without what was just refused, the rest may fit: worth one try at once.
    if (entries.some(({ op }) => !mustNotBeLost(op))) {
      this.#write();
      return;
    }
    this.#pausedBy = cause;
    this.#pause = this.#clock.after(this.#pause_ms, () => this.#resume());
    this.#pause_ms = Math.min(this.#pause_ms * 2, longestPause_ms);
  }

  #resume(): void {
    this.#pause?.cancel();
    this.#pause = undefined;
    this.#write();
  }

  #wakeIdle(): void {
    if (this.#idle.length === 0) return;
    const waiting = this.#idle;
    this.#idle = [];
    for (const wake of waiting) wake();
  }
}

export interface BatchLimits {
  readonly ops: number;
  readonly bytes: number;
}

export const defaultLimits: BatchLimits = { ops: 1000, bytes: 4 * 1024 * 1024 };

interface Entry {
  readonly op: Op;
  readonly weight: number;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: Error) => void;
}

const firstPause_ms = 250;
const longestPause_ms = 8000;
const triesWhenClosing = 4;

/** Work that is done and only has to be noted, and what gives us work: waiting is better than an error. */
function mustNotBeLost({ kind }: Op): boolean {
  return kind === "settle" || kind === "claim" || kind === "discard" || kind === "setAside";
}
