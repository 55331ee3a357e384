import { chunkSize_bytes } from "../queue/message.ts";
import type { BodyWriter } from "../queue/store.ts";

/**
 * A body that is written from the beginning to the end: in one Buffer while it
 * fits a chunk, and chunk by chunk into the store beyond that.
 */
export class ChunkedBody {
  readonly #begin: () => BodyWriter;
  #parts: Buffer[] = [];
  #held_bytes = 0;
  #writer: BodyWriter | undefined;
  /** An octet above 127 was written. */
  eightBit = false;
  size_bytes = 0;

  constructor(begin: () => BodyWriter) {
    this.#begin = begin;
  }

  /** Lines, each ended with CRLF. */
  lines(lines: readonly string[]): Promise<void> | undefined {
    return lines.length === 0 ? undefined : this.bytes(Buffer.from(`${lines.join("\r\n")}\r\n`, "utf8"));
  }

  /** A promise only when the store has to take something first. Throws QueueError "full". */
  bytes(bytes: Buffer): Promise<void> | undefined {
    this.size_bytes += bytes.length;
    this.#parts.push(bytes);
    this.#held_bytes += bytes.length;
    if (!this.eightBit && !isAscii(bytes)) this.eightBit = true;
    return this.#held_bytes > chunkSize_bytes ? this.#flush(chunkSize_bytes) : undefined;
  }

  async finish(): Promise<Buffer | BodyWriter> {
    if (!this.#writer) return Buffer.concat(this.#parts, this.#held_bytes);
    await this.#flush(1);
    return this.#writer;
  }

  abandon(): void {
    this.#writer?.abandon();
  }

  /** Writes chunks while at least `least` bytes are held. */
  async #flush(least: number): Promise<void> {
    this.#writer ??= this.#begin();
    let held = Buffer.concat(this.#parts, this.#held_bytes);
    while (held.length >= least) {
      const chunk = Buffer.from(held.subarray(0, chunkSize_bytes));
      held = held.subarray(chunk.length);
      await this.#writer.append(chunk);
    }
    this.#parts = [held];
    this.#held_bytes = held.length;
  }
}

function isAscii(bytes: Buffer): boolean {
  for (let at = 0; at < bytes.length; at++) if ((bytes[at] ?? 0) > 127) return false;
  return true;
}
