import type { Values } from "../conf/param.ts";
import type { globalParams } from "../conf/params.ts";
import type { Log } from "../log/log.ts";
import { addressBytes } from "../rfc5321/ip.ts";
import type { MxRecord, SrvRecord } from "../runtime/names.ts";
import type { Random } from "../runtime/random.ts";
import {
  type AddressContext,
  addressesOf,
  dnsDisabled,
  failure,
  failureKind,
  graver,
  type HostsFailure,
  nameFailure,
  recordLimit,
  softened,
} from "./addresses.ts";
import { asciiName, isHostName } from "./host-name.ts";
import type { NextHopAddress } from "./nexthop.ts";
import { byWeight, limited, ordered } from "./order.ts";
import type { dnsParams } from "./params.ts";

export type { HostsFailure } from "./addresses.ts";

/**
 * From a next hop to the hosts that are tried, in order (RFC 5321 section 5.1;
 * RFC 7505 for the null MX; RFC 2782 and RFC 6186 for SRV records).
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
  /** Of the MX record, or the priority of the SRV record; 0 without one. */
  readonly preference: number;
}

export interface HostsFound {
  readonly kind: "hosts";
  /** At least one, best first. */
  readonly hosts: readonly MailHost[];
  /** The names come from MX or SRV records, which whoever forges DNS can choose. */
  readonly byMx: boolean;
  /** We are one of the MX hosts: those less preferred were left out, and fallback relays must not be tried. */
  readonly foundSelf: boolean;
}

export type HostsConf = Values<typeof dnsParams & Pick<typeof globalParams, "inet_protocols">>;

export interface HostsContext extends AddressContext {
  readonly random: Random;
  readonly conf: HostsConf;
  /** Addresses at which we take mail, and those of proxies before us. */
  readonly self: readonly string[];
  readonly log: Log;
}

/** How many MX hosts are looked up at once. */
const parallelLookups = 10;

/** `lookUpMx` false: the next hop is a host, whatever it looks like (LMTP). */
export async function findHosts(
  hop: NextHopAddress,
  context: HostsContext,
  lookUpMx = true,
): Promise<HostsFound | HostsFailure> {
  const direct = hop.bracketed || hop.numeric || dnsDisabled(context.conf);
  if (!direct && context.conf.use_srv_lookup.includes(hop.service)) return srvAddresses(hop, context, lookUpMx);
  return direct || !lookUpMx ? hostAddresses(hop, context) : mxAddresses(hop, context);
}

/** A failure to find a relay host is the administrator's to mend, and no reason to return mail. */
export function asConfigurationProblem(failure: HostsFailure): HostsFailure {
  return failure.status === "deferred" ? failure : { ...failure, status: "deferred", dsn: "4.3.5" };
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
  const targets = usable
    .sort((a, b) => a.preference - b.preference)
    .map(({ exchange, preference }) => ({ name: exchange, port: hop.port, preference }));
  return fromTargets({ name: hop.host, targets, hop, kind: "MX" }, context);
}

/** The hosts that the SRV records of the next hop's service name, in RFC 2782's order; where that is permitted, others when there are none. */
async function srvAddresses(
  hop: NextHopAddress,
  context: HostsContext,
  lookUpMx: boolean,
): Promise<HostsFound | HostsFailure> {
  const { conf, log } = context;
  const name = `_${hop.service}._tcp.${hop.host}`;
  const { found, unsure } = await fromSrv(name, hop, context);
  const elsewhere = conf.allow_srv_lookup_fallback || (unsure && conf.ignore_srv_lookup_error);
  if (found.kind === "hosts" || !elsewhere) return found;
  log.info(`skipping SRV lookup for ${name}: ${found.text}`);
  return lookUpMx ? mxAddresses(hop, context) : hostAddresses(hop, context);
}

/** `unsure`: the name service could not tell. */
async function fromSrv(
  name: string,
  hop: NextHopAddress,
  context: HostsContext,
): Promise<{ readonly found: HostsFound | HostsFailure; readonly unsure: boolean }> {
  const sure = (found: HostsFound | HostsFailure) => ({ found, unsure: false });
  let records: SrvRecord[];
  try {
    records = (await context.names.srv(asciiName(name))).slice(0, recordLimit);
  } catch (error) {
    const kind = failureKind(error);
    return { found: nameFailure(name, "SRV", kind), unsure: kind === "tryAgain" };
  }
  if (records.length === 0) return sure(nameFailure(name, "SRV", "noData"));
  if (records.every(({ target }) => target === "" || target === ".")) {
    return sure(failure("5.1.0", `Domain ${name} does not support SRV requests`));
  }
  const usable = records.filter(({ target }) => isHostName(target));
  const targets = byWeight(usable, context.random).map(({ target, port, priority }) => ({
    ...{ name: target, port, preference: priority },
  }));
  return sure(await fromTargets({ name, targets, hop, kind: "SRV" }, context));
}

/** A host as a record names it. */
interface Target {
  readonly name: string;
  readonly port: number;
  readonly preference: number;
}

interface Targets {
  /** What was asked for. */
  readonly name: string;
  /** Best first. */
  readonly targets: readonly Target[];
  readonly hop: NextHopAddress;
  readonly kind: "MX" | "SRV";
}

async function fromTargets(
  { name, targets, hop, kind }: Targets,
  context: HostsContext,
): Promise<HostsFound | HostsFailure> {
  const { hosts, trouble } = await resolveAll(targets, context);
  const [best] = hosts;
  if (!best) {
    const text = `no ${kind} host for ${name} has a valid address record`;
    context.log.warning(text);
    const why = trouble ?? failure("5.4.4", text);
    return kind === "MX" && context.conf.smtp_defer_if_no_mx_address_found ? softened(why) : why;
  }
  const self = hop.port === 25 ? hosts.find(({ address }) => isSelf(address, context)) : undefined;
  const better = self ? hosts.filter(({ preference }) => preference < self.preference) : hosts;
  if (better.length > 0) {
    const inOrder = kind === "MX" ? ordered(better, context) : limited(better, context.conf);
    return { kind: "hosts", hosts: inOrder, byMx: true, foundSelf: self !== undefined };
  }
  if (targets[0]?.preference !== best.preference) {
    return failure("4.4.4", `unable to find primary relay for ${name}`);
  }
  return loopFailure(name);
}

async function resolveAll(
  targets: readonly Target[],
  context: HostsContext,
): Promise<{ hosts: MailHost[]; trouble: HostsFailure | undefined }> {
  const hosts: MailHost[] = [];
  let trouble: HostsFailure | undefined;
  for (let from = 0; from < targets.length && hosts.length < recordLimit; from += parallelLookups) {
    const batch = targets.slice(from, from + parallelLookups);
    const answers = await Promise.all(batch.map(({ name }) => addressesOf(name, context)));
    for (const [index, answer] of answers.entries()) {
      const target = batch[index];
      if (!target) continue;
      if (!Array.isArray(answer)) trouble = graver(trouble, answer);
      else for (const address of answer) hosts.push({ ...target, address });
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

function loopFailure(name: string): HostsFailure {
  return { ...failure("5.4.6", `mail for ${name} loops back to myself`), loop: true };
}

function isSelf(address: string, { self }: HostsContext): boolean {
  const bytes = addressBytes(address);
  return bytes !== undefined && self.some((each) => sameBytes(bytes, addressBytes(each)));
}

function sameBytes(one: Uint8Array, other: Uint8Array | undefined): boolean {
  return other !== undefined && one.length === other.length && one.every((byte, index) => byte === other[index]);
}
