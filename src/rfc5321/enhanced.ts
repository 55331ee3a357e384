/**
 * Enhanced status codes (RFC 3463, RFC 2034): "5.1.1". The class must agree
 * with the reply code that it stands behind; where it does not, it says nothing
 * and x.0.0 is used.
 */

/** The code at the beginning of a reply's text, if one is there, and the text behind it. */
export function splitEnhanced(text: string): { enhanced: string; text: string } {
  const [whole, enhanced = ""] = /^([245]\.\d{1,3}\.\d{1,3})(?:[ \t]+|$)/.exec(text) ?? [""];
  return whole === "" ? { enhanced: "", text } : { enhanced, text: text.slice(whole.length) };
}

export function isEnhanced(text: string): boolean {
  return /^[245]\.\d{1,3}\.\d{1,3}$/.test(text);
}

/** `enhanced` if its class is that of the reply code; else x.0.0. Codes outside 2xx, 4xx and 5xx count as 5. */
export function agreeing(code: number, enhanced: string): string {
  const first = Math.floor(code / 100);
  const digit = first === 2 || first === 4 ? first : 5;
  return isEnhanced(enhanced) && enhanced.startsWith(`${digit}.`) ? enhanced : `${digit}.0.0`;
}

/** The same detail under another class: a 5.7.1 that is deferred becomes 4.7.1. */
export function withClass(enhanced: string, digit: 2 | 4 | 5): string {
  return isEnhanced(enhanced) ? `${digit}${enhanced.slice(1)}` : `${digit}.0.0`;
}
