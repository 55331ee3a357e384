import { lookup, Resolver } from "node:dns/promises";

export interface MxRecord {
  readonly preference: number;
  readonly exchange: string;
}

/** RFC 2782. */
export interface SrvRecord {
  readonly priority: number;
  readonly weight: number;
  readonly port: number;
  /** "." or "" where the service is decidedly not there. */
  readonly target: string;
}

/** Why the name service gave no records. "notFound": the name does not exist; "noData": it does, without such records; "tryAgain": it cannot tell. */
export type NameFailure = "notFound" | "noData" | "tryAgain";

export class NameError extends Error {
  readonly kind: NameFailure;

  constructor(kind: NameFailure, message: string) {
    super(message);
    this.kind = kind;
  }
}

/** The name service. Every method throws NameError, and nothing else. */
export interface Names {
  addresses(name: string, family: 4 | 6): Promise<string[]>;
  mx(name: string): Promise<MxRecord[]>;
  srv(name: string): Promise<SrvRecord[]>;
  /** Names of an address (PTR). */
  reverse(address: string): Promise<string[]>;
  /** Addresses as the host's own resolver gives them, /etc/hosts included (getaddrinfo(3)). Occupies a pool thread meanwhile. */
  native(name: string): Promise<{ address: string; family: 4 | 6 }[]>;
}

const kinds: Record<string, NameFailure> = { ENOTFOUND: "notFound", ENODATA: "noData" };

function nameError(name: string, error: unknown): NameError {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  return new NameError(kinds[code] ?? "tryAgain", `${name}: ${code || String(error)}`);
}

/** Through c-ares, which asks the servers of /etc/resolv.conf without occupying the thread pool that syncs need. */
export function realNames(servers?: readonly string[]): Names {
  let resolver: Resolver | undefined;
  const ask = async <T>(name: string, question: (resolver: Resolver) => Promise<T>): Promise<T> => {
    if (!resolver) {
      resolver = new Resolver({ timeout: 5000, tries: 2 });
      if (servers) resolver.setServers(servers);
    }
    try {
      return await question(resolver);
    } catch (error) {
      throw nameError(name, error);
    }
  };
  return {
    addresses: (name, family) => ask(name, (dns) => (family === 4 ? dns.resolve4(name) : dns.resolve6(name))),
    mx: (name) =>
      ask(name, async (dns) => {
        const records = await dns.resolveMx(name);
        return records.map(({ priority, exchange }) => ({ preference: priority, exchange }));
      }),
    srv: (name) =>
      ask(name, async (dns) => {
        const records = await dns.resolveSrv(name);
        return records.map(({ priority, weight, port, name }) => ({ priority, weight, port, target: name }));
      }),
    reverse: (address) => ask(address, (dns) => dns.reverse(address)),
    async native(name) {
      try {
        const found = await lookup(name, { all: true });
        return found.map(({ address, family }) => ({ address, family: family === 6 ? 6 : 4 }));
      } catch (error) {
        throw nameError(name, error);
      }
    },
  };
}
