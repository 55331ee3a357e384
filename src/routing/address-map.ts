import { parseListParts } from "../rfc5322/addresses.ts";
import { quoteAddress, unquoteAddress } from "../rfc5322/quoting.ts";
import { writtenText } from "../rfc5322/tokens.ts";
import type { Answer, Maps } from "../table/maps.ts";
import { TableError } from "../table/table.ts";
import { chain } from "./answer.ts";
import { type AddressSearch, type FoundAddress, findAddress } from "./find-address.ts";
import type { Rewriter } from "./rewrite.ts";

export interface AddressMapOptions {
  /** The parameter that names the tables. */
  readonly title: string;
  readonly maps: Maps;
  readonly rewriter: Pick<Rewriter, "rewrite">;
  readonly search: AddressSearch;
  /** The extension that was left off to find an address goes to what it stands for (propagate_unmatched_extensions). */
  readonly propagate: boolean;
}

/**
 * Tables that replace an address by others: canonical, virtual and generic maps. One
 * look-up each. Addresses are quoted where they need to be; what a table gives is read as a list of
 * addresses, each made canonical. Postfix: mail_addr_map.
 */
export class AddressMap {
  readonly #options: AddressMapOptions;

  constructor(options: AddressMapOptions) {
    this.#options = options;
  }

  get empty(): boolean {
    return this.#options.maps.empty;
  }

  get title(): string {
    return this.#options.title;
  }

  has(address: string): Answer<boolean> {
    return this.#options.maps.empty ? false : chain(this.#lookUp(address), (found) => found !== undefined);
  }

  /**
   * What an address stands for, at least one address; undefined where there is no entry. Throws, or rejects with, a
   * TableError, also where an entry holds no address.
   */
  find(address: string): Answer<readonly string[] | undefined> {
    const { title, maps, propagate } = this.#options;
    if (maps.empty) return undefined;
    return chain(this.#lookUp(address), (found) => {
      if (!found) return undefined;
      const { value, extension } = found;
      const list = value.startsWith("@") ? inDomain(address, extension, value) : value;
      const addresses = this.#addresses(list, propagate ? extension : "");
      if (addresses.length > 0) return addresses;
      throw new TableError("config", `${title} lookup of ${address} returns non-address result "${value}"`);
    });
  }

  #lookUp(address: string): Answer<FoundAddress | undefined> {
    const { title, maps, search } = this.#options;
    return withTitle(title, address, () => findAddress(maps, address, search, false));
  }

  #addresses(list: string, extension: string): string[] {
    const { rewriter } = this.#options;
    const addresses: string[] = [];
    for (const part of parseListParts(list === "<>" ? '""' : list, Number.POSITIVE_INFINITY)) {
      if (part.kind !== "address") continue;
      const canonical = rewriter.rewrite(writtenText(part.tokens));
      addresses.push(withExtension(canonical, extension));
    }
    return addresses;
  }
}

/** A look-up whose failure says, in Postfix's words, which parameter's tables could not tell of which address. */
export function withTitle<T>(title: string, address: string, ask: () => Answer<T>): Answer<T> {
  const explained = (error: unknown): never => {
    if (!(error instanceof TableError)) throw error;
    throw new TableError(error.kind, `${title} map lookup problem for ${address}: ${error.message}`);
  };
  try {
    const answer = ask();
    return answer instanceof Promise ? answer.catch(explained) : answer;
  } catch (error) {
    return explained(error);
  }
}

/** The user of an address, without the extension, at another domain. */
function inDomain(address: string, extension: string, domain: string): string {
  const bare = unquoteAddress(address);
  const at = bare.lastIndexOf("@");
  const user = at < 0 ? bare : bare.slice(0, at);
  return quoteAddress(user.slice(0, user.length - extension.length) + domain);
}

/** "user@domain" with an extension: "user+ext@domain". Quoted as it needs to be. */
export function withExtension(address: string, extension: string): string {
  const bare = unquoteAddress(address);
  const at = bare.lastIndexOf("@");
  const end = at < 0 ? bare.length : at;
  return quoteAddress(bare.slice(0, end) + extension + bare.slice(end));
}
