/** xtext (RFC 3461 section 4): printable ASCII, with `+XX` for what is not, for "+" and for "=". */

export function encodeXtext(text: string): string {
  let encoded = "";
  for (const byte of Buffer.from(text)) {
    const safe = byte > 0x20 && byte < 0x7f && byte !== 0x2b && byte !== 0x3d;
    encoded += safe ? String.fromCharCode(byte) : `+${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return encoded;
}

/** The text, or undefined where the encoding is wrong or gives no UTF-8. */
export function decodeXtext(encoded: string): string | undefined {
  if (!isXtext(encoded)) return undefined;
  if (!encoded.includes("+")) return encoded;
  const bytes = Buffer.from(
    encoded.replace(/\+(..)/g, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16))),
    "latin1",
  );
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

export function isXtext(text: string): boolean {
  return /^(?:[!-*,-<>-~]|\+[0-9A-F]{2})*$/.test(text);
}
