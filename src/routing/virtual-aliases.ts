import type { Answer } from "../table/maps.ts";
import type { AddressMap } from "./address-map.ts";

/** An address leads to too many others, or around in a circle. Mail for it is not taken for now. */
export class ExpansionError extends Error {}

export interface VirtualAliasesOptions {
  readonly map: AddressMap;
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
    return this.#options.map.empty;
  }

  /** Is there an entry for this address? Throws, or rejects with, a TableError. */
  has(address: string): Answer<boolean> {
    return this.#options.map.has(address);
  }

  /**
   * Everything that an address stands for, itself where there is no entry.
   * Rejects with TableError, or with ExpansionError when a limit is reached.
   */
  async expand(address: string): Promise<readonly string[]> {
    const { map, recursionLimit, expansionLimit, addressLengthLimit } = this.#options;
    const addresses = [address];
    const settled = new Set<string>();
    for (let index = 0; index < addresses.length; index++) {
      if (addresses.length > expansionLimit) throw new ExpansionError(`${map.title} map expansion size for ${address}`);
      for (let steps = 0; ; steps++) {
        const current = addresses[index] as string;
        if (settled.has(current.toLowerCase())) break;
        if (steps >= recursionLimit) throw new ExpansionError(`${map.title} map nesting for ${address}`);
        const [first, ...others] = (await map.find(current)) ?? [];
        if (first === undefined) break;
        for (const each of [first, ...others]) {
          if (each.length > addressLengthLimit)
            throw new ExpansionError(`${map.title} result ${each.slice(0, 300)}...`);
          if (each.toLowerCase() === current.toLowerCase()) settled.add(current.toLowerCase());
        }
        addresses[index] = first;
        addresses.push(...others);
        if (addresses.length > expansionLimit)
          throw new ExpansionError(`${map.title} map expansion size for ${address}`);
      }
    }
    return addresses;
  }
}
