import { errorCode } from "../runtime/files.ts";
import type { BoundAddress, Endpoint, Net } from "../runtime/net.ts";

/** An address that a line of master.cf asks for. */
export interface WantedSocket {
  readonly line: number;
  readonly endpoint: Endpoint;
  /** One of a wildcard pair: where the host lacks that protocol, it is left out without complaint. */
  readonly optional: boolean;
}

export interface HeldSocket extends WantedSocket {
  readonly bound: BoundAddress;
}

export class ListenError extends Error {}

/**
 * The listening sockets, which outlive every relay: they are bound here, before
 * privileges are dropped, and handed down. The master never accepts on them.
 */
export class Sockets {
  readonly #net: Net;
  #held = new Map<string, HeldSocket>();

  constructor(net: Net) {
    this.#net = net;
  }

  /**
   * Takes what is wanted and not yet held. Gives all that is wanted, and what to call
   * when the change is final (lets go of the others) or is given up (lets go of the new
   * ones). Throws ListenError, with nothing changed. A change at a time: keep or undo before the next.
   */
  take(wanted: readonly WantedSocket[]): { held: readonly HeldSocket[]; keep(): void; undo(): void } {
    const next = new Map<string, HeldSocket>();
    const fresh: HeldSocket[] = [];
    const undo = (): void => {
      for (const each of fresh) each.bound.close();
    };
    for (const want of wanted) {
      const name = nameOf(want.endpoint);
      const twice = next.get(name);
      if (twice) {
        undo();
        throw new ListenError(
          `cannot listen on ${name} for line ${want.line} of master.cf: line ${twice.line} does already. Remove one of them, or give it another address or port`,
        );
      }
      const already = this.#held.get(name);
      if (already) {
        next.set(name, { ...want, bound: already.bound });
        continue;
      }
      try {
        const bound = { ...want, bound: this.#net.bind(want.endpoint) };
        fresh.push(bound);
        next.set(name, bound);
      } catch (error) {
        if (want.optional && /^(EAFNOSUPPORT|EADDRNOTAVAIL|EINVAL)$/.test(errorCode(error))) continue;
        undo();
        throw new ListenError(this.#overlaps(want, error) ?? listenProblem(want, error));
      }
    }
    const keep = (): void => {
      for (const [name, { bound }] of this.#held) if (!next.has(name)) bound.close();
      this.#held = next;
    };
    return { held: [...next.values()], keep, undo };
  }

  /** What keeps a port from being bound may be ourselves: 127.0.0.1:25 cannot be had while 0.0.0.0:25 is held. */
  #overlaps({ endpoint, line }: WantedSocket, error: unknown): string | undefined {
    const ours = [...this.#held.values()].find((held) => held.endpoint.port === endpoint.port);
    if (errorCode(error) !== "EADDRINUSE" || !ours) return undefined;
    return `cannot listen on ${nameOf(endpoint)} (master.cf, line ${line}) while Postern itself listens on ${nameOf(ours.endpoint)}: this change takes a stop and a start`;
  }

  close(): void {
    for (const { bound } of this.#held.values()) bound.close();
    this.#held.clear();
  }
}

const nameOf = ({ address, port }: Endpoint): string => `[${address}]:${port}`;

/** What is wrong, and what to do about it. */
export function listenProblem({ endpoint, line }: Pick<WantedSocket, "endpoint" | "line">, error: unknown): string {
  const where = `${nameOf(endpoint)} (master.cf, line ${line})`;
  switch (errorCode(error)) {
    case "EADDRINUSE":
      return `cannot listen on ${where}: another program does. 'ss -ltnp sport = :${endpoint.port}' shows which; stop it, or choose another port in master.cf`;
    case "EACCES":
      return `cannot listen on ${where}: ports below 1024 are for root. Start as root, or choose a higher port in master.cf`;
    case "EADDRNOTAVAIL":
      return `cannot listen on ${where}: this host has no such address. Correct inet_interfaces or the entry in master.cf`;
    default:
      return `cannot listen on ${where}: ${error instanceof Error ? error.message : String(error)}`;
  }
}
