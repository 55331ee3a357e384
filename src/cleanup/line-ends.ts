const newline = 10;
const carriageReturn = 13;
const space = 32;

/** CRs that are kept back at the end of a piece; those before them are spaces for good. */
const heldLimit = 65_536;

/**
 * Text of local programs, in pieces, with CRLF line ends: LF becomes CRLF,
 * CRLF stays (however many CR stand before the LF, up to heldLimit), and a CR anywhere else
 * becomes a space, as nothing but whole line ends may go out (RFC 5321 section
 * 2.3.8). Linear; how the text is cut into pieces makes no difference up to that limit.
 */
export class LineEnds {
  /** CRs at the end of the last piece, whose meaning the next byte decides. */
  #held = 0;

  convert(piece: Buffer): Buffer {
    let start = 0;
    while (start < piece.length && piece[start] === carriageReturn) start++;
    const before = this.#held + start;
    if (start === piece.length) {
      this.#held = Math.min(before, heldLimit);
      return Buffer.alloc(before - this.#held, space);
    }
    let end = piece.length;
    while (piece[end - 1] === carriageReturn) end--;
    this.#held = piece.length - end;
    const text = converted(piece.subarray(start, end));
    return before === 0 || piece[start] === newline ? text : Buffer.concat([Buffer.alloc(before, space), text]);
  }

  /** What was held back when the text ends. */
  end(): Buffer {
    const held = this.#held;
    this.#held = 0;
    return Buffer.alloc(held, space);
  }
}

function converted(bytes: Buffer): Buffer {
  let lines = 0;
  for (let at = bytes.indexOf(newline); at >= 0; at = bytes.indexOf(newline, at + 1)) lines++;
  const into = Buffer.allocUnsafe(bytes.length + lines);
  let from = 0;
  let to = 0;
  for (let at = bytes.indexOf(newline); at >= 0; at = bytes.indexOf(newline, from)) {
    let end = at;
    while (end > from && bytes[end - 1] === carriageReturn) end--;
    to = copyLine(bytes, from, end, into, to);
    into[to++] = carriageReturn;
    into[to++] = newline;
    from = at + 1;
  }
  return into.subarray(0, copyLine(bytes, from, bytes.length, into, to));
}

/** Copies a line without its end, CRs in it as spaces; the offset behind it. */
function copyLine(bytes: Buffer, from: number, end: number, into: Buffer, to: number): number {
  bytes.copy(into, to, from, end);
  const written = to + end - from;
  for (let at = into.indexOf(carriageReturn, to); at >= 0 && at < written; at = into.indexOf(carriageReturn, at + 1)) {
    into[at] = space;
  }
  return written;
}
