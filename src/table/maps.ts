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

  /** The same for a key of bytes (Table.find). An empty value ends the search, and is given; an empty key is not looked up. */
  findBytes(key: Buffer): Answer<Buffer | undefined> {
    return key.length === 0 ? undefined : this.#bytesFrom(0, key);
  }

  #bytesFrom(first: number, key: Buffer): Answer<Buffer | undefined> {
    for (let index = first; index < this.slots.length; index++) {
      const current = this.slots[index]?.current;
      if (!current) continue;
      if (current instanceof TableError) throw current;
      const found = bytesOf(current, key);
      if (found instanceof Promise) {
        return found.then((value) => value ?? this.#bytesFrom(index + 1, key));
      }
      if (found) return found;
    }
    return undefined;
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

/** A key of bytes asked of any table. */
export function bytesOf(table: Table, key: Buffer): Answer<Buffer | undefined> {
  if (table.find) return table.find(key);
  const found = table.get(key.toString());
  if (found instanceof Promise) return found.then((value) => (value === undefined ? undefined : Buffer.from(value)));
  return found === undefined ? undefined : Buffer.from(found);
}

export const noMaps: Maps = new Maps([]);
