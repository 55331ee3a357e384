/**
 * Everywhere that a configuration can lead mail to, as far as it says so itself: relay hosts, what
 * transport tables and tables of senders name, fallback relays. Domains that mail is sent to
 * directly are not known before there is mail for them.
 */
import { splitNextHops } from "../dns/nexthop.ts";
import type { Configuration, SmtpTransport } from "../relay/configuration.ts";
import type { Tables } from "../relay/tables.ts";
import { TableError } from "../table/table.ts";
import { type Finding, finding, type Place, placeOf } from "./finding.ts";

export interface NextHopUse {
  readonly transport: SmtpTransport;
  /** As written: "[smtp.example.com]:587". */
  readonly nexthop: string;
  /** A sender whose mail goes there, where that depends on senders. */
  readonly sender: string | undefined;
  /** What leads there: "relayhost", "transport_maps". */
  readonly parameter: string;
  readonly place: Place;
}

/** Tables with more entries than this are read no further. */
const entryLimit = 10_000;

export function nextHops(
  configuration: Configuration,
  tables: Pick<Tables, "maps">,
): { readonly uses: readonly NextHopUse[]; readonly findings: readonly Finding[] } {
  const collector = new Collector(configuration);
  const { conf } = configuration;
  for (const site of conf.relayhost) collector.add(conf.default_transport, site, "relayhost");
  collector.addTransport(conf.default_transport, "default_transport");
  collector.addTransport(conf.relay_transport, "relay_transport");
  collector.addTransport(conf.local_transport, "local_transport");
  collector.addTransport(conf.virtual_transport, "virtual_transport");
  for (const [, value] of entriesOf(conf.transport_maps, "transport_maps", tables, collector)) {
    collector.addTransport(value, "transport_maps");
  }
  for (const [key, value] of entriesOf(
    conf.sender_dependent_relayhost_maps,
    "sender_dependent_relayhost_maps",
    tables,
    collector,
  )) {
    if (!/^dunno$/i.test(value)) {
      collector.add(conf.default_transport, value, "sender_dependent_relayhost_maps", senderOf(key));
    }
  }
  for (const [key, value] of entriesOf(
    conf.sender_dependent_default_transport_maps,
    "sender_dependent_default_transport_maps",
    tables,
    collector,
  )) {
    collector.addTransport(value, "sender_dependent_default_transport_maps", senderOf(key));
  }
  for (const { name, conf: own } of configuration.transports) {
    for (const site of own.smtp_fallback_relay) collector.add(name, site, "smtp_fallback_relay");
  }
  return { uses: collector.uses, findings: collector.findings };
}

/** An address that a sender's key stands for: "@example.com" stands for everybody there. */
function senderOf(key: string): string {
  return key.startsWith("@") ? `postmaster${key}` : key;
}

class Collector {
  readonly uses: NextHopUse[] = [];
  readonly findings: Finding[] = [];
  readonly #configuration: Configuration;
  readonly #known = new Set<string>();

  constructor(configuration: Configuration) {
    this.#configuration = configuration;
  }

  /** A value such as "smtp:[host]:587", "relay:" or "smtp". */
  addTransport(value: string, parameter: string, sender?: string): void {
    const colon = value.indexOf(":");
    if (colon < 0) return;
    const name = value.slice(0, colon) || this.#configuration.conf.default_transport;
    this.add(name, value.slice(colon + 1), parameter, sender);
  }

  add(transport: string, sites: string, parameter: string, sender?: string): void {
    const { transports, settings } = this.#configuration;
    const name = transport.split(":", 1)[0] ?? "";
    const named = transports.find((each) => each.name === name);
    // LMTP servers are on this host, mostly, and say nothing of logins and certificates.
    if (named?.protocol !== "smtp") return;
    for (const nexthop of splitNextHops(sites)) {
      const key = `${name}\0${nexthop}`;
      if (this.#known.has(key)) continue;
      this.#known.add(key);
      this.uses.push({ transport: named, nexthop, sender, parameter, place: placeOf(settings, parameter) });
    }
  }
}

/** What the tables of a parameter hold, as far as they can be listed; a table that cannot is a notice. */
function* entriesOf(
  references: readonly string[],
  parameter: string,
  tables: Pick<Tables, "maps">,
  { findings }: Collector,
): Generator<readonly [string, string]> {
  let count = 0;
  for (const { reference, current } of tables.maps(references).slots) {
    if (current instanceof TableError) continue;
    if (!current.entries) {
      findings.push(
        finding("notice", "table-not-listed", `${parameter}: what ${reference} leads to cannot be listed`, {
          remedy: "Name the next hops that you want to have checked.",
        }),
      );
      continue;
    }
    for (const entry of current.entries()) {
      if (++count > entryLimit) return;
      yield entry;
    }
  }
}
