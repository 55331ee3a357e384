import { addressBytes } from "../rfc5321/ip.ts";
import type { InterfaceAddress } from "../runtime/host.ts";
import type { RelayConf } from "./params.ts";

/**
 * The addresses under which this host takes mail: those of its interfaces as far as
 * inet_interfaces has them, and proxy_interfaces. Mail for a server there would come back to us.
 */
export function ownAddresses(
  conf: Pick<RelayConf, "inet_interfaces" | "proxy_interfaces">,
  interfaces: readonly InterfaceAddress[],
): string[] {
  const found = new Set<string>();
  for (const word of [...conf.inet_interfaces, ...conf.proxy_interfaces]) {
    const address = word.replace(/^\[(.*)\]$/, "$1");
    if (/^all$/i.test(word)) for (const each of interfaces) found.add(each.address);
    else if (/^loopback-only$/i.test(word)) for (const each of interfaces) each.loopback && found.add(each.address);
    else if (addressBytes(address)) found.add(address);
  }
  return [...found];
}

/** Asks whether a numeric address is one of these, however it is written. */
export function addressSet(addresses: readonly string[]): (address: string) => boolean {
  const known = new Set(addresses.map(canonical));
  return (address) => known.has(canonical(address));
}

const canonical = (address: string): string => Buffer.from(addressBytes(address) ?? []).toString("hex");
