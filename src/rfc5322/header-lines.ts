/**
 * Lines of one header field: one character a byte, LF between them and none at the end, as fields are worked on.
 */
const tab = "\t";

/** A part of a field as it stands in a message. */
export function fieldLines(bytes: Buffer, from: number, to: number): string {
  const text = bytes.toString("latin1", from, to);
  const end = text.endsWith("\r\n") ? text.length - 2 : text.endsWith("\n") ? text.length - 1 : text.length;
  const value = text.slice(0, end);
  return value.includes("\n") ? value.replaceAll("\r\n", "\n") : value;
}

/**
 * A whole field as it goes on: CRLF at the end of each, and white space
 * at the beginning of each but the first. A field beyond the limit ends with the last line before it, or, where that
 * would lose more than a tenth, in the middle of a line. Postfix: cleanup_out_header.
 */
export function headerLines(text: string, limit_bytes: number): Buffer {
  let written = "";
  for (let start = 0; start <= text.length; ) {
    const found = text.indexOf("\n", start);
    let end = found < 0 ? text.length : found;
    const beyond = end > limit_bytes;
    if (beyond && start > 0.9 * limit_bytes) break;
    if (beyond) end = Math.max(start, limit_bytes);
    const indented = start === 0 || text[start] === " " || text[start] === tab;
    written += `${indented ? "" : tab}${text.slice(start, end)}\r\n`;
    if (beyond) break;
    start = (found < 0 ? text.length : found) + 1;
  }
  return Buffer.from(written, "latin1");
}
