/**
 * A message body on its way out (RFC 5321 sections 4.5.2 and 4.5.3.1.6): dots at
 * the beginning of lines are doubled, lines beyond smtp_line_length_limit are
 * folded with CRLF SP, a bare CR or a NUL becomes a space, a bare LF becomes CRLF.
 *
 * So the only CRLF.CRLF that the server ever sees is the one that ends the
 * message, however the body came into the queue and wherever its chunks are cut.
 *
 * Chunks that need nothing of this, which is nearly all of them, pass through
 * without a copy. Work is linear; at most one byte is held back between chunks.
 */

const cr = 0x0d;
const lf = 0x0a;
const dot = 0x2e;
const space = 0x20;

const nothing = Buffer.alloc(0);
const lineEnd = Buffer.from("\r\n");

export class BodyEncoder {
  readonly #limit: number;
  /** Bytes of the current line sent so far, stuffed dots not counted. */
  #column = 0;
  /** A CR ended the last chunk; what it is depends on the next byte. */
  #heldCr = false;
  #folded = false;

  /** `lineLimit_bytes` 0: lines of any length. */
  constructor(lineLimit_bytes: number) {
    this.#limit = lineLimit_bytes > 0 ? lineLimit_bytes : Number.POSITIVE_INFINITY;
  }

  /** A line had to be broken. */
  get folded(): boolean {
    return this.#folded;
  }

  /** The bytes to send for the next piece of the body: `chunk` itself where nothing is to change. */
  push(chunk: Buffer): Buffer {
    const clean = this.#heldCr ? 0 : this.#cleanUpTo(chunk);
    return clean === chunk.length ? chunk : this.#rewrite(chunk, clean);
  }

  /** What is left to send before the final dot: the end of a last line that had none. */
  end(): Buffer {
    const open = this.#heldCr || this.#column > 0;
    this.#heldCr = false;
    this.#column = 0;
    return open ? lineEnd : nothing;
  }

  /** How many bytes can go as they are. Leaves `#column` at the place where it stopped. */
  #cleanUpTo(chunk: Buffer): number {
    const limit = this.#limit;
    const { length } = chunk;
    let column = this.#column;
    let index = 0;
    for (; index < length; index++) {
      const byte = chunk[index] as number;
      if (byte > dot) {
        if (column >= limit) break;
        column++;
      } else if (byte === cr) {
        if (chunk[index + 1] !== lf) break;
        index++;
        column = 0;
      } else if (byte === lf || byte === 0 || (byte === dot && column === 0) || column >= limit) {
        break;
      } else column++;
    }
    this.#column = column;
    return index;
  }

  /** The same chunk with everything from `from` on written anew. */
  #rewrite(chunk: Buffer, from: number): Buffer {
    const rest = chunk.length - from;
    const out = Buffer.allocUnsafe(
      from + 2 * rest + 3 * Math.ceil(rest / Math.max(1, Math.min(this.#limit - 1, rest))) + 8,
    );
    chunk.copy(out, 0, 0, from);
    let at = from;
    let column = this.#column;
    let heldCr = this.#heldCr;
    for (let index = from; index < chunk.length; index++) {
      let byte = chunk[index] as number;
      if (byte === lf) {
        out[at++] = cr;
        out[at++] = lf;
        column = 0;
        heldCr = false;
        continue;
      }
      if (heldCr) {
        heldCr = false;
        byte = space;
        index--;
      } else if (byte === cr) {
        heldCr = true;
        continue;
      } else if (byte === 0) byte = space;
      if (column >= this.#limit) {
        out[at++] = cr;
        out[at++] = lf;
        out[at++] = space;
        column = 1;
        this.#folded = true;
      } else if (column === 0 && byte === dot) out[at++] = dot;
      out[at++] = byte;
      column++;
    }
    this.#column = column;
    this.#heldCr = heldCr;
    return out.subarray(0, at);
  }
}
