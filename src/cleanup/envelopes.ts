import type { Log } from "../log/log.ts";
import type { Notify, Recipient } from "../queue/message.ts";
import { encodeXtext } from "../rfc5321/xtext.ts";
import { chain } from "../routing/answer.ts";
import type { Router } from "../routing/resolve.ts";
import type { Answer } from "../table/maps.ts";
import { type Expanded, expandRecipient } from "./recipients.ts";

export interface CleanupRecipient {
  /** As the client gave it, without brackets; "" is the empty address. */
  readonly address: string;
  readonly notify: Notify;
  readonly orcpt: string | undefined;
}

/** One message of those that a message becomes: its recipients share a sender. */
export interface PlannedEnvelope {
  readonly id: string;
  /** The sender in place of the message's own. */
  readonly owner: string | undefined;
  readonly recipients: readonly Recipient[];
}

export interface EnvelopesOptions {
  readonly id: string;
  /** Canonical. */
  readonly sender: Answer<string>;
  readonly recipients: readonly CleanupRecipient[];
  readonly router: Router;
  readonly emptyRecipient: string;
  /** Automatic copies are made: for what comes in from outside, not for notifications. */
  readonly copies: boolean;
  readonly duplicates: DuplicateRules;
  readonly log: Log;
  /** Canonical maps and virtual aliases are left alone. */
  readonly unmapped?: boolean;
  nextId(): string;
}

/** When one recipient is the same as another. */
export interface DuplicateRules {
  /** enable_original_recipient: what they were before counts, too. */
  readonly byOriginal: boolean;
  /** duplicate_filter_limit; 0 for none. */
  readonly limit: number;
}

/** A recipient with what it has become. */
interface ExpandedRecipient {
  readonly given: CleanupRecipient;
  readonly canonical: string;
  readonly expanded: readonly Expanded[];
}

/**
 * The envelopes of a message: one, as long as no recipient is reached through
 * a list with an owner; else one more for each owner. Expansion begins at once,
 * while the text still comes in.
 */
export class Envelopes {
  readonly #options: EnvelopesOptions;
  #expanded: Answer<readonly ExpandedRecipient[]>;
  #planned: readonly PlannedEnvelope[] | undefined;
  #asked = false;
  #joined: Answer<readonly PlannedEnvelope[]> | undefined;

  constructor(options: EnvelopesOptions) {
    this.#options = options;
    const all = options.recipients.map((given) => caught(() => this.#expand(given)));
    const copies = options.copies && !options.router.copies.none ? this.#copies(all) : [];
    this.#expanded = together([...all, ...copies]);
  }

  /** The last recipient that was given, canonical as far as that is known by now; for the log. */
  get lastGiven(): string | undefined {
    const { recipients, router } = this.#options;
    const last = recipients.at(-1)?.address;
    if (this.#expanded instanceof Promise) return last === undefined ? undefined : router.rewriter.rewrite(last);
    return this.#expanded[recipients.length - 1]?.canonical;
  }

  /** Copies for more people. Where all() has been asked already, bodies were begun: they join the first envelope. */
  addCopies(addresses: readonly string[]): void {
    const more = together(addresses.map((each) => caught(() => this.#copy(each))));
    if (this.#asked) this.#joined = later(this.all(), more, joined);
    else this.#expanded = later(this.#expanded, more, (some, others) => [...some, ...others]);
  }

  /** Copies for the sender's mail, for each recipient's, and for all mail. */
  #copies(recipients: readonly Answer<ExpandedRecipient | undefined>[]): Answer<ExpandedRecipient | undefined>[] {
    const { sender, router } = this.#options;
    const { copies } = router;
    const copyTo = (address: string | undefined) => (address === undefined ? undefined : this.#copy(address));
    return [
      caught(() => chain(sender, (each) => chain(copies.ofSender(each), copyTo))),
      ...recipients.map((recipient) =>
        caught(() => chain(recipient, (each) => each && chain(copies.ofRecipient(each.canonical), copyTo))),
      ),
      caught(() => copyTo(copies.always)),
    ];
  }

  /** Nobody is told what becomes of a copy. */
  #copy(address: string): Answer<ExpandedRecipient> {
    const { router, unmapped } = this.#options;
    const completed = router.rewriter.rewrite(address);
    const mapped = unmapped ? completed : router.canonicalMaps.envelope("envelope_recipient", completed);
    return chain(mapped, (canonical) => {
      const given: CleanupRecipient = { address: canonical, notify: ["NEVER"], orcpt: undefined };
      return chain(expandRecipient(router, canonical, !unmapped), (expanded) => ({ given, canonical, expanded }));
    });
  }

  /** The same each time, so that ids are drawn once. Rejects with what expandRecipient throws. */
  all(): Answer<readonly PlannedEnvelope[]> {
    this.#asked = true;
    if (this.#joined) return this.#joined;
    if (this.#planned) return this.#planned;
    const expanded = this.#expanded;
    return expanded instanceof Promise ? expanded.then((ready) => this.#plan(ready)) : this.#plan(expanded);
  }

  #expand(given: CleanupRecipient): Answer<ExpandedRecipient> {
    const { router, emptyRecipient, unmapped } = this.#options;
    const completed = router.rewriter.rewrite(given.address === "" ? emptyRecipient : given.address);
    const mapped = unmapped ? completed : router.canonicalMaps.envelope("envelope_recipient", completed);
    return chain(mapped, (canonical) =>
      chain(expandRecipient(router, canonical, !unmapped), (expanded) => ({ given, canonical, expanded })),
    );
  }

  #plan(expanded: readonly ExpandedRecipient[]): readonly PlannedEnvelope[] {
    if (this.#planned) return this.#planned;
    const byOwner = grouped(expanded, this.#options.duplicates);
    // The message keeps its id for the recipients that keep its sender, where there are any.
    const lists = [...byOwner.keys()].filter((owner) => owner !== undefined);
    const owners = byOwner.has(undefined) ? [undefined, ...lists] : lists;
    this.#planned = owners.map((owner, index) => {
      const id = index === 0 ? this.#options.id : this.#options.nextId();
      return { id, owner, recipients: byOwner.get(owner) ?? [] };
    });
    for (const other of this.#planned.slice(1)) this.#logForwarded(other);
    return this.#planned;
  }

  #logForwarded({ id, recipients }: PlannedEnvelope): void {
    const status = `delay=0, delays=0/0/0/0, dsn=2.0.0, status=sent (forwarded as ${id})`;
    for (const original of new Set(recipients.map((each) => each.original))) {
      this.#options.log.info(`${this.#options.id}: to=<${original}>, relay=local, ${status}`);
    }
  }
}

/** What comes of both. A failure is handed on; nobody may ever ask. */
function later<T, U, V>(first: Answer<T>, second: Answer<U>, then: (first: T, second: U) => V): Answer<V> {
  if (!(first instanceof Promise) && !(second instanceof Promise)) return then(first, second);
  const both = Promise.all([first, second]).then(([one, other]) => then(one, other));
  both.catch(() => {});
  return both;
}

/** The envelopes with copies in the first one, for those who are not in it. */
function joined(planned: readonly PlannedEnvelope[], copies: readonly ExpandedRecipient[]): readonly PlannedEnvelope[] {
  const [first, ...others] = planned;
  if (!first) return planned;
  const there = new Set(first.recipients.map(({ address }) => address.toLowerCase()));
  const added = copies.flatMap(({ given, canonical, expanded }) =>
    expanded
      .filter(({ address }) => !there.has(address.toLowerCase()))
      .map(({ address }) => newRecipient(given, canonical, address, undefined)),
  );
  return [{ ...first, recipients: [...first.recipients, ...added] }, ...others];
}

/** All of them; what is not there is left out. all() hands a failure on; nobody may ever ask, when the client goes before. */
function together(all: readonly Answer<ExpandedRecipient | undefined>[]): Answer<readonly ExpandedRecipient[]> {
  const there = (each: readonly (ExpandedRecipient | undefined)[]) => each.filter((one) => one !== undefined);
  if (!all.some((each) => each instanceof Promise)) return there(all as readonly (ExpandedRecipient | undefined)[]);
  const expanded = Promise.all(all).then(there);
  expanded.catch(() => {});
  return expanded;
}

/** A look-up that fails at once fails like one that fails later. */
function caught<T>(ask: () => Answer<T>): Answer<T> {
  try {
    return ask();
  } catch (error) {
    return Promise.reject(error);
  }
}

/** By owner; of several recipients that are the same, in any case, the first stays. */
function grouped(all: readonly ExpandedRecipient[], rules: DuplicateRules): Map<string | undefined, Recipient[]> {
  const byOwner = new Map<string | undefined, Recipient[]>();
  const [single] = all;
  const [result] = single?.expanded ?? [];
  if (single && result && all.length === 1 && single.expanded.length === 1) {
    const recipient = newRecipient(single.given, single.canonical, result.address, result.owner);
    return byOwner.set(result.owner, [recipient]);
  }
  const known = new KnownRecipients(rules);
  for (const { given, canonical, expanded } of all) {
    for (const { address, owner, aliased } of expanded) {
      const recipient = newRecipient(given, canonical, address, owner);
      if (!known.isNew(recipient, owner, aliased)) continue;
      const group = byOwner.get(owner);
      if (group) group.push(recipient);
      else byOwner.set(owner, [recipient]);
    }
  }
  return byOwner;
}

class KnownRecipients {
  readonly #rules: DuplicateRules;
  readonly #keys = new Set<string>();
  #count = 0;

  constructor(rules: DuplicateRules) {
    this.#rules = rules;
  }

  /** What local aliases gave is compared by address alone: two names of a list do not double it. */
  isNew({ address, original, orcpt, notify }: Recipient, owner: string | undefined, aliased: boolean): boolean {
    const { byOriginal, limit } = this.#rules;
    const plain = [owner, address].join("\n").toLowerCase();
    const whole = byOriginal ? [plain, original, orcpt, notify].join("\n").toLowerCase() : plain;
    if (this.#keys.has(aliased ? plain : whole)) return false;
    if (limit > 0 && this.#count >= limit) return true;
    this.#count++;
    this.#keys.add(plain).add(whole);
    return true;
  }
}

/**
 * What a sender asked about a recipient goes on with what the recipient has
 * become, but not with the members of a list (RFC 3461 section 5.2.7.3). Where
 * the address was completed, the whole one is the original recipient.
 */
function newRecipient(
  given: CleanupRecipient,
  canonical: string,
  address: string,
  owner: string | undefined,
): Recipient {
  const listed = owner !== undefined;
  const completed = canonical === given.address ? undefined : `rfc822;${encodeXtext(canonical)}`;
  return {
    address,
    original: given.address,
    notify: listed ? undefined : given.notify,
    orcpt: listed ? undefined : (given.orcpt ?? completed),
    status: "pending",
    reason: undefined,
    dsn: undefined,
  };
}
