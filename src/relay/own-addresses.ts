import { addressBytes } from "../rfc5321/ip.ts";
import type { InterfaceAddress } from "../runtime/host.ts";
import { NameError, type Names } from "../runtime/names.ts";
import type { RelayConf } from "./params.ts";

type OwnConf = Pick<RelayConf, "inet_interfaces" | "proxy_interfaces">;

/**
 * The addresses under which this host takes mail: those of its interfaces as far as
 * inet_interfaces has them, and proxy_interfaces. Mail for a server there would come back to us.
 * `named`: of the names among them, see findNamed().
 */
export function ownAddresses(
  conf: OwnConf,
  interfaces: readonly InterfaceAddress[],
  named: NamedAddresses = new Map(),
): string[] {
  const found = new Set<string>();
  for (const word of [...conf.inet_interfaces, ...conf.proxy_interfaces]) {
    const address = word.replace(/^\[(.*)\]$/, "$1");
    if (/^all$/i.test(word)) for (const each of interfaces) found.add(each.address);
    else if (/^loopback-only$/i.test(word)) for (const each of interfaces) each.loopback && found.add(each.address);
    else if (addressBytes(address)) found.add(address);
    else for (const each of named.get(word) ?? []) found.add(each);
  }
  return [...found];
}

/** The addresses of each name in inet_interfaces and proxy_interfaces. */
export type NamedAddresses = ReadonlyMap<string, readonly string[]>;

/** Looks them up as the host's own resolver has them; `unknown` is told of those that it does not know. */
export async function findNamed(
  conf: OwnConf,
  names: Pick<Names, "native">,
  unknown: (parameter: keyof OwnConf, name: string) => void,
): Promise<NamedAddresses> {
  const found = new Map<string, readonly string[]>();
  for (const parameter of ["inet_interfaces", "proxy_interfaces"] as const) {
    for (const word of conf[parameter]) {
      if (/^(all|loopback-only)$/i.test(word) || addressBytes(word.replace(/^\[(.*)\]$/, "$1")) || found.has(word))
        continue;
      try {
        found.set(
          word,
          (await names.native(word)).map(({ address }) => address),
        );
      } catch (error) {
        if (!(error instanceof NameError)) throw error;
        unknown(parameter, word);
      }
    }
  }
  return found;
}

/** Asks whether a numeric address is one of these, however it is written. */
export function addressSet(addresses: readonly string[]): (address: string) => boolean {
  const known = new Set(addresses.map(canonical));
  return (address) => known.has(canonical(address));
}

const canonical = (address: string): string => Buffer.from(addressBytes(address) ?? []).toString("hex");
