import { splitAddress } from "../rfc5321/path.ts";
import { parseAddressList } from "../rfc5322/addresses.ts";
import type { Answer, Maps } from "../table/maps.ts";
import { TableError } from "../table/table.ts";
import { withExtension } from "./aliases.ts";
import { chain } from "./answer.ts";
import { type AddressSearch, findAddress } from "./find-address.ts";
import type { Rewriter } from "./rewrite.ts";

/** An address leads to too many others, or around in a circle. Mail for it is not taken for now. */
export class ExpansionError extends Error {}

export interface VirtualAliasesOptions {
  readonly maps: Maps;
  readonly rewriter: Rewriter;
  readonly search: AddressSearch;
  /** propagate_unmatched_extensions has virtual in it. */
  readonly propagate: boolean;
  readonly recursionLimit: number;
  readonly expansionLimit: number;
  readonly addressLengthLimit: number;
}

/**
 * The virtual aliases (virtual(5)): any address may stand for others, and
 * those for others again, until nothing more is found. An address that stands
 * for itself among others stays.
 */
export class VirtualAliases {
  readonly #options: VirtualAliasesOptions;

  constructor(options: VirtualAliasesOptions) {
    this.#options = options;
  }

  get empty(): boolean {
    return this.#options.maps.empty;
  }

  /** Is there an entry for this address? Throws, or rejects with, a TableError. */
  has(address: string): Answer<boolean> {
    const { maps, search } = this.#options;
    return chain(maps.empty ? undefined : findAddress(maps, address, search), (found) => found !== undefined);
  }

  /**
   * Everything that an address stands for, itself where there is no entry.
   * Rejects with TableError, or with ExpansionError when a limit is reached.
   */
  async expand(address: string): Promise<readonly string[]> {
    const { recursionLimit, expansionLimit, addressLengthLimit } = this.#options;
    const addresses = [address];
    const settled = new Set<string>();
    for (let index = 0; index < addresses.length; index++) {
      if (addresses.length > expansionLimit) throw new ExpansionError(`expansion size for ${address}`);
      for (let steps = 0; ; steps++) {
        const current = addresses[index] as string;
        if (settled.has(current.toLowerCase())) break;
        if (steps >= recursionLimit) throw new ExpansionError(`nesting for ${address}`);
        const [first, ...others] = await this.#once(current);
        if (first === undefined) break;
        for (const each of [first, ...others]) {
          if (each.length > addressLengthLimit) throw new ExpansionError(`result for ${address}`);
          if (each.toLowerCase() === current.toLowerCase()) settled.add(current.toLowerCase());
        }
        addresses[index] = first;
        addresses.push(...others);
        if (addresses.length > expansionLimit) throw new ExpansionError(`expansion size for ${address}`);
      }
    }
    return addresses;
  }

  /** What one look-up gives; nothing where there is no entry. */
  async #once(address: string): Promise<readonly string[]> {
    const { maps, rewriter, search, propagate } = this.#options;
    const found = await findAddress(maps, address, search);
    if (!found) return [];
    const { value, extension } = found;
    const { local } = splitAddress(address);
    const user = value.startsWith("@") ? local.slice(0, local.length - extension.length) : "";
    const listed = parseAddressList(user + value);
    if (listed.length === 0) throw new TableError("config", `the virtual alias for ${address} has no address in it`);
    return listed.map(({ text }) => withExtension(rewriter.rewrite(text), propagate ? extension : ""));
  }
}
