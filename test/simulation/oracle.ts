import type { Envelope, RecipientStatus } from "../../src/queue/message.ts";
import type { World } from "./world.ts";

/**
 * What must be true of a queue whatever happens, seen from outside: from what clients were told and what servers
 * got. The promises are those of docs/queue.md:
 *
 *  1. What was acknowledged is durable.
 *  2. An acknowledged recipient ends as delivered, returned with a notification, or removed by the operator.
 *  3. Nothing is delivered twice unless its relay ended, or a reply was lost, in between.
 *  4. What was refused is never delivered.
 *  5. A message is in the hands of one living relay; held mail and mail that is not due is in nobody's.
 */
export class Oracle {
  readonly #world: World;
  readonly #recipients = new Map<string, Tracked>();
  readonly #messages = new Map<string, readonly string[]>();
  readonly #released = new Set<string>();
  readonly #holders = new Map<string, string>();
  readonly #notBefore = new Map<string, number>();
  readonly #held = new Set<string>();
  /** Owners that have ended, or were taken for dead. */
  readonly #gone = new Set<string>();
  /** Moves whenever something begins or ends that makes messages due. */
  #wakes = 0;
  /** What is under way of that, by owner. */
  readonly #waking = new Map<string, number>();

  constructor(world: World) {
    this.#world = world;
  }

  // -- What clients were told

  /** A client offers a message. Where it comes from a source, the same recipients may be offered again. */
  offered(id: string, addresses: readonly string[], source?: string): void {
    this.#messages.set(id, addresses);
    for (const address of addresses) {
      if (this.#recipients.has(address)) continue;
      this.#recipients.set(address, { address, source, told: "nothing", deliveries: 0 });
    }
  }

  accepted(id: string, repeated: boolean, owner: string | undefined, offered: string): void {
    for (const each of this.#each(offered)) {
      if ((each.id ?? id) !== id) this.#broken(`${each.source ?? offered} was taken as ${each.id}, and as ${id}`);
      each.id = id;
      each.told = "acknowledged";
    }
    if (!repeated && owner !== undefined) this.#holders.set(id, owner);
  }

  /** A source that was refused comes again: that it is refused binds nobody. */
  refused(id: string): void {
    for (const each of this.#each(id)) if (each.source === undefined) each.told = "refused";
  }

  // -- What relays do

  ended(owner: string): void {
    this.#gone.add(owner);
    this.#waking.delete(owner);
    this.anythingDue();
  }

  /** Something that nobody was told of may have made messages due. */
  anythingDue(): void {
    this.#wakes++;
    this.#notBefore.clear();
    this.#held.clear();
  }

  /** All that it had was taken from an owner. */
  released(owner: string): void {
    this.#released.add(owner);
  }

  wasReleased(owner: string): boolean {
    return this.#released.has(owner);
  }

  claimed(owner: string, envelope: Envelope, now_ms: number): void {
    const { id } = envelope;
    const holder = this.#holders.get(id);
    if (holder !== undefined && !this.#gone.has(holder)) this.#broken(`${owner} claims ${id}, which ${holder} has`);
    if (now_ms < (this.#notBefore.get(id) ?? 0)) this.#broken(`${owner} claims ${id} before its time`);
    this.#notBefore.delete(id);
    if (this.#held.has(id)) this.#broken(`${owner} claims ${id}, which is held`);
    if (!this.#messages.has(id)) this.#broken(`${owner} claims ${id}, which nobody offered`);
    for (const { address, status } of envelope.recipients) {
      const { noted, told } = this.#of(address);
      if (noted && status !== noted) this.#broken(`${address} was noted as ${noted} and is ${status}`);
      if (told === "refused") this.#broken(`${owner} claims ${id}, which was refused`);
    }
    this.#holders.set(id, owner);
  }

  /** A server has taken a message for this recipient. `replied`: and the relay knows. */
  delivered(owner: string, address: string, replied: boolean): void {
    const each = this.#of(address);
    const { last, noted, told, removed } = each;
    if (told === "refused") this.#broken(`${address} is delivered, and was refused`);
    // Who was taken for dead cannot know.
    const excused = this.#gone.has(owner);
    if (noted && !excused) this.#broken(`${address} is delivered, and was noted as ${noted}`);
    if (removed === owner) this.#broken(`${address} is delivered by ${owner}, which removed it`);
    if (last?.replied && !excused && !this.#gone.has(last.owner))
      this.#broken(`${address} is delivered twice by ${last.owner} and ${owner}`);
    each.last = { owner, replied };
    each.deliveries++;
  }

  /** The relay asks the queue to note an outcome; whether that came to pass is not known until noted(). */
  settling(id: string, whole: boolean): number {
    if (whole) this.#holders.delete(id);
    return this.#wakes;
  }

  /** `owed`: who sent it is told of a bounce. */
  tried(address: string, status: "sent" | "bounced", notification: string | undefined, owed = true): void {
    const each = this.#of(address);
    if (!owed && status === "bounced") each.triedDiscarding = true;
    if (status === "sent" && each.deliveries === 0) this.#broken(`${address} is settled as sent, and no server has it`);
    if (status === "sent") each.triedSent = true;
    else each.notifications = [...(each.notifications ?? []), ...(notification ? [notification] : [])];
  }

  noted(address: string, status: RecipientStatus): void {
    const each = this.#of(address);
    if (status !== "pending") each.noted ??= status;
  }

  deferred(id: string, due_ms: number, since: number): void {
    // Claimed again in the same batch, as its time had come: we hear of that first.
    const claimed = this.#holders.has(id);
    if (!claimed && this.#waking.size === 0 && this.#wakes === since) this.#notBefore.set(id, due_ms);
  }

  notSettled(id: string, owner: string, whole: boolean): void {
    if (whole && !this.#gone.has(owner)) this.#holders.set(id, owner);
  }

  // -- What operators do

  wakes(owner: string): void {
    this.#waking.set(owner, (this.#waking.get(owner) ?? 0) + 1);
    this.anythingDue();
  }

  woke(owner: string): void {
    const left = (this.#waking.get(owner) ?? 1) - 1;
    if (left > 0) this.#waking.set(owner, left);
    else this.#waking.delete(owner);
    this.#wakes++;
  }

  holding(id: string): void {
    if (this.#waking.size === 0) this.#held.add(id);
  }

  removing(id: string): void {
    for (const each of this.#each(id)) each.removalAsked = true;
  }

  removed(id: string, by: string): void {
    for (const each of this.#each(id)) each.removed = by;
    this.#holders.delete(id);
  }

  mayBeGone(id: string, owner: string): boolean {
    return this.#gone.has(owner) || this.#each(id).some((each) => each.removalAsked);
  }

  // -- The end

  /** When everything has worked again for long enough, and the queue is empty. */
  finished(): void {
    for (const { address, told, noted, deliveries } of this.#recipients.values()) {
      if (told !== "acknowledged") continue;
      if (noted === "sent" && deliveries === 0) this.#broken(`${address} counts as sent, and no server has it`);
      if (!this.#hasEnded(address)) this.#broken(`${address} was acknowledged and is lost`);
    }
  }

  /** Noted, or what it was to be noted as came true, though the relay did not live to hear of it. */
  #hasEnded(address: string): boolean {
    const { noted, removalAsked, triedSent, triedDiscarding, notifications = [], deliveries } = this.#of(address);
    if (noted || removalAsked || triedDiscarding || (triedSent && deliveries > 0)) return true;
    return notifications.some((notification) => this.#hasEnded(notification) || this.#of(notification).deliveries > 0);
  }

  #each(id: string): readonly Tracked[] {
    return (this.#messages.get(id) ?? []).map((address) => this.#of(address));
  }

  #of(address: string | undefined): Tracked {
    return (
      this.#recipients.get(address ?? "") ?? {
        address: address ?? "",
        source: undefined,
        told: "nothing",
        deliveries: 0,
      }
    );
  }

  #broken(what: string): void {
    this.#world.violated(what);
  }
}

interface Tracked {
  readonly address: string;
  readonly source: string | undefined;
  /** As which message it was taken. */
  id?: string;
  told: "nothing" | "acknowledged" | "refused";
  deliveries: number;
  last?: { readonly owner: string; readonly replied: boolean };
  noted?: RecipientStatus;
  triedSent?: boolean;
  triedDiscarding?: boolean;
  /** Recipients of the notifications that were to tell of it. */
  notifications?: readonly string[];
  removalAsked?: boolean;
  /** By which relay. */
  removed?: string;
}
