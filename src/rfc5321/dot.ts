/**
 * The text between DATA and the final dot (RFC 5321 section 4.5.2), both ways.
 *
 * Coming in, DataScanner. End of data is the five bytes CR LF "." CR LF (the
 * first two may be those of the DATA command) and nothing else, wherever the
 * stream is cut into pieces. What comes out is never ambiguous to whoever gets
 * it next: every CR in it is followed by LF, every LF comes after CR.
 *   - A bare LF ends a line and is passed on as CR LF.
 *   - CRs before a line end are dropped; a bare CR elsewhere is passed on as a space.
 *   - A line that is one dot, but not by the standard's line ends, is dropped:
 *     it is what somebody else might take for the end of data.
 *
 * Going out, DotStuffer, for bodies that are in that form.
 */

const cr = 0x0d;
const lf = 0x0a;
const dot = 0x2e;
const space = 0x20;

/** So many CRs before an LF are taken as one line end; those before them are spaces. */
const longestCrRun = 64;

const crlf: Buffer = Buffer.from("\r\n");

/**
 * start   at the beginning of a line
 * dot     behind a dot at the beginning of a line; the dot is not passed on
 * middle  anywhere else
 */
type Place = "start" | "dot" | "middle";

export class DataScanner {
  /** A bare LF was met. */
  bareLf = false;
  /** A bare CR was met. */
  bareCr = false;
  #place: Place = "start";
  /** The line before this one ended with CR LF. */
  #standard = true;
  /** CRs read and not yet passed on. */
  #crs = 0;

  /**
   * Reads on from `from`. `take` gets the text, unstuffed, in at most three
   * pieces, which share memory with `bytes` where nothing had to be changed.
   * Returns the index of the first byte behind the end of data, or -1 while it has not come.
   */
  scan(bytes: Buffer, from: number, take: (piece: Buffer) => void): number {
    let at = from;
    if (this.#crs > 0 || this.#place === "dot") {
      let undecided = at;
      while (undecided < bytes.length && bytes[undecided] === cr) undecided++;
      at = this.#rewrite(bytes, at, Math.min(undecided + 1, bytes.length), take);
      if (this.#ended) return at;
    }
    const irregular = this.#skim(bytes, at);
    if (irregular > at) take(at === 0 && irregular === bytes.length ? bytes : bytes.subarray(at, irregular));
    if (irregular === bytes.length) return -1;
    if (this.#endsAt(bytes, irregular)) return irregular + 3;
    const next = this.#rewrite(bytes, irregular, bytes.length, take);
    return this.#ended ? next : -1;
  }

  #ended = false;

  #endsAt(bytes: Buffer, at: number): boolean {
    return (
      this.#place === "start" && this.#standard && bytes[at] === dot && bytes[at + 1] === cr && bytes[at + 2] === lf
    );
  }

  /** The index of the first byte that cannot be passed on as it is, up to which everything can. */
  #skim(bytes: Buffer, from: number): number {
    const length = bytes.length;
    let at = from;
    let start = this.#crs === 0 && this.#place === "start";
    if (this.#crs > 0 || this.#place === "dot" || at >= length) return at;
    for (;;) {
      if (start && bytes[at] === dot) break;
      const end = bytes.indexOf(lf, at);
      const upTo = end < 0 ? length : end;
      const ret = bytes.indexOf(cr, at);
      const regular = ret < 0 || ret >= upTo ? end < 0 : ret === end - 1;
      if (!regular) {
        const stop = ret >= 0 && ret < upTo ? ret : upTo;
        start &&= stop === at;
        at = stop;
        break;
      }
      start = end >= 0 || (start && at === length);
      at = end < 0 ? length : end + 1;
      if (end >= 0) this.#standard = true;
      if (at >= length) break;
    }
    this.#place = start ? "start" : "middle";
    return at;
  }

  /** Byte for byte, into a buffer of its own. The index behind what was read. */
  #rewrite(bytes: Buffer, from: number, to: number, take: (piece: Buffer) => void): number {
    const out = Buffer.allocUnsafe(this.#crs + 2 * (to - from) + 2);
    let written = 0;
    let at = from;
    while (at < to) {
      const byte = bytes[at++] as number;
      if (byte === lf) {
        if (this.#place === "dot") {
          if (this.#crs === 1 && this.#standard) {
            this.#ended = true;
            break;
          }
        } else {
          out[written++] = cr;
          out[written++] = lf;
        }
        this.#standard = this.#crs > 0;
        if (this.#crs === 0) this.bareLf = true;
        this.#crs = 0;
        this.#place = "start";
      } else if (byte === cr && this.#crs < longestCrRun) {
        this.#crs++;
      } else if (byte === cr) {
        this.bareCr = true;
        this.#place = "middle";
        out[written++] = space;
      } else {
        if (this.#crs > 0) this.bareCr = true;
        if (this.#place === "start" && this.#crs === 0 && byte === dot) {
          this.#place = "dot";
          continue;
        }
        for (; this.#crs > 0; this.#crs--) out[written++] = space;
        out[written++] = byte;
        this.#place = "middle";
      }
    }
    if (written > 0) take(written === 2 && out[0] === cr ? crlf : out.subarray(0, written));
    return at;
  }
}

/** Doubles dots at the beginning of lines, across pieces. */
export class DotStuffer {
  #start = true;

  /** The same buffer where there is nothing to do, which is nearly always. */
  stuff(bytes: Buffer): Buffer {
    if (bytes.length === 0) return bytes;
    const first = this.#start && bytes[0] === dot ? 0 : nextDot(bytes, 0);
    this.#start = bytes[bytes.length - 1] === lf;
    if (first < 0) return bytes;
    const pieces: Buffer[] = [];
    let from = 0;
    for (let at = first; at >= 0; at = nextDot(bytes, at + 1)) {
      pieces.push(bytes.subarray(from, at), oneDot);
      from = at;
    }
    pieces.push(bytes.subarray(from));
    return Buffer.concat(pieces);
  }

  /** What follows the text: the final dot, behind a line end if the last line has none. */
  end(): Buffer {
    const last = this.#start ? endOfData : endOfLineAndData;
    this.#start = true;
    return last;
  }
}

const oneDot: Buffer = Buffer.from(".");
const lineFeedDot: Buffer = Buffer.from("\n.");
const endOfData: Buffer = Buffer.from(".\r\n");
const endOfLineAndData: Buffer = Buffer.from("\r\n.\r\n");

/** The index of the next dot behind a line end at or after `from`, or -1. */
function nextDot(bytes: Buffer, from: number): number {
  const found = bytes.indexOf(lineFeedDot, from);
  return found < 0 ? -1 : found + 1;
}
