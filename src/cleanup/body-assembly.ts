import { chunkSize_bytes } from "../queue/message.ts";
import type { BodyWriter } from "../queue/store.ts";
import type { Answer } from "../table/maps.ts";

/** So many pieces are put together before the chunk is full. */
const manyPieces = 256;

/**
 * A body on its way into the queue. Up to one chunk it is put together once, in
 * one buffer; a larger one goes to the store chunk by chunk as it comes, and
 * is never whole in memory.
 *
 * A piece that was added is kept, not copied: it must not be overwritten.
 * drain() and finish() reject with QueueError where the store does.
 */
export class BodyAssembly {
  readonly #begin: () => Answer<readonly BodyWriter[]>;
  #pieces: Buffer[] = [];
  #waiting_bytes = 0;
  #writers: readonly BodyWriter[] = [];
  #draining: Promise<void> | undefined;
  #abandoned = false;
  size_bytes = 0;
  /** The last byte that was added. */
  lastByte = 0;

  /** `begin` opens as many bodies in the store as there will be messages with this body; asked for large bodies alone. */
  constructor(begin: () => Answer<readonly BodyWriter[]>) {
    this.#begin = begin;
  }

  add(piece: Buffer): void {
    const last = piece.at(-1);
    if (last === undefined) return;
    this.#pieces.push(piece);
    // A text that comes in crumbs must not cost many times its size.
    if (this.#pieces.length >= manyPieces) this.#pieces = [Buffer.concat(this.#pieces)];
    this.#waiting_bytes += piece.length;
    this.size_bytes += piece.length;
    this.lastByte = last;
  }

  /** Hands whole chunks to the store. A promise means: add no more before it resolves. */
  drain(): void | Promise<void> {
    if (this.#draining) return this.#draining;
    if (this.#waiting_bytes <= chunkSize_bytes) return;
    this.#draining = this.#writeChunks().finally(() => {
      this.#draining = undefined;
    });
    return this.#draining;
  }

  /** The body for each message: one buffer for them all, or a writer each. */
  finish(): Answer<Buffer | readonly BodyWriter[]> {
    if (this.#writers.length === 0 && !this.#draining && this.#waiting_bytes <= chunkSize_bytes) {
      return this.#take(this.#waiting_bytes);
    }
    return this.#finishLarge();
  }

  abandon(): void {
    this.#abandoned = true;
    for (const writer of this.#writers) writer.abandon();
    this.#pieces = [];
    this.#waiting_bytes = 0;
  }

  async #finishLarge(): Promise<readonly BodyWriter[]> {
    await this.drain();
    if (this.#waiting_bytes > chunkSize_bytes) await this.drain();
    if (this.#waiting_bytes > 0) await this.#append(this.#take(this.#waiting_bytes));
    return this.#writers;
  }

  async #writeChunks(): Promise<void> {
    if (this.#writers.length === 0) this.#writers = await this.#begin();
    if (this.#abandoned) return this.abandon();
    // The last chunk may be the smaller one, so a whole one is kept back until it is known not to be the last.
    while (this.#waiting_bytes > chunkSize_bytes) await this.#append(this.#take(chunkSize_bytes));
  }

  /** A chunk is given away, so each writer gets one of its own. */
  async #append(chunk: Buffer): Promise<void> {
    const last = this.#writers.length - 1;
    for (const [index, writer] of this.#writers.entries())
      await writer.append(index < last ? Buffer.from(chunk) : chunk);
  }

  #take(size_bytes: number): Buffer {
    const taken: Buffer[] = [];
    let missing = size_bytes;
    let used = 0;
    for (; missing > 0 && used < this.#pieces.length; used++) {
      const piece = this.#pieces[used] as Buffer;
      if (piece.length > missing) {
        taken.push(piece.subarray(0, missing));
        this.#pieces[used] = piece.subarray(missing);
        missing = 0;
        break;
      }
      taken.push(piece);
      missing -= piece.length;
    }
    this.#pieces.splice(0, used);
    this.#waiting_bytes -= size_bytes;
    return Buffer.concat(taken, size_bytes);
  }
}
