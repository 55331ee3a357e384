/**
 * Takes what went into AUTH out of texts that others gave us. A server that
 * answers with an echo of our command must not get the password into a log
 * line, a bounce or a metric.
 *
 * Covered are the secrets as they are, in base64 with or without padding and
 * cut off anywhere, in hexadecimal, percent-encoded, and in any case of letters.
 */
export class Mask {
  readonly #plain = new Set<string>();
  readonly #encoded = new Set<string>();

  /** `secret`: a password or a line that contains one. */
  add(secret: string | Buffer): void {
    const bytes = typeof secret === "string" ? Buffer.from(secret) : secret;
    if (bytes.length === 0) return;
    const text = bytes.toString("utf8");
    this.#plain.add(text.toLowerCase());
    this.#plain.add(bytes.toString("latin1").toLowerCase());
    this.#plain.add(encodeURIComponent(bytes.toString("latin1")).toLowerCase());
    this.#encoded.add(bytes.toString("hex"));
    this.#encoded.add(unpadded(bytes));
  }

  /** A reply as it may be logged. Linear in the text, for the few secrets of one session. */
  apply(text: string): string {
    let masked = text;
    for (const secret of this.#plain) masked = withoutSecret(masked, secret);
    return masked.replace(/[A-Za-z0-9+/]{4,}={0,2}/g, (token) => (this.#isEncoded(token) ? "***" : token));
  }

  /** The whole of an encoded secret, around other text or not; or a piece of one that is too long to be chance. */
  #isEncoded(token: string): boolean {
    const bare = token.replace(/=+$/, "").toLowerCase();
    for (const encoded of this.#encoded) {
      if (bare.includes(encoded) || (bare.length >= 8 && encoded.includes(bare))) return true;
      if (bare.length >= 8 && encoded.length >= 8 && overlap(bare, encoded) >= 8) return true;
    }
    return false;
  }
}

/** A secret of three characters or less is only taken out where it stands alone: anywhere else it is chance, and "***" would tell. */
function withoutSecret(text: string, secret: string): string {
  const lower = text.toLowerCase();
  if (lower.length !== text.length || !lower.includes(secret)) return text;
  const short = secret.length < 4;
  let result = "";
  let from = 0;
  for (let at = lower.indexOf(secret); at >= 0; at = lower.indexOf(secret, at + 1)) {
    if (at < from) continue;
    const end = at + secret.length;
    if (short && (/\w/.test(lower[at - 1] ?? "") || /\w/.test(lower[end] ?? ""))) continue;
    result += `${text.slice(from, at)}***`;
    from = end;
  }
  return result + text.slice(from);
}

/** How long a beginning of `encoded` ends `text`, or an end of it begins `text`. */
function overlap(text: string, encoded: string): number {
  for (let length = Math.min(text.length, encoded.length); length >= 8; length--) {
    if (text.endsWith(encoded.slice(0, length)) || text.startsWith(encoded.slice(-length))) return length;
  }
  return 0;
}

function unpadded(bytes: Buffer): string {
  return bytes.toString("base64").replace(/=+$/, "").toLowerCase();
}
