import type { World } from "../world.ts";
import type { SimulatedProcess } from "./process.ts";

/** After so long in the queue mail may be returned, whatever servers say. */
export const lifetime_ms = 3600_000;

/** A message that a client offers, once: offering the same again is another offer. */
export interface Offer {
  readonly number: number;
  readonly sender: string;
  readonly text: Buffer;
  readonly begun_ms: number;
  /** Those that the relay said yes to, or, where the client did not wait for an answer, may have said yes to. */
  readonly recipients: Map<string, "asked" | "accepted" | "refused">;
  /** The whole text went out, final dot included. */
  complete: boolean;
  told: "nothing" | "acknowledged" | "refused";
}

interface Delivery {
  /** Which relay brought it; undefined: it cannot be told. */
  readonly by: SimulatedProcess | undefined;
  /** When the reply was given to that relay. */
  told_ms: number | undefined;
}

interface Tracked {
  readonly offer: Offer;
  /** As the client named it: several may stand for one. */
  readonly given: string;
  readonly deliveries: Delivery[];
  /** A server has said that it never takes this, or nonsense. */
  mayBounce: boolean;
  /** A notification of its failure has arrived. */
  notified: boolean;
}

/** What a server has been given. */
export interface Received {
  readonly from: string;
  readonly to: readonly string[];
  readonly text: Buffer;
  readonly by: SimulatedProcess | undefined;
  /** When the last of it was sent: it may have been on the way for long. */
  readonly sent_ms: number;
  /** What the server takes mail for. */
  readonly domain: string;
}

/**
 * Judges a whole relay from outside, by what clients were told and what servers got: the promises of docs/queue.md, and
 *   - what a client was told 250 for comes to its end: delivered, or returned for a reason, with its sender told;
 *   - nothing that was refused, taken back or cut off is delivered;
 *   - nobody gets a message twice unless a relay died or a reply was lost in between;
 *   - what arrives is, behind the relay's own header, what was sent, byte for byte; it comes from its sender, and to the right server.
 */
export class WholeOracle {
  readonly #world: World;
  readonly #offers: Offer[] = [];
  readonly #tracked = new Map<string, Tracked>();
  /** Addresses of senders who refuse to be told. */
  readonly #deaf = new Set<string>();
  #latest_ms = 0;

  constructor(world: World) {
    this.#world = world;
  }

  get acknowledged(): number {
    return this.#offers.filter(({ told }) => told === "acknowledged").length;
  }

  // -- What clients see

  offer(sender: string, text: (number: number) => Buffer): Offer {
    const number = this.#offers.length;
    const begun_ms = this.#world.clock.now();
    const made: Offer = {
      number,
      sender,
      begun_ms,
      text: text(number),
      recipients: new Map(),
      complete: false,
      told: "nothing",
    };
    this.#offers.push(made);
    return made;
  }

  /** `address` is for this offer alone; `becomes`: who gets what is sent to it. */
  asks(offer: Offer, address: string, becomes: readonly string[] = [address]): void {
    offer.recipients.set(address, "asked");
    for (const each of becomes) {
      this.#tracked.set(each, { offer, given: address, deliveries: [], mayBounce: false, notified: false });
    }
  }

  told(offer: Offer, what: "acknowledged" | "refused"): void {
    offer.told = what;
    if (what !== "refused") return;
    for (const [address, tracked] of this.#tracked) {
      if (tracked.offer === offer && tracked.deliveries.length > 0)
        this.#broken(`${address} is delivered, and was refused`);
    }
  }

  // -- What servers see

  /** The server says that it will never take these, or something that nobody can make sense of. */
  refuses(addresses: readonly string[]): void {
    for (const address of addresses) {
      const tracked = this.#of(address);
      if (tracked) tracked.mayBounce = true;
      else this.#deaf.add(address);
    }
  }

  /** The same of all that somebody sends to a domain. */
  refusesSender(sender: string, domain: string): void {
    for (const [address, tracked] of this.#tracked) {
      if (tracked.offer.sender === sender && address.endsWith(`@${domain}`)) tracked.mayBounce = true;
    }
  }

  /** A server takes a message; what it gives back is to be called when its reply has been read. */
  received({ from, to, text, by, sent_ms, domain }: Received): () => void {
    const told: Delivery[] = [];
    for (const address of to) if (!address.endsWith(`@${domain}`)) this.#broken(`${address} is asked for at ${domain}`);
    // Clients send without a sender, too: but to addresses that are known.
    if (from === "" && !to.some((address) => this.#of(address))) this.#notification(to, text);
    else for (const address of to) told.push(...this.#delivered(address, from, text, { by, sent_ms }));
    return () => {
      for (const delivery of told) delivery.told_ms = this.#world.clock.monotonic();
    };
  }

  #delivered(
    address: string,
    from: string,
    text: Buffer,
    { by, sent_ms }: Pick<Received, "by" | "sent_ms">,
  ): Delivery[] {
    const tracked = this.#of(address);
    if (!tracked) {
      this.#broken(`${address} gets a message that nobody sent to it`);
      return [];
    }
    const { offer, given, deliveries } = tracked;
    const last = deliveries.at(-1);
    if (!offer.complete) this.#broken(`${address} gets a message that its client never finished`);
    if (offer.told === "refused") this.#broken(`${address} is delivered, and was refused`);
    if (offer.recipients.get(given) === "refused")
      this.#broken(`${address} is delivered, and was refused as a recipient`);
    if (offer.sender !== from) this.#broken(`${address} gets a message from <${from}> that is <${offer.sender}>'s`);
    if (!isWhole(text, offer.text)) this.#broken(`${address} gets something else than what was sent`);
    const known = last?.told_ms !== undefined && last.told_ms < sent_ms && !last.by?.crashed;
    if (known) this.#broken(`${address} is delivered twice, by ${last.by?.name} and ${by?.name}`);
    const delivery: Delivery = { by, told_ms: undefined };
    deliveries.push(delivery);
    return [delivery];
  }

  #notification(to: readonly string[], text: Buffer): void {
    this.#look();
    const report = text.toString("latin1");
    const failed = [
      ...report.matchAll(/^Final-Recipient: rfc822; *(\S+)\r\n(?:[^\r\n]+\r\n)*?Action: failed\r$/gm),
    ].map(([, address = ""]) => address);
    if (failed.length === 0) this.#broken(`${to} gets a message without a sender that is no notification`);
    for (const address of failed) {
      const tracked = this.#of(address);
      if (!tracked || !to.includes(tracked.offer.sender)) {
        this.#broken(`${to} is told of ${address}, which is somebody else's`);
        continue;
      }
      tracked.notified = true;
      if (!this.#mayBounce(tracked)) this.#broken(`${address} is returned, and nobody refused it`);
    }
  }

  // -- The end

  /** Time is a reason to return mail: the clock may have been ahead at any moment. */
  look(): void {
    this.#look();
  }

  /** When everything has worked for long enough, and the queue is empty. */
  finished(): void {
    this.#look();
    for (const [address, tracked] of this.#tracked) {
      const { offer, given, deliveries, notified } = tracked;
      if (offer.told !== "acknowledged" || offer.recipients.get(given) !== "accepted") continue;
      if (deliveries.length > 0 || notified) continue;
      const unheard = offer.sender === "" || this.#deaf.has(offer.sender) || this.#isOld(offer);
      if (!(this.#mayBounce(tracked) && unheard)) this.#broken(`${address} was acknowledged and is lost`);
    }
  }

  #look(): void {
    this.#latest_ms = Math.max(this.#latest_ms, this.#world.clock.now());
  }

  #mayBounce({ offer, mayBounce }: Tracked): boolean {
    return mayBounce || this.#isOld(offer);
  }

  #isOld({ begun_ms }: Offer): boolean {
    return this.#latest_ms - begun_ms >= lifetime_ms;
  }

  #of(address: string): Tracked | undefined {
    return this.#tracked.get(address);
  }

  #broken(what: string): void {
    this.#world.violated(what);
  }
}

/** The relay puts one Received: field in front, and changes nothing else. */
function isWhole(got: Buffer, sent: Buffer): boolean {
  if (got.length < sent.length || !got.subarray(got.length - sent.length).equals(sent)) return false;
  const added = got.subarray(0, got.length - sent.length).toString("latin1");
  return /^Received: (?:from|by) [^\r\n]*\r\n(?:\t[^\r\n]*\r\n)+$/.test(added);
}
