import type { Values } from "../conf/param.ts";
import type { globalParams } from "../conf/params.ts";
import type { Log } from "../log/log.ts";
import { addressBytes } from "../rfc5321/ip.ts";
import { type MxRecord, NameError, type NameFailure, type Names } from "../runtime/names.ts";
import { type Random, randomBelow } from "../runtime/random.ts";
import { asciiName, isHostName } from "./host-name.ts";
import type { NextHopAddress } from "./nexthop.ts";
import type { dnsParams } from "./params.ts";

/**
 * From a next hop to the hosts that are tried, in order (RFC 5321 section 5.1;
 * RFC 7505 for the null MX).
 *
 * Nothing is thrown: what the name service cannot tell is a failure that
 * defers, what it denies is one that bounces. A failure that defers outweighs
 * one that bounces, whichever came first: another look may find the host.
 */
export interface MailHost {
  /** As the MX record or the configuration names it: what credentials and certificates are looked up for. */
  readonly name: string;
  /** Numeric; for a Unix socket, its path as it is configured. */
  readonly address: string;
  /** 0 for a Unix socket. */
  readonly port: number;
  /** The whole path of a Unix socket. */
  readonly path?: string;
  /** Of the MX record; 0 without one. */
  readonly preference: number;
}

export interface HostsFound {
  readonly kind: "hosts";
  /** At least one, best first. */
  readonly hosts: readonly MailHost[];
  /** The names come from MX records, which whoever forges DNS can choose. */
  readonly byMx: boolean;
  /** We are one of the MX hosts: those less preferred were left out, and fallback relays must not be tried. */
  readonly foundSelf: boolean;
}

export interface HostsFailure {
  readonly kind: "failure";
  readonly status: "deferred" | "bounced";
  /** Enhanced status code. */
  readonly dsn: string;
  /** In Postfix's words. */
  readonly text: string;
  /** Mail would come back to us: fallback relays must not be tried. */
  readonly loop: boolean;
}

export type HostsConf = Values<typeof dnsParams & Pick<typeof globalParams, "inet_protocols">>;

export interface HostsContext {
  readonly names: Names;
  readonly random: Random;
  readonly conf: HostsConf;
  /** Addresses at which we take mail, and those of proxies before us. */
  readonly self: readonly string[];
  readonly log: Log;
}

/** More records than this of one answer are not looked at. */
export const recordLimit = 100;

/** How many MX hosts are looked up at once. */
const parallelLookups = 10;

export async function findHosts(hop: NextHopAddress, context: HostsContext): Promise<HostsFound | HostsFailure> {
  const noMx = hop.bracketed || hop.numeric || dnsDisabled(context.conf);
  return noMx ? hostAddresses(hop, context) : mxAddresses(hop, context);
}

/** A failure to find a relay host is the administrator's to mend, and no reason to return mail. */
export function asConfigurationProblem(failure: HostsFailure): HostsFailure {
  return failure.status === "deferred" ? failure : { ...failure, status: "deferred", dsn: "4.3.5" };
}

function dnsDisabled(conf: HostsConf): boolean {
  const level = conf.smtp_dns_support_level;
  return level === "" ? conf.disable_dns_lookups : level === "disabled";
}

async function mxAddresses(hop: NextHopAddress, context: HostsContext): Promise<HostsFound | HostsFailure> {
  let records: MxRecord[];
  try {
    records = (await context.names.mx(asciiName(hop.host))).slice(0, recordLimit);
  } catch (error) {
    const kind = failureKind(error);
    if (kind !== "tryAgain" || context.conf.ignore_mx_lookup_error) return hostAddresses(hop, context);
    return nameFailure(hop.host, "MX", kind);
  }
  const usable = records.filter(({ exchange }) => isHostName(exchange) || addressBytes(exchange));
  if (records.length > 0 && records.every(({ exchange }) => exchange === "" || exchange === ".")) {
    return failure("5.1.0", `Domain ${hop.host} does not accept mail (nullMX)`);
  }
  if (records.length === 0) return hostAddresses(hop, context);
  return fromMx(
    hop,
    usable.sort((a, b) => a.preference - b.preference),
    context,
  );
}

async function fromMx(
  hop: NextHopAddress,
  records: readonly MxRecord[],
  context: HostsContext,
): Promise<HostsFound | HostsFailure> {
  const { hosts, trouble } = await resolveAll(records, hop.port, context);
  const [best] = hosts;
  if (!best) {
    context.log.warning(`no MX host for ${hop.host} has a valid address record`);
    const why = trouble ?? failure("5.4.4", `no MX host for ${hop.host} has a valid address record`);
    return context.conf.smtp_defer_if_no_mx_address_found ? softened(why) : why;
  }
  const self = hop.port === 25 ? hosts.find(({ address }) => isSelf(address, context)) : undefined;
  const better = self ? hosts.filter(({ preference }) => preference < self.preference) : hosts;
  if (better.length > 0) {
    return { kind: "hosts", hosts: ordered(better, context), byMx: true, foundSelf: self !== undefined };
  }
  if (records[0]?.preference !== best.preference) {
    return failure("4.4.4", `unable to find primary relay for ${hop.host}`);
  }
  return loopFailure(hop.host);
}

async function resolveAll(
  records: readonly MxRecord[],
  port: number,
  context: HostsContext,
): Promise<{ hosts: MailHost[]; trouble: HostsFailure | undefined }> {
  const hosts: MailHost[] = [];
  let trouble: HostsFailure | undefined;
  for (let from = 0; from < records.length && hosts.length < recordLimit; from += parallelLookups) {
    const batch = records.slice(from, from + parallelLookups);
    const answers = await Promise.all(batch.map(({ exchange }) => addressesOf(exchange, context)));
    for (const [index, answer] of answers.entries()) {
      const record = batch[index];
      if (!record) continue;
      if (!Array.isArray(answer)) trouble = graver(trouble, answer);
      else
        for (const address of answer)
          hosts.push({ name: record.exchange, address, port, preference: record.preference });
    }
  }
  return { hosts: hosts.slice(0, recordLimit), trouble };
}

async function hostAddresses(hop: NextHopAddress, context: HostsContext): Promise<HostsFound | HostsFailure> {
  const found = await addressesOf(hop.host, context);
  if (!Array.isArray(found)) return found;
  if (hop.port === 25 && found.some((address) => isSelf(address, context))) return loopFailure(hop.host);
  const hosts = found.map((address) => ({ name: hop.host, address, port: hop.port, preference: 0 }));
  return { kind: "hosts", hosts: ordered(hosts, context), byMx: false, foundSelf: false };
}

/** The addresses of one host; at least one, or why there are none. */
async function addressesOf(host: string, context: HostsContext): Promise<string[] | HostsFailure> {
  const families = familiesOf(context.conf);
  const bytes = addressBytes(host);
  if (bytes) {
    if (families.includes(bytes.length === 4 ? 4 : 6)) return [host];
    return failure("5.4.4", `${host}: host not found`);
  }
  const lookup = dnsDisabled(context.conf) ? ["native" as const] : context.conf.smtp_host_lookup;
  let trouble: HostsFailure | undefined;
  if (lookup.includes("dns")) {
    const found = await dnsAddresses(host, families, context.names);
    if (Array.isArray(found) || found.status === "deferred" || !lookup.includes("native")) return found;
    trouble = found;
  }
  if (lookup.includes("native")) return nativeAddresses(host, families, context.names);
  return trouble ?? failure("5.4.4", `${host}: host not found`);
}

async function dnsAddresses(
  host: string,
  families: readonly (4 | 6)[],
  names: Names,
): Promise<string[] | HostsFailure> {
  const answers = await Promise.all(families.map((family) => ask(() => names.addresses(asciiName(host), family))));
  const found = answers.flatMap((answer) => (Array.isArray(answer) ? answer : [])).slice(0, recordLimit);
  if (found.length > 0) return found;
  let trouble: HostsFailure | undefined;
  for (const [index, answer] of answers.entries()) {
    const kind = Array.isArray(answer) ? "noData" : answer;
    trouble = graver(trouble, nameFailure(host, families[index] === 6 ? "AAAA" : "A", kind));
  }
  return trouble ?? failure("4.4.4", "all network protocols are disabled");
}

async function nativeAddresses(
  host: string,
  families: readonly (4 | 6)[],
  names: Names,
): Promise<string[] | HostsFailure> {
  const answer = await ask(() => names.native(asciiName(host)));
  if (!Array.isArray(answer)) {
    const text = `unable to look up host ${host}: ${nativeTexts[answer]}`;
    return failure(answer === "tryAgain" ? "4.4.4" : "5.4.4", text);
  }
  const found = answer.filter(({ family }) => families.includes(family)).map(({ address }) => address);
  return found.length > 0 ? found.slice(0, recordLimit) : failure("5.4.4", `${host}: host not found`);
}

async function ask<T>(question: () => Promise<T[]>): Promise<T[] | NameFailure> {
  try {
    return await question();
  } catch (error) {
    return failureKind(error);
  }
}

function failureKind(error: unknown): NameFailure {
  if (error instanceof NameError) return error.kind;
  throw error;
}

const dnsTexts: Readonly<Record<NameFailure, string>> = {
  notFound: "Host not found",
  noData: "Host found but no data record of requested type",
  tryAgain: "Host not found, try again",
};

/** As getaddrinfo(3) says it. */
const nativeTexts: Readonly<Record<NameFailure, string>> = {
  notFound: "Name or service not known",
  noData: "No address associated with hostname",
  tryAgain: "Temporary failure in name resolution",
};

function nameFailure(name: string, type: string, kind: NameFailure): HostsFailure {
  const text = `Host or domain name not found. Name service error for name=${name} type=${type}: ${dnsTexts[kind]}`;
  return failure(kind === "tryAgain" ? "4.4.3" : "5.4.4", text);
}

function failure(dsn: string, text: string): HostsFailure {
  return { kind: "failure", status: dsn.startsWith("4") ? "deferred" : "bounced", dsn, text, loop: false };
}

function loopFailure(name: string): HostsFailure {
  return { ...failure("5.4.6", `mail for ${name} loops back to myself`), loop: true };
}

function softened(why: HostsFailure): HostsFailure {
  return { ...why, status: "deferred", dsn: `4${why.dsn.slice(1)}` };
}

/** The failure that stands: one that defers before one that bounces, the later before the earlier. */
function graver(one: HostsFailure | undefined, other: HostsFailure): HostsFailure {
  return one?.status === "deferred" && other.status === "bounced" ? one : other;
}

function familiesOf({ inet_protocols }: HostsConf): readonly (4 | 6)[] {
  const all = inet_protocols.includes("all");
  const families: (4 | 6)[] = [];
  if (all || inet_protocols.includes("ipv4")) families.push(4);
  if (all || inet_protocols.includes("ipv6")) families.push(6);
  return families;
}

function isSelf(address: string, { self }: HostsContext): boolean {
  const bytes = addressBytes(address);
  return bytes !== undefined && self.some((each) => sameBytes(bytes, addressBytes(each)));
}

function sameBytes(one: Uint8Array, other: Uint8Array | undefined): boolean {
  return other !== undefined && one.length === other.length && one.every((byte, index) => byte === other[index]);
}

/** By preference; among equals shuffled, then by address family as smtp_address_preference asks; cut off at the limit. */
function ordered(hosts: readonly MailHost[], { conf, random }: HostsContext): readonly MailHost[] {
  const list = conf.smtp_randomize_addresses ? shuffled(hosts, random) : [...hosts];
  const preferred = conf.smtp_address_preference;
  const rank = ({ address }: MailHost): number => {
    if (preferred === "any") return 0;
    return isIpv6(address) === (preferred === "ipv6") ? 0 : 1;
  };
  list.sort((a, b) => a.preference - b.preference || rank(a) - rank(b));
  const limit = conf.smtp_mx_address_limit || recordLimit;
  return conf.smtp_balance_inet_protocols ? balanced(list, limit) : list.slice(0, limit);
}

/** The first `limit`, with neither address family crowding the other out: each keeps half, or as many as it has. */
function balanced(list: readonly MailHost[], limit: number): readonly MailHost[] {
  if (list.length <= limit) return list;
  const six = list.filter(({ address }) => isIpv6(address)).length;
  const four = list.length - six;
  const half = Math.floor(limit / 2);
  const firstIsFour = list[0] !== undefined && !isIpv6(list[0].address);
  const evenFour = firstIsFour ? limit - half : half;
  let fourLeft = six <= half ? limit - six : four <= half ? four : evenFour;
  let sixLeft = limit - fourLeft;
  return list.filter(({ address }) => (isIpv6(address) ? sixLeft-- > 0 : fourLeft-- > 0));
}

const isIpv6 = (address: string): boolean => address.includes(":");

function shuffled<T>(list: readonly T[], random: Random): T[] {
  const result = [...list];
  for (let last = result.length - 1; last > 0; last--) {
    const other = randomBelow(random, last + 1);
    const moved = result[last] as T;
    result[last] = result[other] as T;
    result[other] = moved;
  }
  return result;
}
