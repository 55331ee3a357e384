/**
 * The message as sendmail takes it from standard input: lines, of which leading mbox "From " lines
 * are dropped and, unless told otherwise, a single dot ends the message. CRs before an LF are dropped
 * (sendmail_fix_line_endings = always); all else goes on as it is. How the input is cut
 * into pieces makes no difference, and no line is kept whole that is longer than lineLimit_bytes.
 */
export async function* messageInput(
  input: AsyncIterable<Buffer>,
  { dotEnds }: { readonly dotEnds: boolean },
): AsyncGenerator<Buffer> {
  const lines = new InputLines(dotEnds);
  for await (const chunk of input) {
    const out = lines.take(chunk);
    if (out.length > 0) yield out;
    if (lines.ended) return;
  }
  const last = lines.end();
  if (last.length > 0) yield last;
}

/** A line that is longer goes on in parts, and is neither a dot nor an mbox line (Postfix: line_length_limit). */
const lineLimit_bytes = 2048;

const lineFeed = 10;
const carriageReturn = 13;
const dot = 46;

class InputLines {
  readonly #dotEnds: boolean;
  /** What waits for more: the beginning of a line, or, within a long one, CRs. */
  #held: Buffer = Buffer.alloc(0);
  /** Within a line whose beginning has gone on already. */
  #inLine = false;
  /** Within a run of CRs that is too long to wait for its end. */
  #keepsCrs = false;
  /** A line of the message has been seen: what comes now is no mbox line. */
  #started = false;
  /** A dot has ended the message; what comes behind it is not looked at. */
  ended = false;

  constructor(dotEnds: boolean) {
    this.#dotEnds = dotEnds;
  }

  take(chunk: Buffer): Buffer {
    const bytes = this.#held.length > 0 ? Buffer.concat([this.#held, chunk]) : chunk;
    const kept: Buffer[] = [];
    /** Where what goes on unchanged begins. */
    let from = 0;
    let at = 0;
    for (let newline = bytes.indexOf(lineFeed); newline >= 0; newline = bytes.indexOf(lineFeed, at)) {
      const textEnd = this.#textEnd(bytes, at, newline);
      if (newline - at > lineLimit_bytes) this.#begunLong();
      if (!this.#inLine && this.#isMboxLine(bytes, at, textEnd)) {
        kept.push(bytes.subarray(from, at));
        from = newline + 1;
      } else if (!this.#inLine && this.#isDot(bytes, at, textEnd)) {
        this.ended = true;
        return Buffer.concat([...kept, bytes.subarray(from, at)]);
      } else if (textEnd < newline) {
        kept.push(bytes.subarray(from, textEnd));
        from = newline;
      }
      this.#inLine = false;
      this.#keepsCrs = false;
      at = newline + 1;
    }
    const held = this.#hold(bytes, at);
    this.#held = bytes.subarray(held);
    kept.push(bytes.subarray(from, held));
    return kept.length === 1 && kept[0] ? kept[0] : Buffer.concat(kept);
  }

  /** What is left when the input ends without a line end. */
  end(): Buffer {
    const last = this.#held;
    this.#held = Buffer.alloc(0);
    return !this.#inLine && this.#isDot(last, 0, last.length) ? Buffer.alloc(0) : last;
  }

  /** Where the part of the last, unfinished line begins that has to wait. */
  #hold(bytes: Buffer, at: number): number {
    if (!this.#inLine && bytes.length - at <= lineLimit_bytes) return at;
    if (bytes.length > at) this.#begunLong();
    const text = this.#textEnd(bytes, at, bytes.length);
    this.#keepsCrs = text === bytes.length && bytes[text - 1] === carriageReturn;
    return text;
  }

  /** Where a line's text ends, CRs before its end left out; a run of them that is longer than a line may be is text. */
  #textEnd(bytes: Buffer, start: number, end: number): number {
    let last = end;
    while (last > start && bytes[last - 1] === carriageReturn) last--;
    const goesOn = this.#keepsCrs && last === start;
    return goesOn || end - last > lineLimit_bytes ? end : last;
  }

  #begunLong(): void {
    this.#inLine = true;
    this.#started = true;
  }

  #isMboxLine(bytes: Buffer, at: number, end: number): boolean {
    if (this.#started) return false;
    const mbox = /^>*From /.test(bytes.toString("latin1", at, end));
    this.#started = !mbox;
    return mbox;
  }

  #isDot(bytes: Buffer, at: number, end: number): boolean {
    return this.#dotEnds && end - at === 1 && bytes[at] === dot;
  }
}
