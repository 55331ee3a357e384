/**
 * Case folding of look-up keys, as Postfix does it with ICU: Unicode's full
 * case folding (CaseFolding.txt, status C and F), without normalization, so
 * that an index made by either program answers the other one's keys.
 * A key that is not UTF-8, or with UTF-8 support turned off: ASCII alone.
 */

const hasUpperOrWide = /[A-Z\u0080-\u{10ffff}]/u;
const wide = /[\u0080-\u{10ffff}]/u;

/** Case folding as Postfix does it, beyond ASCII too: "GRÜSSE" and "grüße" are one key. */
export function foldKey(key: string): string {
  if (!hasUpperOrWide.test(key)) return key;
  if (!wide.test(key)) return key.toLowerCase();
  let folded = "";
  for (const char of key) folded += foldChar(char);
  return folded;
}

/**
 * Up and down again reaches what lower case alone does not: "ß" becomes "ss", and every sigma the same one. By
 * single characters, since toLowerCase() looks at a sigma's neighbours. Two scripts have rules of their own: the dotless
 * i stays, and Cherokee folds to its older, capital letters.
 */
function foldChar(char: string): string {
  const code = char.codePointAt(0) ?? 0;
  if (code === 0x131 || (code >= 0x13a0 && code <= 0x13f5)) return char;
  if (code >= 0x13f8 && code <= 0x13fd) return String.fromCharCode(code - 8);
  if (code >= 0xab70 && code <= 0xabbf) return String.fromCharCode(code - 0xab70 + 0x13a0);
  return char.toLowerCase().toUpperCase().toLowerCase();
}

/** The same on bytes. With `utf8`, they have to be valid UTF-8. What needs no change is given back as it is. */
export function foldBytes(key: Buffer, utf8: boolean): Buffer {
  let folded: Buffer | undefined;
  for (let at = 0; at < key.length; at++) {
    const byte = key[at] as number;
    if (byte >= 0x80 && utf8) return Buffer.from(foldKey(key.toString()));
    if (byte < 0x41 || byte > 0x5a) continue;
    folded ??= Buffer.from(key);
    folded[at] = byte + 0x20;
  }
  return folded ?? key;
}
