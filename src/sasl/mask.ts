/** A piece of base64 from here on is taken for a piece of the secret, and no longer for chance. */
const pieceLength = 8;

/** Secrets up to this length occur in ordinary words. */
const shortLength = 3;

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
    this.#plain.add(folded(text));
    // As it looks once a reply has been made fit to be shown: without control characters, trimmed.
    this.#plain.add(folded(text.replace(/[\x00-\x1f\x7f-\x9f]/g, "?").trim()) || folded(text));
    this.#plain.add(folded(bytes.toString("latin1")));
    this.#plain.add(folded(encodeURIComponent(text)));
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
    if (this.#encoded.has(bare)) return true;
    if (bare.length < pieceLength) return false;
    for (const encoded of this.#encoded) {
      if (encoded.includes(bare)) return true;
      if (encoded.length >= pieceLength && (bare.includes(encoded) || overlaps(bare, encoded))) return true;
    }
    const decoded = folded(Buffer.from(token, "base64").toString("latin1"));
    for (const secret of this.#plain) if (secret.length > shortLength && decoded.includes(secret)) return true;
    return false;
  }
}

/**
 * In lower case, one unit after the other: places in it are places in the text, and what is equal stays equal
 * whatever stands around it (toLowerCase() makes two units of "İ", and one of two sigmas of "Σ").
 */
function folded(text: string): string {
  if (/^[\x00-\x7f]*$/.test(text)) return text.toLowerCase();
  return text.replace(/[^a-z]/g, (unit) => {
    const lower = unit.toLowerCase();
    return lower.length === 1 ? lower : unit;
  });
}

/** A short secret is only taken out where it stands alone: anywhere else it is chance, and "***" would tell. */
function withoutSecret(text: string, secret: string): string {
  const lower = folded(text);
  if (!lower.includes(secret)) return text;
  const short = secret.length <= shortLength;
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

/** A beginning of `encoded` ends `text`, or an end of it begins `text`. */
function overlaps(text: string, encoded: string): boolean {
  const most = Math.min(text.length, encoded.length);
  for (let length = most; length >= pieceLength; length--) {
    if (text.endsWith(encoded.slice(0, length)) || text.startsWith(encoded.slice(-length))) return true;
  }
  return false;
}

function unpadded(bytes: Buffer): string {
  return bytes.toString("base64").replace(/=+$/, "").toLowerCase();
}
