import { quoteAddress } from "../rfc5322/quoting.ts";
import type { Answer, Maps } from "../table/maps.ts";
import { withTitle } from "./address-map.ts";
import { chain } from "./answer.ts";
import { type AddressSearch, findAddress } from "./find-address.ts";

export interface CopiesOptions {
  /** sender_bcc_maps */
  readonly sender: Maps;
  /** recipient_bcc_maps */
  readonly recipient: Maps;
  /** always_bcc; "" for none. */
  readonly always: string;
  readonly search: AddressSearch;
}

/**
 * Who gets a copy of mail without being named in it. Answers are single addresses, not yet canonical; undefined for
 * nobody. Look-ups throw, or reject with, a TableError.
 */
export class Copies {
  readonly #options: CopiesOptions;
  /** There are none for anybody. */
  readonly none: boolean;
  /** The one who gets a copy of everything. */
  readonly always: string | undefined;

  constructor(options: CopiesOptions) {
    this.#options = options;
    const { sender, recipient, always } = options;
    this.always = always === "" ? undefined : quoteAddress(always);
    this.none = sender.empty && recipient.empty && always === "";
  }

  ofSender(sender: string): Answer<string | undefined> {
    return this.#find("sender_bcc_maps", this.#options.sender, sender);
  }

  ofRecipient(recipient: string): Answer<string | undefined> {
    return this.#find("recipient_bcc_maps", this.#options.recipient, recipient);
  }

  /** What a table gives is one address as it stands, even with commas in it. */
  #find(title: string, maps: Maps, address: string): Answer<string | undefined> {
    if (maps.empty || address === "") return undefined;
    const found = withTitle(title, address, () => findAddress(maps, address, this.#options.search));
    return chain(found, (entry) => entry && quoteAddress(entry.value));
  }
}
