/**
 * Bytes as they may be shown on a terminal or in a log: printable ASCII and
 * what looks like UTF-8 stays, every other byte becomes "?".
 */
export function printable(bytes: Uint8Array): string {
  let shown = "";
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at] as number;
    if (byte >= 0x20 && byte < 0x7f) {
      shown += String.fromCharCode(byte);
      continue;
    }
    let end = at + 1;
    while (end < bytes.length && ((bytes[end] as number) & 0xc0) === 0x80) end++;
    if (byte >= 194 && byte <= 254 && end > at + 1) {
      shown += Buffer.from(bytes.subarray(at, end)).toString();
      at = end - 1;
    } else shown += "?";
  }
  return shown;
}
