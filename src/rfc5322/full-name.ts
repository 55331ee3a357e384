/**
 * The phrase before an address for a person's full name, as a header may carry
 * it: words as they are, quoted where they hold specials (RFC 5322 section
 * 3.2.5), encoded words where they are not ASCII (RFC 2047 section 5). Words
 * are joined with a space. "" where nothing is left of the name.
 */
export function formatFullName(name: string): string {
  const clean = name.replace(/[\x00-\x20\x7f]+/g, " ").trim();
  if (clean === "") return "";
  if (/[^\x00-\x7f]/.test(clean)) return encodedWords(clean);
  if (!/["%!()<>@,;:\\.[\]]/.test(clean)) return clean;
  return `"${clean.replace(/["\\]/g, "\\$&")}"`;
}

/** An encoded word holds 75 characters at most: 63 of base64 payload, 45 bytes, and never half a character. */
function encodedWords(text: string): string {
  const found: string[] = [];
  let part = "";
  for (const char of text.toWellFormed()) {
    if (Buffer.byteLength(part + char) > 45) {
      found.push(part);
      part = "";
    }
    part += char;
  }
  found.push(part);
  return found.map((each) => `=?utf-8?B?${Buffer.from(each).toString("base64")}?=`).join(" ");
}
