import type { Answer } from "../table/maps.ts";
import { chain } from "./answer.ts";
import type { DomainList } from "./domain-list.ts";

interface Domain {
  readonly name: string;
  /** With a ! in front: its subdomains are left alone. */
  readonly keeps: boolean;
}

/**
 * Hides the hosts behind a domain (masquerade_domains): user@host.example.com becomes
 * user@example.com. The first domain that is, or has in it, the address's domain decides.
 */
export class Masquerade {
  readonly #domains: readonly Domain[];
  readonly #exceptions: DomainList;

  /** `exceptions` are local parts in any domain, compared whole. */
  constructor(domains: readonly string[], exceptions: DomainList) {
    this.#domains = domains.flatMap((written) => {
      const name = written.replace(/^!+/, "").toLowerCase();
      return name === "" ? [] : [{ name, keeps: (written.length - name.length) % 2 === 1 }];
    });
    this.#exceptions = exceptions;
  }

  get empty(): boolean {
    return this.#domains.length === 0;
  }

  /** Quoted where it needs to be, in and out. Throws, or rejects with, a TableError of masquerade_exceptions. */
  readonly rewrite = (address: string): Answer<string> => {
    const at = address.lastIndexOf("@");
    if (at < 0) return address;
    const masked = this.#masked(address.slice(at + 1).toLowerCase());
    if (masked === undefined) return address;
    const local = address.slice(0, at);
    return chain(this.#exceptions.match(local), (excepted) => (excepted ? address : `${local}@${masked}`));
  };

  #masked(domain: string): string | undefined {
    const found = this.#domains.find(({ name }) => name === domain || domain.endsWith(`.${name}`));
    return found === undefined || found.keeps || found.name === domain ? undefined : found.name;
  }
}
