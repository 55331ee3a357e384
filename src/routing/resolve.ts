import type { Values } from "../conf/param.ts";
import type { globalParams } from "../conf/params.ts";
import type { NextHop } from "../queue/delivery.ts";
import { addressBytes } from "../rfc5321/ip.ts";
import { isAddressLiteral, isDomain, splitAddress, unquoteLocal } from "../rfc5321/path.ts";
import { type Answer, type Maps, noMaps } from "../table/maps.ts";
import { Aliases } from "./aliases.ts";
import { chain } from "./answer.ts";
import { DomainList, type DomainListSources } from "./domain-list.ts";
import { type AddressSearch, extensionOf, findAddress, firstOf, type Key, key } from "./find-address.ts";
import type { IncludedText } from "./include.ts";
import type { routingParams } from "./params.ts";
import { Rewriter } from "./rewrite.ts";
import type { AddressClass, Route } from "./router.ts";
import { VirtualAliases } from "./virtual-aliases.ts";

export type RoutingConf = Values<typeof routingParams> &
  Pick<
    Values<typeof globalParams>,
    "myhostname" | "mydomain" | "myorigin" | "mydestination" | "relay_domains" | "relayhost" | "recipient_delimiter"
  >;

/** What a Router looks things up in. Opened, and exchanged when files change, by the relay. */
export interface RoutingSources extends DomainListSources {
  /** Is this numeric address one of ours (inet_interfaces, proxy_interfaces)? */
  ownAddress(address: string): boolean;
  /** An `:include:` file of an alias; see readInclude(). */
  include(path: string): Answer<IncludedText>;
}

/** An address as far as it can be followed without tables of aliases. */
interface Resolved {
  /** With a domain; what was behind a local domain's % or ! is in front now. */
  readonly address: string;
  readonly local: string;
  readonly domain: string;
  readonly class: AddressClass;
  /** The local part has @, % or ! in it: another server may take that for a route. */
  readonly routed: boolean;
}

/** Rounds of taking local domains off an address. */
const resolveRounds = 100;

/**
 * Where addresses belong, and where their mail goes (Postfix: trivial-rewrite's
 * resolver). One Router serves a relay; it keeps nothing between questions.
 *
 * Answers come at once where no table has to be waited for. A table that
 * cannot be read makes the call throw, or its promise reject, with TableError:
 * callers defer (451 4.3.0, or try the message again later).
 */
export class Router {
  readonly rewriter: Rewriter;
  readonly aliases: Aliases;
  readonly virtualAliases: VirtualAliases;
  readonly #conf: RoutingConf;
  readonly #sources: RoutingSources;
  readonly #local: DomainList;
  readonly #virtual: DomainList;
  readonly #relay: DomainList;
  readonly #transportMaps: Maps;
  readonly #senderRelayhosts: Maps;
  readonly #senderTransports: Maps;
  readonly #search: AddressSearch;
  readonly #relayhost: string;
  readonly #transportParents: boolean;

  constructor(conf: RoutingConf, sources: RoutingSources) {
    this.#conf = conf;
    this.#sources = sources;
    const parents = (name: string) => conf.parent_domain_matches_subdomains.includes(name);
    const names = { ...sources, maps: sources.maps.bind(sources), file: sources.file.bind(sources), parents: false };
    this.#local = new DomainList(conf.mydestination, { ...names, exact: true });
    this.#virtual = new DomainList(conf.virtual_alias_domains, { ...names, exact: true });
    this.#relay = new DomainList(conf.relay_domains, { ...names, parents: parents("relay_domains") });
    this.#transportParents = parents("transport_maps");
    const maps = (references: readonly string[]) => (references.length > 0 ? sources.maps(references) : noMaps);
    this.#transportMaps = maps(conf.transport_maps);
    this.#senderRelayhosts = maps(conf.sender_dependent_relayhost_maps);
    this.#senderTransports = maps(conf.sender_dependent_default_transport_maps);
    this.#relayhost = conf.relayhost.join(", ");
    this.rewriter = new Rewriter(conf);
    const ownerRequestSpecial = conf.owner_request_special;
    const delimiter = conf.recipient_delimiter;
    this.#search = { delimiter, ownerRequestSpecial, isLocal: (domain) => this.#isLocalOrOrigin(domain) };
    const propagates = (what: string) => conf.propagate_unmatched_extensions.includes(what);
    this.aliases = new Aliases({
      ...{ delimiter, ownerRequestSpecial, rewriter: this.rewriter, expandOwner: conf.expand_owner_alias },
      maps: maps(conf.alias_maps),
      include: (path) => sources.include(path),
      propagate: { alias: propagates("alias"), include: propagates("include") },
    });
    this.virtualAliases = new VirtualAliases({
      ...{ rewriter: this.rewriter, search: this.#search, propagate: propagates("virtual") },
      maps: maps(conf.virtual_alias_maps),
      recursionLimit: conf.virtual_alias_recursion_limit,
      expansionLimit: conf.virtual_alias_expansion_limit,
      addressLengthLimit: conf.virtual_alias_address_length_limit,
    });
  }

  /**
   * What a recipient is to this relay; decides who may send there. An address
   * that asks others to route it on (user%elsewhere@relayed.example) is "other".
   */
  classify(recipient: string): Answer<AddressClass> {
    return chain(this.#resolve(recipient), (resolved) => (resolved.routed ? "other" : resolved.class));
  }

  /**
   * The way to a recipient, after aliases have been expanded: what is still
   * for the local transport then has none, and gets an `error` hop that says so.
   */
  route(sender: string, recipient: string): Answer<Route> {
    return chain(this.#resolve(recipient), (resolved) =>
      chain(this.#hop(sender, resolved), (hop) => {
        if (hop.transport !== "local") return { hop, class: resolved.class };
        return chain(this.#notDelivered(resolved.local), (text) => ({
          hop: { transport: "error", nexthop: text },
          class: resolved.class,
        }));
      }),
    );
  }

  /**
   * The address with its local routing undone (user%elsewhere@here becomes
   * user@elsewhere), and the local part if local aliases apply to it.
   */
  canonical(recipient: string): Answer<{ readonly address: string; readonly localName: string | undefined }> {
    return chain(this.#resolve(recipient), (resolved) => {
      const { address, local } = resolved;
      if (resolved.class !== "local") return { address, localName: undefined };
      return chain(this.#hop("", resolved), ({ transport }) => ({
        address,
        localName: transport === "local" ? local : undefined,
      }));
    });
  }

  /** Would mail for this recipient be delivered somewhere, as far as can be told without asking others? */
  localRecipient(recipient: string): Answer<boolean> {
    return chain(this.unknownUser(recipient), (text) => text === undefined);
  }

  /**
   * Why a recipient in our own domains is refused (550 5.1.1), or undefined:
   * "User unknown in local recipient table", "User unknown in virtual alias table".
   */
  unknownUser(recipient: string): Answer<string | undefined> {
    const address = this.rewriter.rewrite(recipient === "" ? this.#conf.empty_address_recipient : recipient);
    return chain(this.#resolve(address), (resolved) => {
      if (resolved.class !== "local" && resolved.class !== "virtual") return undefined;
      return chain(this.virtualAliases.has(resolved.address), (known) => {
        if (known) return undefined;
        if (resolved.class === "virtual") return this.#unknown("virtual alias");
        return this.#unknownLocal(resolved);
      });
    });
  }

  #unknownLocal(resolved: Resolved): Answer<string | undefined> {
    if (/^(?:postmaster|mailer-daemon|double-bounce)$/i.test(resolved.local)) return undefined;
    return chain(this.#hop("", resolved), ({ transport }) => {
      if (transport !== "local") return undefined;
      return chain(this.aliases.has(resolved.local), (known) => (known ? undefined : this.#unknown("local recipient")));
    });
  }

  #unknown(table: string): string {
    return this.#conf.show_user_unknown_table_name ? `User unknown in ${table} table` : "User unknown";
  }

  #resolve(address: string, round = 0): Answer<Resolved> {
    const { local, domain: written } = splitAddress(address);
    const domain = written.endsWith(".") && !written.endsWith("..") ? written.slice(0, -1) : written;
    if (domain === "") return this.#withoutDomain(address, local, round);
    return chain(this.#isLocal(domain), (isLocal) => {
      if (!isLocal) return this.#elsewhere(local, domain);
      const inner = round < resolveRounds ? this.#routeInside(local) : undefined;
      if (inner !== undefined) return this.#resolve(this.rewriter.rewrite(inner), round + 1);
      return { address: `${local}@${domain}`, local, domain, class: "local", routed: false };
    });
  }

  #withoutDomain(address: string, local: string, round: number): Answer<Resolved> {
    if (local === "" || local === '""')
      return this.#resolve(`${this.#conf.empty_address_recipient}@${this.#conf.myhostname}`);
    if (!address.endsWith("@") || this.#conf.resolve_null_domain) {
      const inner = round < resolveRounds ? this.#routeInside(local) : undefined;
      if (inner !== undefined) return this.#resolve(this.rewriter.rewrite(inner), round + 1);
      const domain = this.#conf.myhostname;
      return { address: `${local}@${domain}`, local, domain, class: "local", routed: false };
    }
    return { address, local, domain: "", class: "other", routed: true };
  }

  /** The address inside a local part, where it is one: user%domain, site!user, "user@domain". */
  #routeInside(local: string): string | undefined {
    const { swap_bangpath, allow_percent_hack, resolve_dequoted_address } = this.#conf;
    if (!/[@%!]/.test(local)) return undefined;
    const quoted = local.includes('"') || local.includes("\\");
    if (quoted && !resolve_dequoted_address) return undefined;
    const text = unquoteLocal(local);
    if (text.includes("@")) return text;
    if ((swap_bangpath && text.includes("!")) || (allow_percent_hack && text.includes("%"))) return text;
    return undefined;
  }

  #elsewhere(local: string, domain: string): Answer<Resolved> {
    const address = `${local}@${domain}`;
    const routed = /[@%!]/.test(local);
    return chain(this.#virtual.match(domain), (virtual) => {
      if (virtual) return { address, local, domain, class: "virtual", routed };
      return chain(this.#relay.match(domain), (relayed) => ({
        ...{ address, local, domain, routed },
        class: relayed ? "relay" : "other",
      }));
    });
  }

  #isLocal(domain: string): Answer<boolean> {
    return chain(this.#local.match(domain), (listed) => listed || this.#isOwnLiteral(domain));
  }

  #isOwnLiteral(domain: string): boolean {
    if (!domain.startsWith("[") || !domain.endsWith("]")) return false;
    const address = domain.slice(1, -1).replace(/^ipv6:/i, "");
    return addressBytes(address) !== undefined && this.#sources.ownAddress(address);
  }

  #isLocalOrOrigin(domain: string): Answer<boolean> {
    return domain.toLowerCase() === this.#conf.myorigin.toLowerCase() || this.#isLocal(domain);
  }

  #hop(sender: string, resolved: Resolved): Answer<NextHop> {
    const { domain } = resolved;
    if (!isDomain(domain) && !isAddressLiteral(domain)) return badAddress;
    if (resolved.class === "virtual") {
      return { transport: "error", nexthop: `5.1.1 ${this.#unknown("virtual alias")}` };
    }
    const { default_transport, relay_transport, local_transport } = this.#conf;
    const given =
      resolved.class === "local" ? local_transport : resolved.class === "relay" ? relay_transport : default_transport;
    if (resolved.class === "local") return this.#overridden(resolved, parseTransport(given, domain.toLowerCase()));
    return chain(this.#transportFor(sender, resolved.class, given), (transport) =>
      chain(this.#nexthopFor(sender, domain), (nexthop) =>
        this.#overridden(resolved, parseTransport(transport, nexthop)),
      ),
    );
  }

  #transportFor(sender: string, kind: AddressClass, given: string): Answer<string> {
    if (kind !== "other" || this.#senderTransports.empty) return given;
    const asked = sender || this.#conf.empty_address_default_transport_maps_lookup_key;
    return chain(findAddress(this.#senderTransports, asked, this.#search), (found) =>
      found && !isDunno(found.value) ? found.value : given,
    );
  }

  #nexthopFor(sender: string, domain: string): Answer<string> {
    const usual = this.#relayhost || domain.toLowerCase();
    if (this.#senderRelayhosts.empty) return usual;
    const asked = sender || this.#conf.empty_address_relayhost_maps_lookup_key;
    return chain(findAddress(this.#senderRelayhosts, asked, this.#search), (found) =>
      found && !isDunno(found.value) ? found.value : usual,
    );
  }

  /** transport_maps has the last word: over the classes' transports, relayhost and their next hops. */
  #overridden({ address, domain, local }: Resolved, hop: NextHop): Answer<NextHop> {
    if (this.#transportMaps.empty) return hop;
    const keys = this.#transportKeys(address, local, domain);
    return chain(firstOf(this.#transportMaps, keys), (found) => {
      if (!found) return hop;
      const colon = found.value.indexOf(":");
      const transport = colon < 0 ? found.value : found.value.slice(0, colon);
      const nexthop = colon < 0 ? "" : found.value.slice(colon + 1);
      if (transport === "") return nexthop === "" ? hop : { transport: hop.transport, nexthop };
      if (nexthop !== "") return { transport, nexthop };
      const silent = transport === "error" || transport === "retry";
      return { transport, nexthop: silent ? "Address is undeliverable" : domain.toLowerCase() };
    });
  }

  #transportKeys(address: string, local: string, domain: string): Key[] {
    const keys: Key[] = [key(address, "", false)];
    const bare = this.#withoutExtension(local);
    if (bare !== local) keys.push(key(`${bare}@${domain}`, "", true));
    keys.push(key(domain, "", true));
    for (let dot = domain.indexOf(".", 1); dot >= 0; dot = domain.indexOf(".", dot + 1)) {
      keys.push(key(this.#transportParents ? domain.slice(dot + 1) : domain.slice(dot), "", true));
    }
    keys.push(key("*", "", false));
    return keys;
  }

  #withoutExtension(local: string): string {
    const extension = extensionOf(local, this.#search);
    return extension === "" ? local : local.slice(0, -extension.length);
  }

  /** Why mail for a local part goes nowhere, with its enhanced status code. */
  #notDelivered(local: string): Answer<string> {
    return chain(this.aliases.find(local), (entry) => {
      if (!entry) return `5.1.1 unknown user: "${local}": it has no alias, and mailboxes are not delivered here`;
      if (entry.refused) return `${entry.refused.dsn} ${entry.refused.text}`;
      return `5.4.6 alias "${entry.name}" leads back to itself, and mailboxes are not delivered here`;
    });
  }
}

const badAddress: NextHop = { transport: "error", nexthop: "5.1.3 bad address syntax" };

const isDunno = (value: string): boolean => value.toLowerCase() === "dunno";

/** "smtp", "smtp:", "smtp:nexthop" as parameters give them. */
function parseTransport(text: string, nexthop: string): NextHop {
  const colon = text.indexOf(":");
  if (colon < 0) return { transport: text, nexthop };
  return { transport: text.slice(0, colon), nexthop: text.slice(colon + 1) || nexthop };
}
