import type { Values } from "../conf/param.ts";
import type { globalParams } from "../conf/params.ts";
import { addressBytes } from "../rfc5321/ip.ts";
import { NameError, type NameFailure, type Names } from "../runtime/names.ts";
import { asciiName } from "./host-name.ts";
import type { dnsParams } from "./params.ts";

/**
 * The addresses of one host, and how it is said that there are none. Nothing is thrown but bugs.
 */
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

export type AddressConf = Pick<
  Values<typeof dnsParams & Pick<typeof globalParams, "inet_protocols">>,
  "smtp_dns_support_level" | "disable_dns_lookups" | "smtp_host_lookup" | "inet_protocols"
>;

/** What addresses are asked of. */
export interface AddressContext {
  readonly names: Names;
  readonly conf: AddressConf;
}

/** More records than this of one answer are not looked at. */
export const recordLimit = 100;

export function dnsDisabled(conf: AddressConf): boolean {
  const level = conf.smtp_dns_support_level;
  return level === "" ? conf.disable_dns_lookups : level === "disabled";
}

/** The addresses of one host; at least one, or why there are none. */
export async function addressesOf(host: string, context: AddressContext): Promise<string[] | HostsFailure> {
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

export function failureKind(error: unknown): NameFailure {
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

export function nameFailure(name: string, type: string, kind: NameFailure): HostsFailure {
  const text = `Host or domain name not found. Name service error for name=${name} type=${type}: ${dnsTexts[kind]}`;
  return failure(kind === "tryAgain" ? "4.4.3" : "5.4.4", text);
}

export function failure(dsn: string, text: string): HostsFailure {
  return { kind: "failure", status: dsn.startsWith("4") ? "deferred" : "bounced", dsn, text, loop: false };
}

export function softened(why: HostsFailure): HostsFailure {
  return { ...why, status: "deferred", dsn: `4${why.dsn.slice(1)}` };
}

/** The failure that stands: one that defers before one that bounces, the later before the earlier. */
export function graver(one: HostsFailure | undefined, other: HostsFailure): HostsFailure {
  return one?.status === "deferred" && other.status === "bounced" ? one : other;
}

function familiesOf({ inet_protocols }: AddressConf): readonly (4 | 6)[] {
  const all = inet_protocols.includes("all");
  const families: (4 | 6)[] = [];
  if (all || inet_protocols.includes("ipv4")) families.push(4);
  if (all || inet_protocols.includes("ipv6")) families.push(6);
  return families;
}
