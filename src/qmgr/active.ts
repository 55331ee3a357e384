import type { RecipientResult } from "../queue/delivery.ts";
import type { BodyReader, Envelope } from "../queue/message.ts";
import type { RecipientRoom } from "../queue/store.ts";
import type { Line } from "./lane.ts";
import type { QmgrConf } from "./params.ts";

/** A message in work: what has been decided about its recipients in this attempt, and what has not. */
export class ActiveMessage {
  readonly envelope: Envelope;
  readonly body: BodyReader;
  /** Monotonic milliseconds when it became active. */
  readonly active_ms: number;
  /** Its work, by transport (lane.ts). */
  readonly lines: Line[] = [];
  /** What came of each recipient that has been tried. */
  readonly results: RecipientResult[] = [];
  /** Which recipients have a result; made when there is more than one. */
  readonly #decided: Uint8Array;
  /** The destination that deferred recipients wait for; "" for several or none in particular. */
  waitsFor: string | undefined;
  /** Pending recipients without a result. */
  undecided: number;
  /** Batches that a transport is working on. */
  inHand = 0;
  /** Recipients that a transport has passed on to another one. */
  passed: Set<number> | undefined;
  /** Routing is not complete. */
  routing = false;
  /** Its settlement has begun: nothing more is recorded. */
  settling = false;
  /** How many of the results the store knows already, and whether it is being told of some. */
  reported = 0;
  reporting = false;

  constructor(envelope: Envelope, body: BodyReader, undecided: number, active_ms: number) {
    this.envelope = envelope;
    this.body = body;
    this.active_ms = active_ms;
    this.undecided = undecided;
    this.#decided = new Uint8Array(envelope.recipients.length);
  }

  /**
   * Keeps a recipient's result: the first one stands. False where it is not a
   * recipient that anything was to be decided about.
   */
  record(result: RecipientResult, destination: string): boolean {
    const { index, status } = result;
    if (this.settling || this.#decided[index] !== 0 || this.envelope.recipients[index]?.status !== "pending")
      return false;
    this.#decided[index] = 1;
    this.undecided--;
    this.results.push(result);
    if (status === "deferred") {
      this.waitsFor = this.waitsFor === undefined || this.waitsFor === destination ? destination : "";
    }
    return true;
  }

  isDecided(index: number): boolean {
    return this.#decided[index] !== 0;
  }
}

type ActiveConf = Pick<
  QmgrConf,
  | "qmgr_message_active_limit"
  | "qmgr_message_recipient_limit"
  | "qmgr_message_recipient_minimum"
  | "default_extra_recipient_limit"
>;

/** What the active set has room for: so many messages, and of those the ones that RecipientRoom admits. */
export interface ActiveRoom extends RecipientRoom {
  readonly messages: number;
}

/**
 * The messages in work: at most qmgr_message_active_limit of them. Their recipients are in memory, all of a message or none, and
 * bounded by the size of the message, so that large mailings do not keep smaller ones waiting:
 *   small   up to qmgr_message_recipient_minimum recipients: not counted
 *   other   together up to qmgr_message_recipient_limit, by one message more
 *   middle  while that is used up, those of up to a quarter of default_extra_recipient_limit have that, by one message more
 */
export class ActiveSet {
  readonly #conf: ActiveConf;
  readonly #messages = new Map<string, ActiveMessage>();
  /** Those of `middle`. */
  readonly #extra = new Set<ActiveMessage>();
  #recipients = 0;
  #extraRecipients = 0;

  constructor(conf: ActiveConf) {
    this.#conf = conf;
  }

  get size(): number {
    return this.#messages.size;
  }

  /** None of a size before there is room for an eighth (or a quarter) of their recipients: each would be claimed by itself. */
  get room(): ActiveRoom {
    const { qmgr_message_active_limit: most, qmgr_message_recipient_limit: limit } = this.#conf;
    const messages = Math.max(0, most - this.#messages.size);
    const room = limit - this.#recipients;
    if (room > 0 && room * 8 >= limit) return { messages, upTo: Number.POSITIVE_INFINITY, most: room };
    const { default_extra_recipient_limit: extra, qmgr_message_recipient_minimum: small } = this.#conf;
    const extraRoom = extra - this.#extraRecipients;
    if (this.#middle > small && extraRoom * 4 >= extra) return { messages, upTo: this.#middle, most: extraRoom };
    return { messages, upTo: small, most: Number.POSITIVE_INFINITY };
  }

  has(id: string): boolean {
    return this.#messages.has(id);
  }

  /** Whether it is on its way back into the store, or out of it. */
  isSettling(id: string): boolean {
    return this.#messages.get(id)?.settling ?? false;
  }

  admits(recipients: number): boolean {
    if (this.#messages.size >= this.#conf.qmgr_message_active_limit) return false;
    return this.#placeOf(recipients) !== undefined;
  }

  /** What admits() has said yes to. */
  add(message: ActiveMessage): void {
    const { id, recipients } = message.envelope;
    this.#messages.set(id, message);
    const place = this.#placeOf(recipients.length);
    if (place === "middle") {
      this.#extra.add(message);
      this.#extraRecipients += recipients.length;
    } else if (place === "other") {
      this.#recipients += recipients.length;
    }
  }

  delete(message: ActiveMessage): void {
    const { id, recipients } = message.envelope;
    if (!this.#messages.delete(id)) return;
    if (this.#extra.delete(message)) this.#extraRecipients -= recipients.length;
    else if (recipients.length > this.#conf.qmgr_message_recipient_minimum) this.#recipients -= recipients.length;
  }

  values(): Iterable<ActiveMessage> {
    return this.#messages.values();
  }

  get #middle(): number {
    return Math.floor(this.#conf.default_extra_recipient_limit / 4);
  }

  #placeOf(recipients: number): "small" | "other" | "middle" | undefined {
    const { qmgr_message_recipient_limit: limit, default_extra_recipient_limit: extra } = this.#conf;
    if (recipients <= this.#conf.qmgr_message_recipient_minimum) return "small";
    if (this.#recipients < limit) return "other";
    return recipients <= this.#middle && this.#extraRecipients < extra ? "middle" : undefined;
  }
}
