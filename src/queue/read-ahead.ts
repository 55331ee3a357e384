/**
 * Reads bodies that are not in memory: with one that is wanted come those that wait to be delivered after it, so
 * that a queue which is worked off does not ask its engine for each, and wait each time until it has written what it
 * is just writing. For small bodies, of one chunk.
 *
 * What comes along is bounded by a number, by bytes in the engine, and by the room that `keep` has; what was not kept is read again.
 */
export class ReadAhead {
  readonly #options: ReadAheadOptions;
  /** Nobody has asked for their bodies yet; in the order in which they came. */
  readonly #waiting = new Set<number>();
  /** Being read. */
  readonly #coming = new Map<number, Promise<Bodies>>();

  constructor(options: ReadAheadOptions) {
    this.#options = options;
  }

  /** A message in work whose body is not in memory. */
  expect(id: number): void {
    this.#waiting.add(id);
  }

  /** It is not in work any more. */
  forget(id: number): void {
    this.#waiting.delete(id);
  }

  clear(): void {
    this.#waiting.clear();
  }

  /** Undefined: it was not among what came, and is to be read by itself. Rejects as `read` does. */
  async body(id: number): Promise<Buffer | undefined> {
    const coming = this.#coming.get(id) ?? (this.#waiting.has(id) ? this.#begin(id) : undefined);
    return (await coming)?.get(id);
  }

  #begin(id: number): Promise<Bodies> {
    const ids = [id];
    for (const other of this.#options.hasRoom() ? this.#waiting : []) {
      if (ids.length === mostAtOnce) break;
      if (other !== id && !this.#coming.has(other)) ids.push(other);
    }
    const coming = this.#read(ids).finally(() => {
      for (const each of ids) this.#coming.delete(each);
    });
    for (const each of ids) this.#coming.set(each, coming);
    return coming;
  }

  async #read(ids: readonly number[]): Promise<Bodies> {
    const bodies = new Map<number, Buffer>();
    const found = await this.#options.read(ids);
    for (const [index, bytes] of found.entries()) {
      const id = ids[index] as number;
      // Settled or removed meanwhile: nobody would take it out of memory again.
      const isWanted = this.#waiting.delete(id);
      if (!bytes) continue;
      const body = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      bodies.set(id, body);
      if (isWanted && index > 0) this.#options.keep(id, body);
    }
    return bodies;
  }
}

export interface ReadAheadOptions {
  /** The bodies of messages, in order; undefined for one that is not there or is damaged. It may stop early. */
  readonly read: (ids: readonly number[]) => Promise<readonly (Uint8Array | undefined)[]>;
  readonly keep: (id: number, body: Buffer) => void;
  /** Whether there is room for what comes along. */
  readonly hasRoom: () => boolean;
}

type Bodies = ReadonlyMap<number, Buffer>;

const mostAtOnce = 64;
