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
  readonly recipients: readonly CleanupRecipient[];
  readonly router: Router;
  readonly emptyRecipient: string;
  readonly log: Log;
  nextId(): string;
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
  readonly #expanded: Answer<readonly ExpandedRecipient[]>;
  #planned: readonly PlannedEnvelope[] | undefined;

  constructor(options: EnvelopesOptions) {
    this.#options = options;
    const all = options.recipients.map((given) => {
      try {
        return this.#expand(given);
      } catch (error) {
        return Promise.reject(error);
      }
    });
    if (all.some((each) => each instanceof Promise)) {
      this.#expanded = Promise.all(all);
      // all() hands the failure on; nobody may ever ask, when the client goes before.
      this.#expanded.catch(() => {});
    } else {
      this.#expanded = all as ExpandedRecipient[];
    }
  }

  /** The same each time, so that ids are drawn once. Rejects with what expandRecipient throws. */
  all(): Answer<readonly PlannedEnvelope[]> {
    if (this.#planned) return this.#planned;
    const expanded = this.#expanded;
    return expanded instanceof Promise ? expanded.then((ready) => this.#plan(ready)) : this.#plan(expanded);
  }

  #expand(given: CleanupRecipient): Answer<ExpandedRecipient> {
    const { router, emptyRecipient } = this.#options;
    const completed = router.rewriter.rewrite(given.address === "" ? emptyRecipient : given.address);
    return chain(router.canonicalMaps.envelope("envelope_recipient", completed), (canonical) =>
      chain(expandRecipient(router, canonical), (expanded) => ({ given, canonical, expanded })),
    );
  }

  #plan(expanded: readonly ExpandedRecipient[]): readonly PlannedEnvelope[] {
    if (this.#planned) return this.#planned;
    const byOwner = grouped(expanded);
    // The message keeps its id for the recipients that keep its sender, where there are any.
    const lists = [...byOwner.keys()].filter((owner) => owner !== undefined);
    const owners = byOwner.has(undefined) ? [undefined, ...lists] : lists;
    this.#planned = owners.map((owner, index) => {
      const id = index === 0 ? this.#options.id : this.#options.nextId();
      return { id, owner, recipients: [...(byOwner.get(owner)?.values() ?? [])] };
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

/** By owner, then by address in any case: the first of several equal recipients stays. */
function grouped(all: readonly ExpandedRecipient[]): Map<string | undefined, Map<string, Recipient>> {
  const byOwner = new Map<string | undefined, Map<string, Recipient>>();
  for (const { given, canonical, expanded } of all) {
    for (const { address, owner } of expanded) {
      const known = byOwner.get(owner) ?? new Map<string, Recipient>();
      byOwner.set(owner, known);
      const folded = address.toLowerCase();
      if (!known.has(folded)) known.set(folded, newRecipient(given, canonical, address, owner));
    }
  }
  return byOwner;
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
