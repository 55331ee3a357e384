import type { InterfaceAddress } from "../runtime/host.ts";

/** What the defaults of some parameters are made of. Plain data, so that it can be handed to another process. */
export interface HostFacts {
  readonly name: string;
  readonly interfaces: readonly InterfaceAddress[];
  /** Addresses of the names in inet_interfaces. */
  readonly addressesOf?: Readonly<Record<string, readonly string[]>>;
}

/** The domain of a host whose name has none. */
export const fallbackDomain = "localdomain";

/** myhostname of a host that calls itself `name`: completed with `domain` where it has no dot. */
export function defaultHostname(name: string, domain: string): string {
  return name.includes(".") ? name : `${name}.${domain}`;
}

/** mydomain of `hostname`: what follows its first dot. */
export function defaultDomain(hostname: string): string {
  const dot = hostname.indexOf(".");
  return dot < 0 ? fallbackDomain : hostname.slice(dot + 1);
}

interface NetworksOptions {
  /** "class", "subnet" or "host"; anything else is taken as "host". */
  readonly style: string;
  /** inet_interfaces and inet_protocols, as words. */
  readonly interfaces: readonly string[];
  readonly protocols: readonly string[];
}

/**
 * mynetworks as mynetworks_style makes it: for each address that mail is taken
 * on, itself, its subnet, or its historic class (an IPv6 address has none: its
 * subnet), each network once. A name in inet_interfaces whose address is not
 * known, or not this host's, gives no network.
 */
export function defaultNetworks(host: HostFacts, options: NetworksOptions): string {
  const families = new Set(
    options.protocols.flatMap((word) => (word === "all" ? [4, 6] : word === "ipv4" ? [4] : word === "ipv6" ? [6] : [])),
  );
  const mine = selected(host, options.interfaces).filter(({ family }) => families.has(family));
  const networks = new Set<string>();
  for (const each of mine.toSorted((a, b) => a.family - b.family)) {
    const bits = networkBits(each, options.style);
    networks.add(
      each.family === 4 ? `${masked4(each.address, bits)}/${bits}` : `[${masked6(each.address, bits)}]/${bits}`,
    );
  }
  return [...networks].join(" ");
}

function selected(host: HostFacts, words: readonly string[]): readonly InterfaceAddress[] {
  const [word = ""] = words;
  if (words.length === 1 && word.toLowerCase() === "all") return host.interfaces;
  if (words.length === 1 && word.toLowerCase() === "loopback-only") return host.interfaces.filter(isLoopback);
  return words.flatMap((each) => {
    const addresses = [each.replace(/^\[(.*)\]$/, "$1"), ...(host.addressesOf?.[each] ?? [])];
    return host.interfaces.filter((known) => addresses.some((address) => sameAddress(known.address, address)));
  });
}

function isLoopback({ address, family }: InterfaceAddress): boolean {
  return family === 4 ? address.startsWith("127.") : sameAddress(address, "::1");
}

function sameAddress(one: string, other: string): boolean {
  if (one === other) return true;
  return one.includes(":") && other.includes(":") && bytes6(one).equals(bytes6(other));
}

function networkBits({ address, family, prefix_bits }: InterfaceAddress, style: string): number {
  if (style === "class" && family === 4) {
    const first = Number(address.split(".")[0]);
    return first < 128 ? 8 : first < 192 ? 16 : first < 224 ? 24 : 4;
  }
  if (style === "class" || style === "subnet") return prefix_bits;
  return family === 4 ? 32 : 128;
}

function masked4(address: string, bits: number): string {
  const bytes = Buffer.from(address.split(".").map(Number));
  return mask(bytes, bits).join(".");
}

function masked6(address: string, bits: number): string {
  return format6(mask(bytes6(address), bits));
}

function mask(bytes: Buffer, bits: number): Buffer {
  return Buffer.from(bytes.map((byte, at) => byte & (0xff00 >> Math.min(8, Math.max(0, bits - at * 8)))));
}

/** The 16 bytes of an IPv6 address without a zone. */
function bytes6(address: string): Buffer {
  const [, v4] = /:(\d+\.\d+\.\d+\.\d+)$/.exec(address) ?? [];
  const text = v4 ? address.replace(v4, v4Groups(v4)) : address;
  const [head = "", tail] = text.split("::");
  const groups = (part: string) => (part ? part.split(":").map((group) => Number.parseInt(group, 16)) : []);
  const before = groups(head);
  const after = tail === undefined ? [] : groups(tail);
  const zeros = new Array<number>(Math.max(0, 8 - before.length - after.length)).fill(0);
  const bytes = Buffer.alloc(16);
  for (const [at, group] of [...before, ...zeros, ...after].slice(0, 8).entries())
    bytes.writeUInt16BE(group & 0xffff, at * 2);
  return bytes;
}

function v4Groups(v4: string): string {
  const [a = 0, b = 0, c = 0, d = 0] = v4.split(".").map(Number);
  return `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
}

/** RFC 5952: lower case, no leading zeros, the longest run of zeros as "::". */
function format6(bytes: Buffer): string {
  const groups = Array.from({ length: 8 }, (_, at) => bytes.readUInt16BE(at * 2));
  let best = { start: 0, length: 0 };
  for (let start = 0; start < 8; start++) {
    let length = 0;
    while (groups[start + length] === 0) length++;
    if (length > best.length) best = { start, length };
  }
  const hex = (part: readonly number[]) => part.map((group) => group.toString(16)).join(":");
  if (best.length < 2) return hex(groups);
  return `${hex(groups.slice(0, best.start))}::${hex(groups.slice(best.start + best.length))}`;
}
