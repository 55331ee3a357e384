import type { Values } from "../conf/param.ts";
import type { globalParams } from "../conf/params.ts";
import type { NextHop } from "../queue/delivery.ts";
import { addressBytes } from "../rfc5321/ip.ts";
import { splitAddress, unquoteLocal } from "../rfc5321/path.ts";
import { type Answer, type Maps, noMaps } from "../table/maps.ts";
import { AddressMap } from "./address-map.ts";
import { Aliases } from "./aliases.ts";
import { chain } from "./answer.ts";
import { Canonical } from "./canonical.ts";
import { Copies } from "./copies.ts";
import { DomainList, type DomainListSources } from "./domain-list.ts";
import { type AddressSearch, findAddress } from "./find-address.ts";
import type { IncludedText } from "./include.ts";
import { Masquerade } from "./masquerade.ts";
import { NextHops, type Resolved } from "./next-hop.ts";
import type { routingParams } from "./params.ts";
import { Rewriter } from "./rewrite.ts";
import type { AddressClass, Refusal, Route } from "./router.ts";
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

const everyClass: ReadonlySet<AddressClass> = new Set(["local", "virtual", "mailbox", "relay", "other"]);

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
  /** Completes addresses in the headers of clients elsewhere (remote_header_rewrite_domain); undefined where those are left alone. */
  readonly remoteRewriter: Rewriter | undefined;
  readonly canonicalMaps: Canonical;
  readonly copies: Copies;
  readonly aliases: Aliases;
  readonly virtualAliases: VirtualAliases;
  readonly #conf: RoutingConf;
  readonly #sources: RoutingSources;
  readonly #local: DomainList;
  readonly #virtual: DomainList;
  readonly #mailboxes: DomainList;
  readonly #relay: DomainList;
  readonly #search: AddressSearch;
  readonly #nextHops: NextHops;
  /** Recipients that are known, by class, where a table of them is configured. */
  readonly #known: Readonly<Record<"mailbox" | "relay", Maps>>;

  constructor(conf: RoutingConf, sources: RoutingSources) {
    this.#conf = conf;
    this.#sources = sources;
    const parents = (name: string) => conf.parent_domain_matches_subdomains.includes(name);
    const names = { ...sources, maps: sources.maps.bind(sources), file: sources.file.bind(sources), parents: false };
    this.#local = new DomainList(conf.mydestination, { ...names, exact: true });
    this.#virtual = new DomainList(conf.virtual_alias_domains, { ...names, exact: true });
    this.#mailboxes = new DomainList(conf.virtual_mailbox_domains, { ...names, exact: true });
    this.#relay = new DomainList(conf.relay_domains, { ...names, parents: parents("relay_domains") });
    const maps = (references: readonly string[]) => (references.length > 0 ? sources.maps(references) : noMaps);
    this.#known = { mailbox: maps(conf.virtual_mailbox_maps), relay: maps(conf.relay_recipient_maps) };
    this.rewriter = new Rewriter(conf);
    const remoteDomain = conf.remote_header_rewrite_domain;
    this.remoteRewriter = remoteDomain
      ? new Rewriter({ ...conf, myorigin: remoteDomain, mydomain: remoteDomain })
      : undefined;
    const ownerRequestSpecial = conf.owner_request_special;
    const delimiter = conf.recipient_delimiter;
    this.#search = { delimiter, ownerRequestSpecial, isLocal: (domain) => this.#isLocalOrOrigin(domain) };
    const hopMaps = {
      transport: maps(conf.transport_maps),
      senderRelayhosts: maps(conf.sender_dependent_relayhost_maps),
      senderTransports: maps(conf.sender_dependent_default_transport_maps),
      relocated: maps(conf.relocated_maps),
    };
    this.#nextHops = new NextHops(conf, hopMaps, this.#search, parents("transport_maps"));
    const propagates = (what: string) => conf.propagate_unmatched_extensions.includes(what);
    this.aliases = new Aliases({
      ...{ delimiter, ownerRequestSpecial, rewriter: this.rewriter, expandOwner: conf.expand_owner_alias },
      maps: maps(conf.alias_maps),
      include: (path) => sources.include(path),
      propagate: { alias: propagates("alias"), include: propagates("include") },
    });
    this.virtualAliases = new VirtualAliases({
      map: this.addressMap("virtual_alias_maps", conf.virtual_alias_maps, "virtual"),
      recursionLimit: conf.virtual_alias_recursion_limit,
      expansionLimit: conf.virtual_alias_expansion_limit,
      addressLengthLimit: conf.virtual_alias_address_length_limit,
    });
    this.copies = new Copies({
      ...{ sender: maps(conf.sender_bcc_maps), recipient: maps(conf.recipient_bcc_maps) },
      ...{ always: conf.always_bcc, search: this.#search },
    });
    this.canonicalMaps = new Canonical({
      conf,
      common: this.addressMap("canonical_maps", conf.canonical_maps, "canonical"),
      sender: this.addressMap("sender_canonical_maps", conf.sender_canonical_maps, "canonical"),
      recipient: this.addressMap("recipient_canonical_maps", conf.recipient_canonical_maps, "canonical"),
      masquerade: new Masquerade(
        conf.masquerade_domains,
        new DomainList(conf.masquerade_exceptions, { ...names, exact: true }),
      ),
    });
  }

  /** Tables that replace addresses. `extensions`: the word of propagate_unmatched_extensions that is about them. */
  addressMap(title: string, references: readonly string[], extensions: string): AddressMap {
    const maps = references.length > 0 ? this.#sources.maps(references) : noMaps;
    const propagate = this.#conf.propagate_unmatched_extensions.includes(extensions);
    return new AddressMap({ title, maps, rewriter: this.rewriter, search: this.#search, propagate });
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
   * for the transport `local` then has none, and gets an `error` hop that says so.
   */
  route(sender: string, recipient: string): Answer<Route> {
    return chain(this.#resolve(recipient), (resolved) =>
      chain(this.#nextHops.find(sender, resolved), ({ hop: found, byClass }) => {
        const hop = this.#afterAliases(resolved, found);
        const route = { hop, class: resolved.class };
        if (!this.#hasAliases(resolved, found.transport, byClass)) return route;
        return chain(this.#notDelivered(resolved.local, hop.transport), (text) =>
          text === undefined ? route : { ...route, hop: { transport: "error", nexthop: text } },
        );
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
      return chain(this.#nextHops.find("", resolved), ({ hop, byClass }) => ({
        address,
        localName: this.#hasAliases(resolved, hop.transport, byClass) ? local : undefined,
      }));
    });
  }

  /**
   * Why mail for a recipient, as a client gives it, need not be taken: an address that nobody in our
   * own domains has, or one that transport_maps and the like send nowhere. Undefined where it should be taken.
   * Restrictions on who may send where are not looked at. `listed`: the classes whose lists of recipients count.
   */
  refusal(
    sender: string,
    recipient: string,
    listed: ReadonlySet<AddressClass> = everyClass,
  ): Answer<Refusal | undefined> {
    const address = this.rewriter.rewrite(recipient === "" ? this.#conf.empty_address_recipient : recipient);
    return chain(this.#resolve(address), (resolved) =>
      chain(this.#isMapped(resolved.address), (mapped) => {
        if (mapped) return undefined;
        return chain(this.#nextHops.find(sender, resolved), ({ hop, byClass }) => {
          if (resolved.class === "virtual") return this.#unknown("virtual alias");
          if (hop.transport === "error" || hop.transport === "retry") {
            const refusal: Refusal = { kind: hop.transport, ...splitCode(hop.nexthop, hop.transport === "retry") };
            if (!this.#hasAliases(resolved, hop.transport, byClass)) return refusal;
            return chain(this.aliases.has(resolved.local), (known) => (known ? undefined : refusal));
          }
          const { transport } = this.#afterAliases(resolved, hop);
          return listed.has(resolved.class) ? this.#unlisted(resolved, transport) : undefined;
        });
      }),
    );
  }

  /** Canonical maps count whatever their classes are, as in Postfix. */
  #isMapped(address: string): Answer<boolean> {
    return chain(this.canonicalMaps.hasRecipient(address), (known) => known || this.virtualAliases.has(address));
  }

  #unlisted(resolved: Resolved, transport: string): Answer<Refusal | undefined> {
    const { class: kind, address, local } = resolved;
    if (kind === "local") return this.#unknownLocal(local, transport);
    if (kind !== "mailbox" && kind !== "relay") return undefined;
    const maps = this.#known[kind];
    if (maps.empty) return undefined;
    return chain(findAddress(maps, address, this.#search), (known) =>
      known ? undefined : this.#unknown(kind === "relay" ? "relay recipient" : "virtual mailbox"),
    );
  }

  /** Without a server that knows its users, those are known that have an alias. */
  #unknownLocal(local: string, transport: string): Answer<Refusal | undefined> {
    if (transport !== "local" || /^(?:postmaster|mailer-daemon|double-bounce)$/i.test(local)) return undefined;
    return chain(this.aliases.has(local), (known) => (known ? undefined : this.#unknown("local recipient")));
  }

  /** What `local` would put into mailboxes goes to the server that has them. */
  #afterAliases({ class: kind }: Resolved, hop: NextHop): NextHop {
    return kind === "local" && hop.transport === "local" ? (this.#nextHops.mailboxes(hop) ?? hop) : hop;
  }

  #unknown(kind: Exclude<Refusal["kind"], "error" | "retry">): Refusal {
    return { kind, dsn: "5.1.1", text: this.#nextHops.unknown(kind) };
  }

  /** Local aliases are followed on the way in, unless a table sends this very address to another transport. */
  #hasAliases({ class: kind }: Resolved, transport: string, byClass: boolean): boolean {
    return kind === "local" && (byClass || transport === "local");
  }

  #resolve(address: string, round = 0): Answer<Resolved> {
    const { local, domain: written } = splitAddress(address);
    const domain = written.endsWith(".") && !written.endsWith("..") ? written.slice(0, -1) : written;
    if (domain === "") return this.#withoutDomain(address, local, round);
    return chain(this.#isLocal(domain), (isLocal) => {
      if (!isLocal) return this.#elsewhere(local, domain);
      const inner = round < resolveRounds ? this.#routeInside(local) : undefined;
      if (inner !== undefined) return this.#resolve(this.rewriter.rewrite(inner), round + 1);
      const user = local === "" || local === '""' ? this.#conf.empty_address_recipient : local;
      return { address: `${user}@${domain}`, local: user, domain, class: "local", routed: false };
    });
  }

  #withoutDomain(address: string, local: string, round: number): Answer<Resolved> {
    if (local === "" || local === '""')
      return this.#resolve(`${this.#conf.empty_address_recipient}@${this.#conf.myhostname}`);
    if (!address.endsWith("@") || this.#conf.resolve_null_domain) {
      const inner = round < resolveRounds ? this.#routeInside(local) : undefined;
      if (inner !== undefined) return this.#resolve(this.rewriter.rewrite(inner), round + 1);
      const domain = this.#conf.myhostname;
      const user = local === "" || local === '""' ? this.#conf.empty_address_recipient : local;
      return { address: `${user}@${domain}`, local: user, domain, class: "local", routed: false };
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

  #elsewhere(local: string, written: string): Answer<Resolved> {
    const numeric = this.#conf.resolve_numeric_domain && addressBytes(written) !== undefined;
    const domain = numeric ? `[${written}]` : written;
    if (numeric && this.#isOwnLiteral(domain)) {
      return { address: `${local}@${domain}`, local, domain, class: "local", routed: /[@%!]/.test(local) };
    }
    const address = `${local}@${domain}`;
    const routed = /[@%!]/.test(local);
    return chain(this.#virtual.match(domain), (virtual) => {
      if (virtual) return { address, local, domain, class: "virtual", routed };
      return chain(this.#mailboxes.match(domain), (mailbox) => {
        if (mailbox) return { address, local, domain, class: "mailbox", routed };
        return chain(this.#relay.match(domain), (relayed) => ({
          ...{ address, local, domain, routed },
          class: relayed ? "relay" : "other",
        }));
      });
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

  /**
   * Why mail for a local part goes nowhere, with its enhanced status code. Over another transport than
   * `local` only what its alias does with commands and files does; the server there knows the rest.
   */
  #notDelivered(local: string, transport: string): Answer<string | undefined> {
    return chain(this.aliases.find(local), (entry) => {
      if (entry?.refused) return `${entry.refused.dsn} ${entry.refused.text}`;
      if (transport !== "local") return undefined;
      if (!entry) return `5.1.1 unknown user: "${local}": it has no alias, and mailboxes are not delivered here`;
      return `5.4.6 alias "${entry.name}" leads back to itself, and mailboxes are not delivered here`;
    });
  }
}

/** "5.7.1 not here", as an `error` or `retry` hop has it. */
function splitCode(text: string, temporary: boolean): { readonly dsn: string; readonly text: string } {
  const [, dsn, rest] = /^([245]\.\d{1,3}\.\d{1,3})\s+(.*)$/s.exec(text) ?? [];
  if (dsn === undefined || rest === undefined) return { dsn: temporary ? "4.0.0" : "5.0.0", text };
  return { dsn, text: rest };
}
