/**
 * Bodies of messages that were just accepted, so that they are delivered
 * without being read back. Bounded: what does not fit is read from the store.
 * When full, newcomers are turned away rather than the oldest thrown out:
 * the oldest are delivered first, and leave when they are settled.
 *
 * Keys are body numbers. A body may be here in part: its first chunks.
 */
export class BodyCache {
  readonly limit_bytes: number;
  readonly #bodyLimit_bytes: number;
  readonly #bodies = new Map<number, { chunks: Buffer[]; bytes: number }>();
  #bytes = 0;

  constructor(limit_bytes: number) {
    this.limit_bytes = limit_bytes;
    this.#bodyLimit_bytes = limit_bytes / 4;
  }

  get size_bytes(): number {
    return this.#bytes;
  }

  /** True: kept, and must not be changed by anyone from now on. Chunks are offered in order; after a gap nothing more is kept. */
  offer(body: number, index: number, chunk: Buffer): boolean {
    const known = this.#bodies.get(body);
    if (this.#bytes + chunk.length > this.limit_bytes || index !== (known?.chunks.length ?? 0)) return false;
    if (!known) this.#bodies.set(body, { chunks: [chunk], bytes: chunk.length });
    else {
      if (known.bytes + chunk.length > this.#bodyLimit_bytes) return false;
      known.chunks.push(chunk);
      known.bytes += chunk.length;
    }
    this.#bytes += chunk.length;
    return true;
  }

  chunk(body: number, index: number): Buffer | undefined {
    return this.#bodies.get(body)?.chunks[index];
  }

  drop(body: number): void {
    const known = this.#bodies.get(body);
    if (!known) return;
    this.#bodies.delete(body);
    this.#bytes -= known.bytes;
  }

  clear(): void {
    this.#bodies.clear();
    this.#bytes = 0;
  }
}
