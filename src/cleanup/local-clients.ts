import { chain } from "../routing/answer.ts";
import { type Answer, type Maps, noMaps } from "../table/maps.ts";

/** What is known of a client. Asked for only where a word wants to know. */
export interface ClientOfMail {
  /** Numeric. */
  readonly address: string;
  readonly authenticated: boolean;
  onThisHost(): boolean;
  inMyNetworks(): boolean;
}

/**
 * The clients in whose mail headers are completed and rewritten as if it came from this host
 * (local_header_rewrite_clients). Words that are about client certificates match nobody: clients have none here.
 */
export class LocalClients {
  readonly #checks: readonly ((client: ClientOfMail) => Answer<boolean>)[];

  /** `maps` gives the table for a reference, "type:name"; it stands for itself or behind check_address_map. */
  constructor(words: readonly string[], maps: (references: readonly string[]) => Maps) {
    this.#checks = words.flatMap((written) => {
      const word = written.toLowerCase();
      if (word === "permit_inet_interfaces") return [(client) => client.onThisHost()];
      if (word === "permit_mynetworks") return [(client) => client.inMyNetworks()];
      if (word === "permit_sasl_authenticated") return [({ authenticated }) => authenticated];
      const table = written.includes(":") ? maps([written]) : noMaps;
      return table.empty ? [] : [({ address }) => chain(table.find(address), (found) => found !== undefined)];
    });
  }

  /** Throws, or rejects with, a TableError. */
  has(client: ClientOfMail, first = 0): Answer<boolean> {
    const check = this.#checks[first];
    if (!check) return false;
    return chain(check(client), (is) => is || this.has(client, first + 1));
  }
}
