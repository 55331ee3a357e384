import type { Values } from "../conf/param.ts";
import type { globalParams } from "../conf/params.ts";
import type { NextHop } from "../queue/delivery.ts";
import { isAddressLiteral, isDomain, unquoteLocal } from "../rfc5321/path.ts";
import type { Answer, Maps } from "../table/maps.ts";
import { TableError } from "../table/table.ts";
import { chain } from "./answer.ts";
import { type AddressSearch, addressKeys, findAddress, firstOf, type Key, key } from "./find-address.ts";
import type { routingParams } from "./params.ts";
import type { AddressClass } from "./router.ts";

/** An address as far as it can be followed without tables of aliases. */
export interface Resolved {
  /** With a domain; what was behind a local domain's % or ! is in front now. */
  readonly address: string;
  readonly local: string;
  readonly domain: string;
  readonly class: AddressClass;
  /** The local part has @, % or ! in it: another server may take that for a route. */
  readonly routed: boolean;
}

export type NextHopConf = Pick<
  Values<typeof routingParams>,
  | "default_transport"
  | "relay_transport"
  | "local_transport"
  | "mailbox_transport"
  | "fallback_transport"
  | "virtual_transport"
  | "allow_min_user"
  | "show_user_unknown_table_name"
  | "empty_address_default_transport_maps_lookup_key"
  | "empty_address_relayhost_maps_lookup_key"
> &
  Pick<Values<typeof globalParams>, "relayhost">;

export interface NextHopMaps {
  readonly transport: Maps;
  readonly senderRelayhosts: Maps;
  readonly senderTransports: Maps;
  readonly relocated: Maps;
}

/** A next hop, and whether it is still the one that the address class gives: no table of recipients has changed it. */
export interface FoundHop {
  readonly hop: NextHop;
  readonly byClass: boolean;
}

/**
 * From an address and its class to a transport and next hop, in this order, the
 * later overriding the earlier:
 *
 *   the class's transport; for mail that leaves, the sender's or default_transport
 *   for mail that leaves, the sender's relayhost or relayhost, where that transport names no next hop
 *   transport_maps, except for virtual alias domains
 *   relocated_maps
 *
 * Fails by throwing, or rejecting with, a TableError where a table cannot tell
 * and where a parameter names no transport: the mail waits.
 */
export class NextHops {
  readonly #conf: NextHopConf;
  readonly #maps: NextHopMaps;
  readonly #search: AddressSearch;
  readonly #relayhost: string;
  readonly #parents: boolean;

  /** `parents`: transport_maps is in parent_domain_matches_subdomains. */
  constructor(conf: NextHopConf, maps: NextHopMaps, search: AddressSearch, parents: boolean) {
    this.#conf = conf;
    this.#maps = maps;
    this.#search = search;
    this.#parents = parents;
    this.#relayhost = conf.relayhost.join(", ");
  }

  find(sender: string, resolved: Resolved): Answer<FoundHop> {
    const { domain, local } = resolved;
    if (!isDomain(domain) && !isAddressLiteral(domain)) return badAddress;
    if (unquoteLocal(local).startsWith("-") && !this.#conf.allow_min_user) return badAddress;
    return chain(this.#byClass(sender, resolved), (hop) =>
      chain(this.#overridden(resolved, hop), (found) => this.#unlessMoved(resolved, found)),
    );
  }

  /** Where what is left for the transport `local` goes; undefined where there is nobody for it. */
  mailboxes(hop: NextHop): NextHop | undefined {
    const { mailbox_transport, fallback_transport } = this.#conf;
    if (mailbox_transport !== "") return parseTransport("mailbox_transport", mailbox_transport, hop.nexthop);
    if (fallback_transport !== "") return parseTransport("fallback_transport", fallback_transport, hop.nexthop);
    return undefined;
  }

  /** "User unknown in virtual alias table", or without the table's name. */
  unknown(table: string): string {
    return this.#conf.show_user_unknown_table_name ? `User unknown in ${table} table` : "User unknown";
  }

  #byClass(sender: string, resolved: Resolved): Answer<NextHop> {
    const { local_transport, virtual_transport } = this.#conf;
    const domain = resolved.domain.toLowerCase();
    switch (resolved.class) {
      case "local":
        return parseTransport("local_transport", local_transport, domain);
      case "virtual":
        return { transport: "error", nexthop: `5.1.1 ${this.unknown("virtual alias")}` };
      case "mailbox":
        return parseTransport("virtual_transport", virtual_transport, domain);
      default:
        return this.#leaving(sender, resolved.class, domain);
    }
  }

  #leaving(sender: string, kind: "relay" | "other", domain: string): Answer<NextHop> {
    return chain(this.#transportFor(sender, kind), ([parameter, transport]) =>
      chain(this.#nexthopFor(sender, domain), (nexthop) => parseTransport(parameter, transport, nexthop)),
    );
  }

  #transportFor(sender: string, kind: "relay" | "other"): Answer<readonly [parameter: string, value: string]> {
    const { relay_transport, default_transport } = this.#conf;
    if (kind === "relay") return ["relay_transport", relay_transport];
    const usual = ["default_transport", default_transport] as const;
    const maps = this.#maps.senderTransports;
    if (maps.empty) return usual;
    const asked = sender || this.#conf.empty_address_default_transport_maps_lookup_key;
    return chain(findAddress(maps, asked, this.#search), (found) =>
      found && !isDunno(found.value) ? (["sender_dependent_default_transport_maps", found.value] as const) : usual,
    );
  }

  #nexthopFor(sender: string, domain: string): Answer<string> {
    const usual = this.#relayhost || domain;
    const maps = this.#maps.senderRelayhosts;
    if (maps.empty) return usual;
    const asked = sender || this.#conf.empty_address_relayhost_maps_lookup_key;
    return chain(findAddress(maps, asked, this.#search), (found) =>
      found && !isDunno(found.value) ? found.value : usual,
    );
  }

  /** What transport_maps says goes over the class's transport, relayhost and their next hops. */
  #overridden(resolved: Resolved, hop: NextHop): Answer<FoundHop> {
    const { transport: maps } = this.#maps;
    const usual = { hop, byClass: true };
    if (maps.empty || resolved.class === "virtual") return usual;
    return chain(firstOf(maps, this.#transportKeys(resolved)), (found) => {
      if (!found) return usual;
      const [transport, nexthop] = splitTransport(found.value);
      // ":" alone changes nothing; ":nexthop" keeps the transport.
      if (transport === "")
        return nexthop === "" ? usual : { hop: { transport: hop.transport, nexthop }, byClass: false };
      if (nexthop !== "") return { hop: { transport, nexthop }, byClass: false };
      const silent = transport === "error" || transport === "retry";
      const fallback = silent ? "Address is undeliverable" : resolved.domain.toLowerCase();
      return { hop: { transport, nexthop: fallback }, byClass: false };
    });
  }

  #transportKeys({ address, domain }: Resolved): Key[] {
    const keys = addressKeys(address, this.#search);
    keys.push(key(domain, "", true));
    for (let dot = domain.indexOf(".", 1); dot >= 0; dot = domain.indexOf(".", dot + 1)) {
      keys.push(key(this.#parents ? domain.slice(dot + 1) : domain.slice(dot), "", true));
    }
    keys.push(key("*", "", false));
    return keys;
  }

  /** relocated_maps: whoever has moved is said to have, whatever the class. */
  #unlessMoved({ address }: Resolved, found: FoundHop): Answer<FoundHop> {
    const { relocated } = this.#maps;
    if (relocated.empty) return found;
    return chain(findAddress(relocated, address, this.#search), (moved) =>
      moved
        ? { hop: { transport: "error", nexthop: `5.1.6 User has moved to ${moved.value}` }, byClass: false }
        : found,
    );
  }
}

const badAddress: FoundHop = { hop: { transport: "error", nexthop: "5.1.3 bad address syntax" }, byClass: false };

const isDunno = (value: string): boolean => value.toLowerCase() === "dunno";

/** "transport", "transport:", ":nexthop", "transport:nexthop"; the next hop may have colons in it. */
export function splitTransport(text: string): readonly [transport: string, nexthop: string] {
  const colon = text.indexOf(":");
  return colon < 0 ? [text, ""] : [text.slice(0, colon), text.slice(colon + 1)];
}

/** As a parameter, or a sender's table, gives it. */
function parseTransport(parameter: string, text: string, usual: string): NextHop {
  const [transport, nexthop] = splitTransport(text);
  if (transport === "") throw new TableError("config", `parameter ${parameter}: null transport is not allowed`);
  return { transport, nexthop: nexthop || usual };
}
