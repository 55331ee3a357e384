import type { Log } from "../log/log.ts";
import type { Envelope } from "../queue/message.ts";
import { QueueError, type QueueStore } from "../queue/store.ts";
import type { Clock, Timer } from "../runtime/clock.ts";
import type { ActiveRoom } from "./active.ts";
import { errorText } from "./options.ts";

interface DueWatchOptions {
  readonly store: QueueStore;
  readonly clock: Clock;
  readonly log: Log;
  readonly queueRunDelay_ms: number;
  /** No message has to wait longer than this. */
  readonly longestWait_ms: number;
  /** How many messages may be claimed at most at once. */
  readonly page: number;
  readonly room: () => ActiveRoom;
  /** Destinations whose mail is to be left where it is. */
  readonly excluded: ReadonlySet<string>;
  /** False: there was no room for it after all, and it goes back to the store, due at once. */
  readonly take: (envelope: Envelope) => boolean;
  /** A look has ended. `flushed`: all that was due had been taken, so a flush is over. */
  readonly looked: (complete: boolean) => void;
  readonly broken: (error: unknown) => void;
}

/** At most this often, so that a million due times are not a million wake-ups. */
const leastPause_ms = 1000;
/** A wall clock that is set back by less is of no account. */
const leastJump_ms = 60_000;
/** How long until the next look when all that is due is for excluded destinations, or the store could not be read. */
const blindPause_ms = 30_000;

/**
 * Looks into the store for messages that are due: when told to, when the next
 * one falls due, when there is room again, and at least every queue_run_delay,
 * since wall clocks jump. One look at a time.
 *
 * Due times are the wall clock's. When that goes back, all that waits would wait longer by as much: so it is
 * tried at once. A jump while nothing ran is known by messages that are due later than any can be.
 */
export class DueWatch {
  readonly #options: DueWatchOptions;
  #running = false;
  #looking = false;
  #again = false;
  #timer: Timer | undefined;
  #timerAt_ms = 0;
  /** The earliest due time that was told during a look. */
  #told_ms = Number.POSITIVE_INFINITY;
  /** There may be more that is due than there was room for. */
  #backlog = false;
  /** There may be some that is due, with more recipients than this. */
  #leftAbove = Number.POSITIVE_INFINITY;
  /** How far the wall clock was ahead of the one that never goes back, at the last look. */
  #ahead_ms = Number.NEGATIVE_INFINITY;

  constructor(options: DueWatchOptions) {
    this.#options = options;
  }

  start(): void {
    this.#running = true;
    this.look();
  }

  stop(): void {
    this.#running = false;
    this.#disarm();
  }

  get looking(): boolean {
    return this.#looking;
  }

  /** Something with so many recipients has been left in the store for want of room. */
  leftBehind(recipients: number): void {
    const { messages, upTo } = this.#options.room();
    if (messages > 0 && upTo < recipients) this.#leftAbove = Math.min(this.#leftAbove, upTo);
    else this.#backlog = true;
  }

  /** A message has gone from the active set. */
  roomAgain(): void {
    if (this.#looking) return;
    const { messages, upTo } = this.#options.room();
    if ((this.#backlog || upTo > this.#leftAbove) && this.#pageOf(messages) > 0) this.look();
  }

  /** Something falls due then. */
  dueAt(time_ms: number): void {
    if (this.#looking) this.#told_ms = Math.min(this.#told_ms, time_ms);
    else this.#arm(time_ms);
  }

  look(): void {
    if (!this.#running) return;
    if (this.#looking) {
      this.#again = true;
      return;
    }
    this.#looking = true;
    this.#told_ms = Number.POSITIVE_INFINITY;
    this.#disarm();
    void this.#claim().then(
      (due_ms) => {
        this.#looked(due_ms);
        // There may have come to be room at the very end.
        this.roomAgain();
      },
      (error) => this.#failed(error),
    );
  }

  /** Half a page of room at least: claiming one by one would cost a transaction each. */
  #pageOf(messages: number): number {
    const room = Math.min(messages, this.#options.page);
    return room >= this.#options.page / 2 ? room : 0;
  }

  /** Resolves to when there is something to do again. */
  async #claim(): Promise<number> {
    const { store, clock, excluded, take, room, longestWait_ms } = this.#options;
    await this.#mindTheClock();
    for (;;) {
      const { messages, upTo, most } = room();
      const count = this.#pageOf(messages);
      this.#backlog = count === 0;
      this.#leftAbove = upTo;
      if (count === 0 || !this.#running) return Number.POSITIVE_INFINITY;
      const now_ms = clock.now();
      const claimed = await store.claim(now_ms, count, excluded, { upTo, most });
      let all = true;
      for (const envelope of claimed) all = take(envelope) && all;
      if (!all) {
        this.#backlog = true;
        return Number.POSITIVE_INFINITY;
      }
      if (claimed.length < count && recipientsOf(claimed) < most) {
        const due_ms = (await store.nextDue(excluded, upTo)) ?? Number.POSITIVE_INFINITY;
        if (due_ms === Number.POSITIVE_INFINITY || due_ms <= now_ms + longestWait_ms + leastJump_ms) {
          return due_ms <= now_ms ? now_ms + blindPause_ms : due_ms;
        }
        await this.#tryAll(
          `mail is due ${Math.round((due_ms - now_ms) / 1000)} s from now, as if the clock had gone back`,
        );
      }
    }
  }

  async #mindTheClock(): Promise<void> {
    const { clock } = this.#options;
    const ahead_ms = clock.now() - clock.monotonic();
    const back_ms = this.#ahead_ms - ahead_ms;
    if (back_ms >= leastJump_ms) await this.#tryAll(`the clock went back by ${Math.round(back_ms / 1000)} s`);
    this.#ahead_ms = ahead_ms;
  }

  async #tryAll(why: string): Promise<void> {
    this.#options.log.warning(`${why}: all deferred mail is tried now`);
    await this.#options.store.flush("all");
  }

  #failed(error: unknown): void {
    this.#options.log.warning(`cannot read the queue: ${errorText(error)}`);
    if (error instanceof QueueError && error.kind === "failed") this.#options.broken(error);
    this.#looked(this.#options.clock.now() + blindPause_ms);
  }

  #looked(due_ms: number): void {
    this.#looking = false;
    this.#options.looked(!this.#backlog && this.#leftAbove === Number.POSITIVE_INFINITY && !this.#again);
    this.#arm(Math.min(due_ms, this.#told_ms));
    if (!this.#again) return;
    this.#again = false;
    this.look();
  }

  #arm(due_ms: number): void {
    if (!this.#running || this.#looking) return;
    const { clock, queueRunDelay_ms } = this.#options;
    const wait_ms = Math.min(Math.max(due_ms - clock.now(), leastPause_ms), queueRunDelay_ms);
    const at_ms = clock.monotonic() + wait_ms;
    if (this.#timer && this.#timerAt_ms <= at_ms) return;
    this.#disarm();
    this.#timerAt_ms = at_ms;
    this.#timer = clock.after(wait_ms, () => {
      this.#timer = undefined;
      this.look();
    });
  }

  #disarm(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }
}

const recipientsOf = (envelopes: readonly Envelope[]): number =>
  envelopes.reduce((sum, { recipients }) => sum + recipients.length, 0);
