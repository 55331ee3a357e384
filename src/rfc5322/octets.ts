import { isUtf8 } from "node:buffer";

/**
 * Header text is one character a byte while it is worked on; tables and people want characters. Octets that are no
 * UTF-8 become halves of surrogate pairs (0xdc80 to 0xdcff), which no other text has: so they come back as they were, and
 * a text with one in it is not well-formed.
 */

/** The characters that octets stand for. */
export function characters(octets: string): string {
  if (!/[^\x00-\x7f]/.test(octets)) return octets;
  const bytes = Buffer.from(octets, "latin1");
  return isUtf8(bytes) ? bytes.toString() : mixed(bytes);
}

/** The octets that characters are written in. */
export function octets(characters: string): string {
  if (!/[^\x00-\x7f]/.test(characters)) return characters;
  if (characters.isWellFormed()) return Buffer.from(characters).toString("latin1");
  let written = "";
  for (const char of characters) {
    const code = char.charCodeAt(0);
    const stray = char.length === 1 && code >= 0xdc80 && code <= 0xdcff;
    written += stray ? String.fromCharCode(code - 0xdc00) : Buffer.from(char).toString("latin1");
  }
  return written;
}

function mixed(bytes: Buffer): string {
  let text = "";
  for (let at = 0; at < bytes.length; ) {
    const first = bytes[at] as number;
    const size = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    const sequence = bytes.subarray(at, at + size);
    const whole = sequence.length === size && isUtf8(sequence);
    text += whole ? sequence.toString() : String.fromCharCode(0xdc00 + first);
    at += whole ? size : 1;
  }
  return text;
}
