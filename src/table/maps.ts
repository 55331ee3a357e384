import { type Table, TableError } from "./table.ts";

/** A table in use, under the name the configuration gives it. `current` is exchanged whole when the file has changed. */
export interface TableSlot {
  /** "hash:/etc/postfix/sasl_passwd" */
  readonly reference: string;
  readonly patterns: boolean;
  /** The error stands where the table could not be opened: every look-up then cannot tell. */
  current: Table | TableError;
}

/** What a look-up gives at once, or later. */
export type Answer<T> = T | Promise<T>;

/**
 * A parameter that names several tables: asked in their order, the first hit
 * wins, and one that cannot tell ends the search with its TableError.
 */
export class Maps {
  readonly slots: readonly TableSlot[];

  constructor(slots: readonly TableSlot[]) {
    this.slots = slots;
  }

  get empty(): boolean {
    return this.slots.length === 0;
  }

  /** `partial`: the key is a shortened one, which tables of patterns are not asked. An empty value counts as absent. */
  find(key: string, partial = false): Answer<string | undefined> {
    return this.#from(0, key, partial);
  }

  #from(first: number, key: string, partial: boolean): Answer<string | undefined> {
    for (let index = first; index < this.slots.length; index++) {
      const slot = this.slots[index];
      if (!slot || (partial && slot.patterns)) continue;
      if (slot.current instanceof TableError) throw slot.current;
      const found = slot.current.get(key);
      if (found instanceof Promise) return found.then((value) => value || this.#from(index + 1, key, partial));
      if (found) return found;
    }
    return undefined;
  }
}

export const noMaps: Maps = new Maps([]);
