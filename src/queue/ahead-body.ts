import type { Allowance } from "./allowance.ts";
import type { BodyCache } from "./body-cache.ts";
import type { Coordinator } from "./coordinator.ts";
import type { WrittenBody } from "./engine.ts";
import type { IdSequence } from "./id.ts";
import { chunkSize_bytes } from "./message.ts";
import { type BodyWriter, QueueError } from "./store.ts";

/**
 * A body that is written ahead, chunk by chunk, each in whatever batch comes
 * next. Until a message claims it, it is unfinished, and swept when its owner
 * is gone. The engine refuses to accept a message whose body has a chunk
 * missing, so nobody waits for each chunk's commit; only a few may be under way.
 *
 *   writing -> taken      written      a message names it
 *   taken   -> abandoned  refused      the message was not accepted
 *   taken   -> writing    returned     the same, and it will be offered again
 *   writing -> abandoned  abandon
 *   writing -> broken     append       a chunk was refused
 */
export class AheadBody implements BodyWriter {
  readonly #allowance: Allowance;
  readonly #coordinator: Coordinator;
  readonly #cache: BodyCache;
  readonly #ids: IdSequence;
  readonly #number: number;
  #chunks = 0;
  #bytes = 0;
  #lastWasShort = false;
  #taken = false;
  #abandoned = false;
  #underWay = 0;
  #wake: (() => void) | undefined;
  #broken: QueueError | undefined;

  /** `allowance`: the places that all bodies of a store share for chunks on their way to the disk. */
  constructor(coordinator: Coordinator, cache: BodyCache, ids: IdSequence, allowance: Allowance) {
    this.#allowance = allowance;
    this.#coordinator = coordinator;
    this.#cache = cache;
    this.#ids = ids;
    this.#number = ids.next();
  }

  get size_bytes(): number {
    return this.#bytes;
  }

  async append(chunk: Buffer): Promise<void> {
    if (this.#broken) throw this.#broken;
    if (this.#taken || this.#abandoned) throw new Error("this body is complete");
    if (chunk.length > chunkSize_bytes || this.#lastWasShort) throw new Error("only the last chunk may be smaller");
    if (chunk.length === 0) return;
    this.#lastWasShort = chunk.length < chunkSize_bytes;
    const turn = this.#allowance.take();
    if (turn) await turn;
    if (this.#broken || this.#abandoned) {
      this.#allowance.give();
      throw this.#broken ?? new QueueError("retry", "this body was abandoned");
    }
    const seq = this.#chunks++;
    this.#bytes += chunk.length;
    const kept = this.#cache.offer(this.#number, seq, chunk);
    const id = seq === 0 ? this.#number : this.#ids.next();
    this.#underWay++;
    this.#coordinator
      .submit<"chunk">({ kind: "chunk", body: this.#number, id, seq, data: chunk, given: !kept })
      .catch((error) => this.#break(error))
      .finally(() => this.#landed());
    await this.#untilUnderWay(mostUnderWay);
  }

  /** One at a time waits here: who appends, or who settles. */
  async #untilUnderWay(most: number): Promise<void> {
    while (this.#underWay > most && !this.#broken) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    if (this.#broken) throw this.#broken;
  }

  /** What a message names. Throws QueueError when a chunk was refused. */
  written(): WrittenBody {
    if (this.#broken) throw this.#broken;
    if (this.#abandoned || this.#taken) throw new Error("this body is abandoned, or another message's");
    this.#taken = true;
    return { body: this.#number, chunks: this.#chunks };
  }

  /** Resolves when every chunk is durable. Throws QueueError when one was refused. */
  async durable(): Promise<void> {
    await this.#untilUnderWay(0);
  }

  /** The message was not accepted. */
  refused(): void {
    this.#taken = false;
    this.abandon();
  }

  /** The message was not accepted, and comes again with this body. */
  returned(): void {
    this.#taken = false;
  }

  /** Does nothing once a message has it. */
  abandon(): void {
    if (this.#abandoned || this.#taken) return;
    this.#abandoned = true;
    this.#cache.drop(this.#number);
    // Where this fails the store has failed or is closed, and the body is swept later.
    if (this.#chunks > 0) this.#coordinator.submit<"discard">({ kind: "discard", body: this.#number }).catch(() => {});
  }

  #break(error: unknown): void {
    this.#broken ??= error instanceof QueueError ? error : new QueueError("retry", String(error));
    this.abandon();
  }

  #landed(): void {
    this.#allowance.give();
    this.#underWay--;
    this.#wake?.();
  }
}

/** Chunks of one body that wait for their commit at once; more make the writer wait. */
const mostUnderWay = 8;

/** Chunks of all bodies that wait for their commit at once: 8 MiB. */
export const chunksUnderWay = 128;
