/**
 * Replies as they come from a server (RFC 5321 section 4.2): bytes in, whole
 * multi-line replies out. Fed with whatever the network brings, in any pieces.
 *
 * Limits: a line is kept up to 2048 bytes, what is beyond is passed over; a
 * reply, junk before it included, may have 64 KiB. After "overflow" nothing
 * more comes: the connection is of no use.
 *
 * A line without a code is told as "junk" and is no part of any reply. Lines of
 * one reply whose codes differ are "mixed": the server is out of step, and
 * what its replies mean is not known any more.
 *
 * Control characters in texts are replaced by "?", so that a text can go into
 * logs and notifications as it is.
 */
import { agreeing, splitEnhanced } from "./enhanced.ts";

export interface ServerReply {
  readonly kind: "reply";
  readonly code: number;
  /** The enhanced status code of the last line if its class agrees with `code`, x.0.0 if it does not; "" where there is none. */
  readonly enhanced: string;
  /** Texts behind the code, one a line, enhanced codes still in front. Never empty. */
  readonly lines: readonly string[];
}

export type ReplyEvent =
  | ServerReply
  | { readonly kind: "junk"; readonly line: string }
  | { readonly kind: "mixed"; readonly lines: readonly string[] }
  | { readonly kind: "overflow" };

const replyLimit_bytes = 64 * 1024;
const lineLimit_bytes = 2048;

const empty: Buffer = Buffer.alloc(0);

export class ReplyParser {
  /** What was pushed and not yet read; the beginning of a line whose end is still to come, cut at the limit. */
  #chunk = empty;
  #position = 0;
  #begun = empty;
  /** Of the reply in hand, with the junk before it. */
  #size_bytes = 0;
  #code = -1;
  #lines: string[] = [];
  #overflowed = false;

  push(bytes: Buffer): void {
    if (this.#overflowed) return;
    const unread = this.#position < this.#chunk.length;
    this.#chunk = unread ? Buffer.concat([this.#chunk.subarray(this.#position), bytes]) : bytes;
    this.#position = 0;
  }

  /** Nothing is waiting to be read: no part of a line, no part of a reply. */
  get idle(): boolean {
    return this.#position >= this.#chunk.length && this.#begun.length === 0 && this.#lines.length === 0;
  }

  /** The next event, or undefined until more is pushed. */
  next(): ReplyEvent | undefined {
    for (let line = this.#line(); line !== undefined; line = this.#line()) {
      const event = this.#take(line);
      if (event) return event;
    }
    return undefined;
  }

  #take(line: Buffer | "overflow"): ReplyEvent | undefined {
    if (line === "overflow") return { kind: "overflow" };
    const code = replyCode(line);
    if (code < 0) return { kind: "junk", line: lineText(line) };
    const text = lineText(line.subarray(4));
    const mixed = this.#lines.length > 0 && code !== this.#code;
    this.#lines.push(mixed ? `${code} ${text}` : text);
    this.#code = code;
    if (!mixed && line[3] === 0x2d) return undefined;
    const lines = this.#lines;
    this.#lines = [];
    this.#size_bytes = 0;
    if (mixed) return { kind: "mixed", lines };
    const { enhanced } = splitEnhanced(text);
    return { kind: "reply", code, enhanced: enhanced && agreeing(code, enhanced), lines };
  }

  /** The next line without its end; LF alone is good enough. */
  #line(): Buffer | "overflow" | undefined {
    const chunk = this.#chunk;
    const start = this.#position;
    if (start >= chunk.length) return undefined;
    const end = chunk.indexOf(0x0a, start);
    const upTo = end < 0 ? chunk.length : end + 1;
    this.#position = upTo;
    this.#size_bytes += upTo - start;
    if (this.#size_bytes > replyLimit_bytes) return this.#overflow();
    const room = lineLimit_bytes - this.#begun.length;
    const piece = chunk.subarray(start, Math.min(end < 0 ? upTo : end, start + room));
    const line = this.#begun.length === 0 ? piece : Buffer.concat([this.#begun, piece]);
    this.#begun = end < 0 ? line : empty;
    if (end < 0) return undefined;
    let last = line.length;
    while (last > 0 && line[last - 1] === 0x0d) last--;
    return line.subarray(0, last);
  }

  #overflow(): "overflow" {
    this.#overflowed = true;
    this.#chunk = empty;
    this.#begun = empty;
    this.#lines = [];
    return "overflow";
  }
}

/** -1 where the line does not begin with exactly three digits, followed by a space, a hyphen or nothing. */
function replyCode(line: Buffer): number {
  if (line.length < 3) return -1;
  let code = 0;
  for (let index = 0; index < 3; index++) {
    const digit = (line[index] ?? 0) - 0x30;
    if (digit < 0 || digit > 9) return -1;
    code = code * 10 + digit;
  }
  const after = line[3];
  return after === undefined || after === 0x20 || after === 0x2d ? code : -1;
}

function lineText(line: Buffer): string {
  return line
    .toString("utf8")
    .replace(/[\x00-\x1f\x7f-\x9f]/g, "?")
    .trimEnd();
}
