/**
 * What has become of the recipients of one delivery: who is left, what was said
 * of the others, and how the destination itself did.
 *
 * A failure that may pass is not written down while there is another host to try
 * (`final` false): it is logged, and the recipient stays. One that will not pass
 * is written down at once, unless soft_bounce says that nothing is returned.
 *
 * Invariants
 *  1. Every recipient gets exactly one result, and one log line with it.
 *  2. Recipients go out sorted by domain and address; those that differ in case
 *     only are one recipient on the wire, and share its fate.
 */
import type { Log } from "../log/log.ts";
import type { DeliveryRequest, DestinationHealth, RecipientResult } from "../queue/delivery.ts";
import type { Recipient } from "../queue/message.ts";
import { withClass } from "../rfc5321/enhanced.ts";
import type { Clock } from "../runtime/clock.ts";
import { formatDelays } from "./delays.ts";
import { type Failure, isTemporary } from "./failure.ts";

export interface LedgerConf {
  readonly soft_bounce: boolean;
  readonly delay_logging_resolution_limit: number;
  /** A server without DSN delivers for good. */
  readonly assumeFinal?: boolean;
}

/** Where something happened, for log and result. */
export interface Place {
  /** "name[address]:port", or "none". */
  readonly relay: string;
  /** The host's name alone, "" for none. */
  readonly host: string;
  /** How often this session has been used, this time included. */
  readonly uses: number;
  /** Monotonic, when the first MAIL FROM was said; undefined before that. */
  readonly connected_ms: number | undefined;
}

export const nowhere: Place = { relay: "none", host: "", uses: 1, connected_ms: undefined };

/** One recipient on the wire. */
export interface Target {
  readonly recipient: Recipient;
  /** Indices into the envelope's recipients: several where the same address stands there more than once. */
  readonly indices: number[];
}

export class Ledger {
  readonly #request: DeliveryRequest;
  readonly #conf: LedgerConf;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #results: RecipientResult[] = [];
  #left: readonly Target[];
  /** Done, and still in #left: taken out of it all together when somebody asks, so that work stays linear. */
  readonly #gone = new Set<Target>();
  #health: DestinationHealth = { kind: "ok" };
  /** A transaction has been gone through to its end: a later failure is not the destination's. */
  #served = false;
  /** The last thing that went wrong, for recipients that nobody else said anything of. */
  #why: Failure | undefined;

  constructor(request: DeliveryRequest, conf: LedgerConf, clock: Clock, log: Log) {
    this.#request = request;
    this.#conf = conf;
    this.#clock = clock;
    this.#log = log;
    this.#left = targets(request);
  }

  /** Recipients still to be delivered to, in the order in which they go out. */
  get left(): readonly Target[] {
    if (this.#gone.size > 0) {
      this.#left = this.#left.filter((target) => !this.#gone.has(target));
      this.#gone.clear();
    }
    return this.#left;
  }

  get why(): Failure | undefined {
    return this.#why;
  }

  get results(): readonly RecipientResult[] {
    return this.#results;
  }

  get health(): DestinationHealth {
    return this.#health;
  }

  /** The destination answers as a working server does. */
  serve(): void {
    this.#served = true;
    this.#health = { kind: "ok" };
  }

  /** Something went wrong before anybody could be told about recipients. */
  note(failure: Failure): void {
    this.#why = failure;
  }

  /** `reply`: the server's, as one line. `withDsn`: the server takes over notifications. */
  deliver(sent: readonly Target[], dsn: string, reply: string, withDsn: boolean, place: Place): void {
    const done_ms = this.#clock.monotonic();
    for (const target of sent) {
      const reports = this.#conf.assumeFinal ? "delivered" : "relayed";
      const extra = withDsn ? {} : ({ reports } as const);
      this.#write(target, "sent", "sent", dsn, reply, reply, place, done_ms, extra);
    }
    this.#drop(sent);
  }

  /** These recipients, for what was said of them or of all. */
  fail(which: readonly Target[], failure: Failure, final: boolean, place: Place): void {
    this.#why = failure;
    const { dsn, reason, reply } = failure;
    const temporary = isTemporary(failure);
    if ((temporary || this.#conf.soft_bounce) && !final) {
      this.#log.info(`${this.#request.envelope.id}: ${reason}`);
      return;
    }
    const softened = !temporary && this.#conf.soft_bounce;
    const status = temporary || softened ? "deferred" : "bounced";
    const code = softened ? withClass(dsn, 4) : dsn;
    const done_ms = this.#clock.monotonic();
    for (const target of which) {
      this.#write(target, status, softened ? "SOFTBOUNCE" : status, code, reason, reply, place, done_ms, {});
    }
    this.#drop(which);
    if (status === "deferred" && failure.about !== "message") this.#blame(failure, code);
  }

  /** Everybody left. */
  failAll(failure: Failure, final: boolean, place: Place): void {
    const connected_ms = place.connected_ms ?? this.#clock.monotonic();
    this.fail(this.left, failure, final, { ...place, connected_ms });
  }

  #blame(failure: Failure, dsn: string): void {
    if (this.#served || this.#health.kind !== "ok") return;
    this.#health = { kind: failure.about === "login" ? "refused" : "failed", dsn, reason: failure.reason };
  }

  #drop(which: readonly Target[]): void {
    if (which === this.#left || (this.#gone.size === 0 && which.length === this.#left.length)) this.#left = [];
    else for (const target of which) this.#gone.add(target);
  }

  #write(
    { recipient, indices }: Target,
    status: RecipientResult["status"],
    logged: string,
    dsn: string,
    reason: string,
    reply: string | undefined,
    place: Place,
    done_ms: number,
    extra: Pick<RecipientResult, "reports">,
  ): void {
    for (const index of indices) {
      this.#results.push({ index, status, dsn, reason, remoteHost: place.host, remoteReply: reply, ...extra });
    }
    this.#log.info(this.#line(recipient, logged, dsn, reason, place, done_ms));
  }

  #line(
    { address, original }: Recipient,
    status: string,
    dsn: string,
    reason: string,
    place: Place,
    done_ms: number,
  ): string {
    const { envelope, active_ms, started_ms } = this.#request;
    const queued_ms = this.#clock.now() - envelope.arrival_ms - (this.#clock.monotonic() - active_ms);
    const stations = { queued_ms, active_ms, started_ms, connected_ms: place.connected_ms, done_ms };
    const delays = formatDelays(stations, this.#conf.delay_logging_resolution_limit);
    const rewritten = original !== "" && original !== address && original.toLowerCase() !== address.toLowerCase();
    const was = rewritten ? `, orig_to=<${original}>` : "";
    const use = place.uses > 1 ? `, conn_use=${place.uses}` : "";
    return `${envelope.id}: to=<${address}>${was}, relay=${place.relay}${use}, ${delays}, dsn=${dsn}, status=${status} (${reason})`;
  }
}

function targets({ envelope, recipients }: DeliveryRequest): Target[] {
  const byAddress = new Map<string, Target>();
  const found: Target[] = [];
  for (const index of recipients) {
    const recipient = envelope.recipients[index];
    if (!recipient) throw new Error(`recipient ${index} of ${envelope.id} does not exist`);
    if (recipients.length > 1) {
      const same = byAddress.get(recipient.address.toLowerCase());
      if (same) {
        same.indices.push(index);
        continue;
      }
    }
    const target = { recipient, indices: [index] };
    if (recipients.length > 1) byAddress.set(recipient.address.toLowerCase(), target);
    found.push(target);
  }
  return found.length > 1 ? found.sort((one, other) => inOrder(one.recipient.address, other.recipient.address)) : found;
}

/** By domain, so that those of one domain stand together; then by the whole address. */
function inOrder(one: string, other: string): number {
  const here = one.slice(one.lastIndexOf("@") + 1).toLowerCase();
  const there = other.slice(other.lastIndexOf("@") + 1).toLowerCase();
  return compare(here, there) || compare(one, other);
}

const compare = (one: string, other: string): number => (one < other ? -1 : one > other ? 1 : 0);
