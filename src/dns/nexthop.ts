import { addressBytes } from "../rfc5321/ip.ts";
import { isHostName } from "./host-name.ts";

/**
 * A next hop as the configuration writes it:
 *
 *   [host]  [host]:port  [192.0.2.1]:port  [IPv6:2001:db8::1]   this host: no MX look-up
 *   host    host:port                                           a domain: its MX records first
 *
 * The port is a number or one of the service names below.
 */
export interface NextHopAddress {
  /** As written; tables are keyed by this. */
  readonly written: string;
  /** Without brackets, "IPv6:" and port. */
  readonly host: string;
  readonly port: number;
  /** The port or the service as it is written, or the default: what SRV records are looked up for. */
  readonly service: string;
  readonly bracketed: boolean;
  /** `host` is a numeric address. */
  readonly numeric: boolean;
}

/** Service names, as Postfix's known_tcp_ports has them; with the names that /etc/services gives the same ports. */
const services: Readonly<Record<string, number>> = {
  smtp: 25,
  mail: 25,
  lmtp: 24,
  submission: 587,
  submissions: 465,
  smtps: 465,
  ssmtp: 465,
  urd: 465,
};

/** The port of a number or service name; undefined for what is neither. */
export function portOf(service: string): number | undefined {
  if (!/^\d+$/.test(service)) return services[service.toLowerCase()];
  const port = Number(service);
  return port >= 1 && port <= 65535 ? port : undefined;
}

/** One next hop, or what is wrong with it. `defaultService` is smtp_tcp_port. */
export function parseNextHop(written: string, defaultService = "smtp"): NextHopAddress | { readonly error: string } {
  const wrong = (error: string) => ({ error: `${error} in server description: ${written}` });
  const bracketed = written.startsWith("[");
  const [, inside, after] = bracketed ? (/^\[([^\]]*)\](.*)$/s.exec(written) ?? []) : [];
  if (bracketed && inside === undefined) return wrong('missing "]"');
  if (after && !after.startsWith(":")) return wrong('garbage after "]"');
  const colon = written.lastIndexOf(":");
  const ipv6 = /^ipv6:/i.test(inside ?? "");
  const host = bracketed ? (inside ?? "").slice(ipv6 ? 5 : 0) : colon < 0 ? written : written.slice(0, colon);
  const service = (bracketed ? after?.slice(1) : colon < 0 ? "" : written.slice(colon + 1)) || defaultService;
  const numeric = addressBytes(host) !== undefined;
  if (ipv6 && !(numeric && host.includes(":"))) return wrong("malformed IPv6 address");
  if (!host) return wrong("missing host information");
  if (!numeric && !isHostName(host)) return wrong("valid hostname or network address required");
  const port = portOf(service);
  if (port === undefined)
    return wrong(/^\d/.test(service) ? `bad network port: ${service}` : `unknown service: ${service}/tcp`);
  return { written, host, port, service, bracketed, numeric };
}

/** A next hop that lists several, separated by commas or white space, in the order to be tried. */
export function splitNextHops(text: string): readonly string[] {
  return text.split(/[\s,]+/).filter(Boolean);
}
