import type { LogRecord, LogSink } from "../log/log.ts";
import type { Clock, Timer } from "../runtime/clock.ts";

/** What the log says of one message, as it is said. */
export interface FollowedLine {
  readonly time_ms: number;
  readonly service: string;
  readonly id: string;
  /** Without the queue id: "to=<a@b>, relay=…, status=sent (250 …)". */
  readonly text: string;
}

/** Whoever follows more messages than this at once is not looking at them. */
const followerLimit = 20;

/** Lines that wait for somebody who does not read: beyond it, he is given up. */
const waitingLimit = 1000;

/** Whoever has not sent his message by then is not going to. */
const patience_ms = 60_000;

/** Something is said at least this often, so that the other side knows that it is not forgotten. */
const silence_ms = 10_000;

/**
 * Lets somebody look on while one message goes its way: everything that is logged under its queue id, from
 * the moment when its Message-ID is logged until it has left the queue. The log itself is not changed; with
 * nobody following, this costs one comparison a line.
 */
export class Followers {
  readonly #clock: Clock;
  readonly #followers = new Set<Follower>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The sink with a second look at what goes through it. */
  tap(sink: LogSink): LogSink {
    return (record) => {
      sink(record);
      if (this.#followers.size > 0) for (const each of this.#followers) each.record(record);
    };
  }

  /** `messageId` with its angle brackets, as cleanup logs it. Ends when the message has left, or nobody reads any more. Throws where too many follow. */
  async *follow(messageId: string): AsyncGenerator<FollowedLine | { readonly waiting: true }> {
    if (this.#followers.size >= followerLimit) throw new Error("too many messages are followed: try again");
    const follower = new Follower(messageId, this.#clock);
    this.#followers.add(follower);
    try {
      // The one who asks may now send the message.
      yield { waiting: true };
      yield* follower.lines();
    } finally {
      this.#followers.delete(follower);
      follower.end();
    }
  }
}

class Follower {
  readonly #announcement: string;
  readonly #clock: Clock;
  #id: string | undefined;
  #lines: FollowedLine[] = [];
  #over = false;
  #wake: (() => void) | undefined;
  readonly #patience: Timer;

  constructor(messageId: string, clock: Clock) {
    this.#announcement = `: message-id=${messageId}`;
    this.#clock = clock;
    this.#patience = clock.after(patience_ms, () => this.#giveUp(), { idle: true });
  }

  /** Nobody reads any more. */
  end(): void {
    this.#patience.cancel();
  }

  #giveUp(): void {
    if (this.#id !== undefined) return;
    this.#over = true;
    this.#wake?.();
  }

  record({ time_ms, service, text }: LogRecord): void {
    if (this.#over) return;
    if (this.#id === undefined) {
      if (!text.endsWith(this.#announcement)) return;
      this.#id = text.slice(0, -this.#announcement.length);
    } else if (!text.startsWith(`${this.#id}: `)) return;
    const id = this.#id;
    this.#lines.push({ time_ms, service, id, text: text.slice(id.length + 2) });
    this.#over = text === `${id}: removed` || this.#lines.length > waitingLimit;
    this.#wake?.();
  }

  async *lines(): AsyncGenerator<FollowedLine | { readonly waiting: true }> {
    for (;;) {
      const lines = this.#lines;
      this.#lines = [];
      yield* lines;
      if (this.#lines.length > 0) continue;
      if (this.#over) return;
      if (!(await this.#more())) yield { waiting: true };
    }
  }

  /** False: nothing has come for a while. */
  #more(): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = this.#clock.after(silence_ms, () => done(false));
      const done = (came: boolean): void => {
        timer.cancel();
        this.#wake = undefined;
        resolve(came);
      };
      this.#wake = () => done(true);
    });
  }
}
