/**
 * Message headers as bytes (RFC 5322 section 2.2, with section 4.5.2's white
 * space before the colon). A header is found, not decoded: each field is a
 * range of the buffer it was found in, folded lines included, so that what is
 * not changed goes on byte for byte. Lines end with LF, with or without CR.
 *
 * A header ends at the first empty line, or at the first line that can be
 * neither a field nor the continuation of one. Work is linear in the bytes.
 */

/** One field: offsets into the scanned buffer. */
export interface HeaderField {
  /** In lower case. */
  readonly name: string;
  readonly start: number;
  /** Behind the name; equal to `colon` unless white space stands between. */
  readonly nameEnd: number;
  readonly colon: number;
  /** Behind the last line's end. */
  readonly end: number;
}

export interface ScannedHeader {
  readonly fields: readonly HeaderField[];
  /** The first byte that belongs to no field: the empty line, the body's text, or the end of the bytes. */
  readonly end: number;
  /**
   * blank   an empty line ends the header, and stands at `end`
   * text    the header ends without one: what is at `end` is body
   * open    the bytes ran out: from `end` on stands a field that may go on
   */
  readonly ending: "blank" | "text" | "open";
}

const tab = 9;
const newline = 10;
const carriageReturn = 13;
const space = 32;
const colonByte = 58;

/**
 * The fields from the beginning of `bytes` on. With `final`, nothing comes
 * after them: the last line counts as whole even without a line end, and a
 * header that reaches the end of the bytes ends there as "text".
 */
export function scanHeader(bytes: Buffer, final: boolean): ScannedHeader {
  const fields: { name: string; start: number; nameEnd: number; colon: number; end: number }[] = [];
  const size = bytes.length;
  let at = 0;
  while (at < size) {
    const lineFeed = bytes.indexOf(newline, at);
    if (lineFeed < 0 && !final) break;
    const next = lineFeed < 0 ? size : lineFeed + 1;
    const first = bytes[at];
    const last = fields.at(-1);
    if ((first === space || first === tab) && last) {
      last.end = next;
    } else if (first === newline || (first === carriageReturn && bytes[at + 1] === newline)) {
      return { fields, end: at, ending: "blank" };
    } else {
      const nameEnd = endOfName(bytes, at, next);
      const colon = nameEnd > at ? afterSpace(bytes, nameEnd, next) : next;
      if (colon >= next || bytes[colon] !== colonByte) return { fields, end: at, ending: "text" };
      fields.push({ name: bytes.toString("latin1", at, nameEnd).toLowerCase(), start: at, nameEnd, colon, end: next });
    }
    at = next;
  }
  if (final) return { fields, end: size, ending: "text" };
  return { end: fields.pop()?.start ?? at, fields, ending: "open" };
}

/** Is this line the beginning of a field? Then where its name ends, and where its colon is. */
export function beginOfField(line: Buffer): Pick<HeaderField, "nameEnd" | "colon"> | undefined {
  const nameEnd = endOfName(line, 0, line.length);
  const colon = nameEnd > 0 ? afterSpace(line, nameEnd, line.length) : line.length;
  return line[colon] === colonByte ? { nameEnd, colon } : undefined;
}

/** A name is printable ASCII without the colon. */
function endOfName(bytes: Buffer, from: number, to: number): number {
  let at = from;
  for (; at < to; at++) {
    const byte = bytes[at] as number;
    if (byte <= space || byte >= 127 || byte === colonByte) break;
  }
  return at;
}

function afterSpace(bytes: Buffer, from: number, to: number): number {
  let at = from;
  while (at < to && (bytes[at] === space || bytes[at] === tab)) at++;
  return at;
}

/** What stands behind the colon, white space at both ends taken off, folding kept; one character a byte (latin1). */
export function fieldText(bytes: Buffer, field: HeaderField): string {
  return bytes.toString("latin1", field.colon + 1, field.end).trim();
}
