/**
 * Text in braces, as it stands in `inline:{ … }` and `static:{ … }`.
 */

/** The length of the balanced `{ … }` at the start of `text`, braces included; 0 where there is none. */
export function bracedLength(text: string): number {
  if (text[0] !== "{") return 0;
  let depth = 0;
  for (let at = 0; at < text.length; at++) {
    if (text[at] === "{") depth++;
    else if (text[at] === "}" && --depth === 0) return at + 1;
  }
  return 0;
}

/** What stands between the braces, without the white space around it; or what is wrong, in Postfix's words. */
export function insideBraces(text: string): { readonly inside: string } | { readonly problem: string } {
  const length = bracedLength(text);
  if (length === 0) return { problem: `missing '}' in "${text}"` };
  if (length !== text.length) return { problem: `syntax error after '}' in "${text}"` };
  return { inside: trimmed(text.slice(1, -1)) };
}

/** Without white space (C's) around it. */
export const trimmed = (text: string): string => text.replace(/^[ \t-\r]+|[ \t-\r]+$/g, "");

/** Splits at commas and white space outside braces. */
export function bracedWords(text: string): string[] {
  const words: string[] = [];
  let depth = 0;
  let start = -1;
  for (let at = 0; at <= text.length; at++) {
    const char = text[at];
    if (char === undefined || (depth === 0 && /[, \t\r\n]/.test(char))) {
      if (start >= 0) words.push(text.slice(start, at));
      start = -1;
      continue;
    }
    if (start < 0) start = at;
    if (char === "{") depth++;
    else if (char === "}" && depth > 0) depth--;
  }
  return words;
}
