/**
 * The places where a delivery may be taken, in their order: what the next hop lists, then the fallback relays.
 *
 *   SMTP   domain, [host], with :port; several, separated by commas or white space
 *   LMTP   inet:host:port or host:port, several; never with MX look-up
 *          unix:path, alone, and without fallback relays
 */
import { join } from "node:path";
import { findHosts, type HostsFailure, type HostsFound } from "../dns/hosts.ts";
import { type NextHopAddress, parseNextHop, splitNextHops } from "../dns/nexthop.ts";
import type { Log } from "../log/log.ts";
import type { SmtpParts } from "./parts.ts";

export interface Site {
  /** `written` is what tables are keyed by: without `inet:` and `unix:`. */
  readonly hop: NextHopAddress;
  /** Of a Unix socket, the whole path. */
  readonly path?: string;
}

export interface Sites {
  readonly texts: readonly string[];
  /** How many of them the next hop itself lists. */
  readonly own: number;
}

const unix = "unix:";
const inet = "inet:";

export function sitesOf(nexthop: string, { protocol, conf }: Pick<SmtpParts, "protocol" | "conf">): Sites {
  if (protocol === "lmtp" && nexthop.startsWith(unix)) return { texts: [nexthop], own: 1 };
  const bare = protocol === "lmtp" && nexthop.startsWith(inet) ? nexthop.slice(inet.length) : nexthop;
  const own = splitNextHops(bare);
  return { texts: [...own, ...conf.smtp_fallback_relay], own: own.length };
}

export function parseSite(
  text: string,
  { protocol, conf, queueDirectory }: SmtpParts,
): Site | { readonly error: string } {
  if (protocol === "lmtp" && text.startsWith(unix)) {
    const written = text.slice(unix.length);
    if (written === "") return { error: `missing path in server description: ${text}` };
    const path = written.startsWith("/") ? written : join(queueDirectory, written);
    return { hop: { written, host: conf.myhostname, port: 0, service: "", bracketed: true, numeric: false }, path };
  }
  const hop = parseNextHop(text, conf.smtp_tcp_port);
  return "error" in hop ? hop : { hop };
}

/** The hosts of a site. A Unix socket goes by our own name, as in Postfix's log: mx.example[private/lmtp]. */
export async function findSite(site: Site, parts: SmtpParts, log: Log): Promise<HostsFound | HostsFailure> {
  const { conf, runtime, self, protocol } = parts;
  const { hop, path } = site;
  if (path !== undefined) {
    const host = { name: hop.host, address: hop.written, port: 0, preference: 0, path };
    return { kind: "hosts", hosts: [host], byMx: false, foundSelf: false };
  }
  const context = { names: runtime.names, random: runtime.random, conf, log };
  if (protocol === "smtp") return findHosts(hop, { ...context, self });
  // An LMTP server may well be on this host, and a domain's MX hosts are no LMTP servers.
  return findHosts(hop, { ...context, self: [] }, false);
}
