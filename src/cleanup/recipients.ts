import { chain } from "../routing/answer.ts";
import type { Router } from "../routing/resolve.ts";
import { ExpansionError } from "../routing/virtual-aliases.ts";
import type { Answer } from "../table/maps.ts";

/** One address that a recipient has become. */
export interface Expanded {
  readonly address: string;
  /** The sender that mail to it gets in place of its own: it was reached through a list with an owner- alias. */
  readonly owner: string | undefined;
  /** A local alias gave it. */
  readonly aliased: boolean;
}

/** Aliases behind aliases. */
const deepest = 100;

/** Addresses that one recipient may become in all. */
const most = 50_000;

/**
 * What a canonical recipient becomes: virtual aliases first, then, for what is for the
 * local transport, the local aliases, whose results begin anew with the canonical maps.
 * Every address comes once.
 *
 * In Postfix local aliases are expanded when mail is delivered; here nothing
 * is delivered locally, so they are expanded on the way into the queue, where each
 * result gets a state of its own. A local address without a usable alias stays as
 * it is, and Router.route then says why it goes nowhere.
 *
 * `virtual`: false leaves the virtual aliases out. Throws (or rejects with) TableError or ExpansionError: the
 * message cannot be taken now.
 */
export function expandRecipient(router: Router, address: string, virtual = true): Answer<readonly Expanded[]> {
  if (virtual && !router.virtualAliases.empty) return new Expansion(router, virtual).of(address);
  const canonical = router.canonical(address);
  if (canonical instanceof Promise) return new Expansion(router, virtual).of(address);
  if (canonical.localName === undefined || router.aliases.empty) {
    return [{ address: canonical.address, owner: undefined, aliased: false }];
  }
  return new Expansion(router, virtual).of(address);
}

/** What an address as it is written becomes: completed, and mapped before it is expanded. Fails as expandRecipient() does. */
export function canonicalRecipients(router: Router, written: string): Answer<readonly Expanded[]> {
  const completed = router.rewriter.rewrite(written);
  return chain(router.canonicalMaps.envelope("envelope_recipient", completed), (each) => expandRecipient(router, each));
}

class Expansion {
  readonly #router: Router;
  readonly #virtual: boolean;
  readonly #found = new Map<string, Expanded>();
  readonly #begun = new Set<string>();

  constructor(router: Router, virtual: boolean) {
    this.#router = router;
    this.#virtual = virtual;
  }

  async of(address: string): Promise<readonly Expanded[]> {
    await this.#follow(address, undefined, []);
    return [...this.#found.values()];
  }

  async #follow(address: string, owner: string | undefined, via: readonly string[]): Promise<void> {
    const { virtualAliases } = this.#router;
    const addresses = virtualAliases.empty || !this.#virtual ? [address] : await virtualAliases.expand(address);
    for (const each of addresses) await this.#localAliases(each, owner, via);
  }

  async #localAliases(given: string, owner: string | undefined, via: readonly string[]): Promise<void> {
    const { address, localName } = await this.#router.canonical(given);
    const name = localName?.toLowerCase();
    if (name === undefined || via.includes(name) || via.length >= deepest)
      return this.#keep(address, owner, via.length > 0);
    const step = `${name}\n${owner ?? ""}`;
    if (this.#begun.has(step)) return;
    this.#begun.add(step);
    const entry = await this.#router.aliases.find(name);
    if (!entry || entry.refused || entry.addresses.length === 0) this.#keep(address, owner, via.length > 0);
    if (!entry) return;
    const next = [...via, name, entry.name];
    const { canonicalMaps } = this.#router;
    const nextOwner = entry.owner === undefined ? owner : await canonicalMaps.envelope("envelope_sender", entry.owner);
    for (const each of entry.addresses) {
      await this.#follow(await canonicalMaps.envelope("envelope_recipient", each), nextOwner, next);
    }
  }

  #keep(address: string, owner: string | undefined, aliased: boolean): void {
    const once = `${address.toLowerCase()}\n${owner ?? ""}`;
    if (this.#found.has(once)) return;
    if (this.#found.size >= most) throw new ExpansionError(`alias expansion: more than ${most} addresses`);
    this.#found.set(once, { address, owner, aliased });
  }
}
