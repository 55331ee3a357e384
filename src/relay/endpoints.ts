import type { InetEndpoint } from "../conf/master-cf.ts";
import type { Endpoint } from "../runtime/net.ts";

/** One address of an inet service. */
export interface ServiceEndpoint {
  readonly endpoint: Endpoint;
  /** One of a wildcard pair: left out without complaint where the host lacks that protocol. */
  readonly optional: boolean;
}

export interface ListenConf {
  /** inet_interfaces and inet_protocols, as words. */
  readonly inet_interfaces: readonly string[];
  readonly inet_protocols: readonly string[];
}

/**
 * Where an inet service of master.cf listens: its own host, or what inet_interfaces
 * says. `resolve` turns a name into numeric addresses; it may throw.
 */
export async function serviceEndpoints(
  service: InetEndpoint,
  conf: ListenConf,
  resolve: (name: string) => Promise<readonly string[]>,
): Promise<ServiceEndpoint[]> {
  const { port } = service;
  const words = service.host === "" ? conf.inet_interfaces : [service.host];
  const found: ServiceEndpoint[] = [];
  for (const word of words) {
    const wildcard = service.host === "" && /^all$/i.test(word);
    const loopback = service.host === "" && /^loopback-only$/i.test(word);
    const optional = wildcard || loopback;
    const addresses = wildcard
      ? ["0.0.0.0", "::"]
      : loopback
        ? ["127.0.0.1", "::1"]
        : isNumeric(word)
          ? [word.replace(/^\[(.*)\]$/, "$1")]
          : await resolve(word);
    for (const address of addresses) {
      if (speaks(conf, address)) found.push({ endpoint: { address, port }, optional });
    }
  }
  return found.filter(
    ({ endpoint }, at) => found.findIndex((each) => each.endpoint.address === endpoint.address) === at,
  );
}

const isNumeric = (word: string): boolean => /^\d+\.\d+\.\d+\.\d+$/.test(word) || word.includes(":");

function speaks({ inet_protocols }: ListenConf, address: string): boolean {
  if (inet_protocols.includes("all")) return true;
  return inet_protocols.includes(address.includes(":") ? "ipv6" : "ipv4");
}
