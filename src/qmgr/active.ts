import type { RecipientResult } from "../queue/delivery.ts";
import type { BodyReader, Envelope } from "../queue/message.ts";
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
  "qmgr_message_active_limit" | "qmgr_message_recipient_limit" | "qmgr_message_recipient_minimum"
>;

/**
 * The messages in work: at most qmgr_message_active_limit of them, and at most
 * qmgr_message_recipient_limit recipients of messages with many, by one
 * message more.
 */
export class ActiveSet {
  readonly #conf: ActiveConf;
  readonly #messages = new Map<string, ActiveMessage>();
  #recipients = 0;

  constructor(conf: ActiveConf) {
    this.#conf = conf;
  }

  get size(): number {
    return this.#messages.size;
  }

  /** Recipients of messages with many. */
  get recipients(): number {
    return this.#recipients;
  }

  /** How many recipients of messages with many there is room for. */
  get recipientRoom(): number {
    return Math.max(0, this.#conf.qmgr_message_recipient_limit - this.#recipients);
  }

  /** How many messages may be claimed: none before there is room for an eighth of the recipients, or each would be claimed by itself. */
  get room(): number {
    if (this.recipientRoom * 8 < this.#conf.qmgr_message_recipient_limit) return 0;
    return Math.max(0, this.#conf.qmgr_message_active_limit - this.#messages.size);
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
    return this.#weight(recipients) === 0 || this.#recipients < this.#conf.qmgr_message_recipient_limit;
  }

  add(message: ActiveMessage): void {
    this.#messages.set(message.envelope.id, message);
    this.#recipients += this.#weight(message.envelope.recipients.length);
  }

  delete(message: ActiveMessage): void {
    if (!this.#messages.delete(message.envelope.id)) return;
    this.#recipients -= this.#weight(message.envelope.recipients.length);
  }

  values(): Iterable<ActiveMessage> {
    return this.#messages.values();
  }

  #weight(recipients: number): number {
    return recipients > this.#conf.qmgr_message_recipient_minimum ? recipients : 0;
  }
}
