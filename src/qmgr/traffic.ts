import type { RecipientResult } from "../queue/delivery.ts";

/** A number of events: since the beginning, and in the last minute. */
export interface Count {
  readonly total: number;
  readonly lastMinute: number;
}

/** How much came and went. Messages come in; recipients are sent, put off and given up. */
export interface TrafficFigures {
  /** Since when is counted: milliseconds since the epoch. */
  readonly since_ms: number;
  readonly accepted: Count;
  readonly sent: Count;
  readonly deferred: Count;
  readonly bounced: Count;
  /** Destinations that something was delivered to, or tried, lately: at most maxShown, the latest first. */
  readonly destinations: readonly DestinationTraffic[];
}

export interface DestinationTraffic {
  readonly key: string;
  readonly sent: number;
  readonly deferred: number;
  readonly bounced: number;
  /** How long a delivery takes, about: the last ones count most. */
  readonly latency_ms: number;
  readonly lastError: { readonly dsn: string; readonly reason: string; readonly seen_ms: number } | undefined;
  readonly seen_ms: number;
}

const bucket_ms = 1000;
const buckets = 60;
const maxRemembered = 1000;
const maxShown = 100;
const reason_chars = 500;

/** What a meter, of one kind of event, has counted second by second. */
class Meter {
  readonly #counts = new Float64Array(buckets);
  #at = 0;
  total = 0;

  add(count: number, now_ms: number): void {
    this.#advance(now_ms);
    this.total += count;
    const bucket = this.#at % buckets;
    this.#counts[bucket] = (this.#counts[bucket] ?? 0) + count;
  }

  figures(now_ms: number): Count {
    this.#advance(now_ms);
    return { total: this.total, lastMinute: this.#counts.reduce((sum, each) => sum + each, 0) };
  }

  #advance(now_ms: number): void {
    const to = Math.floor(now_ms / bucket_ms);
    for (let at = Math.max(this.#at + 1, to - buckets + 1); at <= to; at++) this.#counts[at % buckets] = 0;
    this.#at = Math.max(this.#at, to);
  }
}

/** Counts for status and top. Bounded: destinations beyond maxRemembered push out those that were not seen for the longest. */
export class Traffic {
  readonly #since_ms: number;
  readonly #accepted = new Meter();
  readonly #results = { sent: new Meter(), deferred: new Meter(), bounced: new Meter() };
  /** The one that was not seen for the longest first. */
  readonly #destinations = new Map<string, Seen>();

  constructor(since_ms: number) {
    this.#since_ms = since_ms;
  }

  accepted(monotonic_ms: number): void {
    this.#accepted.add(1, monotonic_ms);
  }

  /** A recipient's result, whoever has decided it. */
  result(status: RecipientResult["status"], monotonic_ms: number): void {
    this.#results[status].add(1, monotonic_ms);
  }

  /** A batch has ended; what was said of its recipients. */
  delivered(key: string, results: readonly RecipientResult[], took_ms: number, now_ms: number): void {
    const record = this.#destinations.get(key) ?? newRecord();
    this.#destinations.delete(key);
    this.#destinations.set(key, record);
    if (this.#destinations.size > maxRemembered) {
      for (const oldest of this.#destinations.keys()) {
        this.#destinations.delete(oldest);
        break;
      }
    }
    record.latency_ms = record.seen_ms === 0 ? took_ms : record.latency_ms * 0.8 + took_ms * 0.2;
    record.seen_ms = now_ms;
    for (const { status, dsn, reason } of results) {
      record[status]++;
      if (status !== "sent") record.lastError = { dsn, reason: reason.slice(0, reason_chars), seen_ms: now_ms };
    }
  }

  figures(monotonic_ms: number): TrafficFigures {
    const { sent, deferred, bounced } = this.#results;
    const destinations = [...this.#destinations].slice(-maxShown).reverse();
    return {
      since_ms: this.#since_ms,
      accepted: this.#accepted.figures(monotonic_ms),
      sent: sent.figures(monotonic_ms),
      deferred: deferred.figures(monotonic_ms),
      bounced: bounced.figures(monotonic_ms),
      destinations: destinations.map(([key, record]) => ({ key, ...record })),
    };
  }
}

interface Seen {
  sent: number;
  deferred: number;
  bounced: number;
  latency_ms: number;
  lastError: DestinationTraffic["lastError"];
  seen_ms: number;
}

const newRecord = (): Seen => ({
  sent: 0,
  deferred: 0,
  bounced: 0,
  latency_ms: 0,
  lastError: undefined,
  seen_ms: 0,
});
