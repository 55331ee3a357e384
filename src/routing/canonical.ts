import type { Values } from "../conf/param.ts";
import type { Answer } from "../table/maps.ts";
import type { AddressMap } from "./address-map.ts";
import { chain } from "./answer.ts";
import type { Masquerade } from "./masquerade.ts";
import type { routingParams } from "./params.ts";

/** What an address is in a message; decides which rewriting it gets. */
export type AddressRole = "envelope_sender" | "envelope_recipient" | "header_sender" | "header_recipient";

export type CanonicalConf = Pick<
  Values<typeof routingParams>,
  "canonical_classes" | "sender_canonical_classes" | "recipient_canonical_classes" | "masquerade_classes"
>;

export interface CanonicalParts {
  readonly conf: CanonicalConf;
  /** canonical_maps, sender_canonical_maps, recipient_canonical_maps */
  readonly common: AddressMap;
  readonly sender: AddressMap;
  readonly recipient: AddressMap;
  readonly masquerade: Masquerade;
}

/** One change of an address: quoted where it needs to be, in and out. Throws, or rejects with, a TableError. */
export type AddressStep = (address: string) => Answer<string>;

/** How often one table may replace the address that it gave. */
const deepest = 10;

/**
 * The rewriting that an address gets for its role, in this order: the
 * sender's or the recipient's canonical maps, canonical_maps, masquerade_domains
 * (canonical(5), ADDRESS_REWRITING_README). Addresses have been completed before.
 */
export class Canonical {
  readonly #steps: Readonly<Record<AddressRole, readonly AddressStep[]>>;
  readonly #recipientMaps: readonly AddressMap[];

  constructor({ conf, common, sender, recipient, masquerade }: CanonicalParts) {
    const mapped = (map: AddressMap, roles: readonly AddressRole[], role: AddressRole): AddressStep[] =>
      !map.empty && roles.includes(role) ? [(address) => mapAddress(map, address, 0)] : [];
    const stepsOf = (role: AddressRole): AddressStep[] => [
      ...mapped(sender, conf.sender_canonical_classes, role),
      ...mapped(recipient, conf.recipient_canonical_classes, role),
      ...mapped(common, conf.canonical_classes, role),
      ...(!masquerade.empty && conf.masquerade_classes.includes(role) ? [masquerade.rewrite] : []),
    ];
    this.#steps = {
      envelope_sender: stepsOf("envelope_sender"),
      envelope_recipient: stepsOf("envelope_recipient"),
      header_sender: stepsOf("header_sender"),
      header_recipient: stepsOf("header_recipient"),
    };
    this.#recipientMaps = [recipient, common];
  }

  /** What is to be done one after the other; nothing where nothing is configured. */
  steps(role: AddressRole): readonly AddressStep[] {
    return this.#steps[role];
  }

  /** An address of the envelope; "" is the empty one, which tables know as "". */
  envelope(role: "envelope_sender" | "envelope_recipient", address: string): Answer<string> {
    const steps = this.#steps[role];
    if (steps.length === 0) return address;
    const done = steps.reduce<Answer<string>>((answer, step) => chain(answer, step), address === "" ? empty : address);
    return chain(done, (rewritten) => (rewritten === empty ? "" : rewritten));
  }

  /** Is there an entry for this recipient in a canonical map, whatever the classes say? */
  hasRecipient(address: string): Answer<boolean> {
    const [recipient, common] = this.#recipientMaps as readonly [AddressMap, AddressMap];
    return chain(recipient.has(address), (found) => found || common.has(address));
  }
}

const empty = '""';

/** Of several results the first counts. After so many rounds the last one is left as it is. */
function mapAddress(map: AddressMap, address: string, round: number): Answer<string> {
  return chain(map.find(address), (found) => {
    const next = found?.[0];
    if (next === undefined) return address;
    if (round + 1 >= deepest || next.toLowerCase() === address.toLowerCase()) return next;
    return mapAddress(map, next, round + 1);
  });
}
