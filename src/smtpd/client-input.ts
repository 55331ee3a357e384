/**
 * What a client has sent and nobody has read yet. Command lines are taken out of
 * it, or the text of a message; which of the two is for the session to say.
 *
 * A command line without end is not kept: beyond the limit only its beginning
 * is, for the log, until its end has come. Whoever adds stops reading from the
 * client when `size_bytes` is enough.
 */
import { isUtf8 } from "node:buffer";

/** One command line, without its end. */
export type InputLine =
  /** `text` is undefined where it was not UTF-8. */
  | { readonly kind: "line"; readonly text: string | undefined; readonly bareLf: boolean }
  | { readonly kind: "too long"; readonly begin: string };

const keptOfLongLine_chars = 40;

export class ClientInput {
  #bytes: Buffer | undefined;
  #at = 0;
  /** The beginning of a line that is too long, whose end is still to come. */
  #skipped = "";

  /** Kept, not copied, where nothing is waiting. */
  add(bytes: Buffer): void {
    this.#bytes = this.#bytes ? Buffer.concat([this.rest as Buffer, bytes]) : bytes;
    this.#at = 0;
  }

  get size_bytes(): number {
    return this.#bytes ? this.#bytes.length - this.#at : 0;
  }

  /** What has not been read; undefined where that is nothing. */
  get rest(): Buffer | undefined {
    return this.#at === 0 ? this.#bytes : this.#bytes?.subarray(this.#at);
  }

  clear(): void {
    this.#bytes = undefined;
    this.#at = 0;
  }

  /** The next command line, if there is a whole one. */
  line(limit_bytes: number): InputLine | undefined {
    const bytes = this.#bytes;
    if (!bytes) return undefined;
    const start = this.#at;
    const end = bytes.indexOf(0x0a, start);
    const length = (end < 0 ? bytes.length : end) - start;
    if (length > limit_bytes && this.#skipped === "") {
      this.#skipped = bytes.toString("latin1", start, start + keptOfLongLine_chars);
    }
    if (end < 0) {
      if (this.#skipped !== "") this.clear();
      return undefined;
    }
    this.#readUpTo(end + 1);
    if (this.#skipped !== "") {
      const begin = this.#skipped;
      this.#skipped = "";
      return { kind: "too long", begin };
    }
    return { kind: "line", text: lineText(bytes, start, end), bareLf: end === start || bytes[end - 1] !== 0x0d };
  }

  /** Hands over everything that is there; `read` returns the index behind what it wants, or -1 where it wants all. The number of bytes read. */
  give(read: (bytes: Buffer, from: number) => number): number {
    const bytes = this.#bytes;
    if (!bytes) return 0;
    const from = this.#at;
    const end = read(bytes, from);
    const upTo = end < 0 ? bytes.length : end;
    this.#readUpTo(upTo);
    return upTo - from;
  }

  #readUpTo(upTo: number): void {
    if (this.#bytes && upTo < this.#bytes.length) this.#at = upTo;
    else this.clear();
  }
}

/** Without the CRs at its end; undefined where it is not UTF-8. */
function lineText(bytes: Buffer, start: number, end: number): string | undefined {
  let last = end;
  while (last > start && bytes[last - 1] === 0x0d) last--;
  const text = bytes.toString("latin1", start, last);
  if (!/[\x80-\xff]/.test(text)) return text;
  const line = bytes.subarray(start, last);
  return isUtf8(line) ? line.toString("utf8") : undefined;
}
