/**
 * Mailboxes and paths (RFC 5321 section 4.1.2, RFC 6531 section 3.3).
 *
 * Everywhere in the relay an address is text without angle brackets, its local
 * part quoted where the grammar wants it: `user@example.com`,
 * `"two words"@example.com`, `root`, and "" for the null sender.
 *
 * formatPath() is the one writer of paths on the wire. What it gives can be put
 * into a command line as it is: no line end, no control character, no bracket
 * or quote out of place.
 */
import { addressBytes } from "./ip.ts";

/** An address cannot be written on the wire. The message does not repeat the address. */
export class PathError extends Error {}

export interface PathOptions {
  /** Characters outside ASCII are allowed: SMTPUTF8 was declared. */
  readonly smtputf8: boolean;
  /** strict_rfc821_envelopes: brackets are demanded; comments and white space inside are refused. */
  readonly strict: boolean;
}

/** RFC 5321 section 4.5.3.1.3 asks for 256 at least; what Postfix takes is bounded by the command line alone. */
const longestPath = 2048;

/** Splits at the last `@` outside quotes; `local` keeps its quotes. Without one, all is local and `domain` is "". */
export function splitAddress(address: string): { local: string; domain: string } {
  const at = address.includes('"') || address.includes("\\") ? lastUnquotedAt(address) : address.lastIndexOf("@");
  return at < 0 ? { local: address, domain: "" } : { local: address.slice(0, at), domain: address.slice(at + 1) };
}

function lastUnquotedAt(address: string): number {
  let found = -1;
  let quoted = false;
  for (let index = 0; index < address.length; index++) {
    const char = address[index];
    if (char === "\\") index++;
    else if (char === '"') quoted = !quoted;
    else if (char === "@" && !quoted) found = index;
  }
  return quoted ? address.lastIndexOf("@") : found;
}

const dotString = /^[^\x00-\x20\x7f-\x9f"(),.:;<>@[\\\]]+(?:\.[^\x00-\x20\x7f-\x9f"(),.:;<>@[\\\]]+)*$/;

/** A local part as the grammar wants it: as it is where it is a dot-string, else quoted. Takes the bare text, not one already quoted. */
export function quoteLocal(local: string): string {
  return dotString.test(local) ? local : `"${local.replace(/["\\]/g, "\\$&")}"`;
}

/** The text that a local part stands for: quotes and backslashes taken off, wherever they are. */
export function unquoteLocal(local: string): string {
  return local.includes('"') || local.includes("\\") ? local.replace(/\\(.)|"/gs, "$1") : local;
}

/**
 * The address of the argument of MAIL FROM: or RCPT TO:, in the form told
 * above; "" for `<>`; undefined where the syntax is bad. Source routes are
 * dropped. Unless strict, brackets may be missing, and comments and white space
 * outside quotes are passed over, as in RFC 822 addresses.
 */
export function parsePath(text: string, { smtputf8, strict }: PathOptions): string | undefined {
  if (text.length > longestPath) return undefined;
  const bracketed = text.length >= 2 && text.startsWith("<") && text.endsWith(">");
  if (strict && !bracketed) return undefined;
  let inner = bracketed ? text.slice(1, -1) : text;
  if (inner.startsWith("@")) {
    const colon = inner.indexOf(":");
    if (colon >= 0) inner = inner.slice(colon + 1);
  }
  if (inner === "") return "";
  if (/[\x00-\x08\x0a-\x1f\x7f-\x9f]/.test(inner) || !inner.isWellFormed()) return undefined;
  if (!smtputf8 && /[^\x00-\x7f]/.test(inner)) return undefined;
  const plain = inner.indexOf("@");
  if (plain > 0 && dotString.test(inner.slice(0, plain)) && isDomain(inner.slice(plain + 1))) return inner;
  return parseMailbox(inner, strict);
}

/** The slow road: quotes, comments, white space, address literals, and addresses without a domain. */
function parseMailbox(inner: string, strict: boolean): string | undefined {
  const text = strict
    ? inner
    : withoutComments(inner)
        ?.replace(/^<+/, "")
        .replace(/(?<![\\>])>+$/, "");
  if (text === undefined || !balanced(text)) return undefined;
  if (text === "") return "";
  const { local, domain } = splitAddress(text);
  const bare = unquoteLocal(local);
  if (strict && !dotString.test(local) && !/^"(?:[^"\\]|\\.)*"$/.test(local)) return undefined;
  if (domain === "" && text.length > local.length) return undefined;
  if (local === "" || (bare === "" && domain === "")) return undefined;
  if (domain === "") return quoteLocal(bare);
  if (!isDomain(domain.endsWith(".") ? domain.slice(0, -1) : domain) && !isAddressLiteral(domain)) return undefined;
  return `${quoteLocal(bare)}@${domain}`;
}

/** Quotes and backslashes are complete, and nothing that separates addresses stands outside of them. */
function balanced(text: string): boolean {
  let quoted = false;
  for (let index = 0; index < text.length; index++) {
    const char = text[index];
    if (char === "\\" && ++index >= text.length) return false;
    if (char === '"') quoted = !quoted;
    else if (!quoted && /[<>,;\s]/.test(char ?? "")) return false;
  }
  return !quoted;
}

/** The text without comments and outer white space; undefined where parentheses do not match. */
function withoutComments(text: string): string | undefined {
  let kept = "";
  let depth = 0;
  let quoted = false;
  for (let index = 0; index < text.length; index++) {
    const char = text[index] as string;
    const pair = char === "\\" ? text.slice(index, index + 2) : char;
    index += pair.length - 1;
    if (depth === 0 && char === '"') quoted = !quoted;
    if (!quoted && char === "(") depth++;
    else if (!quoted && depth > 0 && char === ")") depth--;
    else if (depth === 0) kept += pair;
  }
  return depth > 0 ? undefined : kept.trim();
}

/**
 * An address as it goes behind MAIL FROM: and RCPT TO:, brackets included.
 * Encode it as UTF-8. A local part that is not quoted and should be is quoted.
 * Throws PathError for what no quoting can carry: line ends, NUL and other
 * control characters, unbalanced quotes, a domain with anything but names in it.
 */
export function formatPath(address: string): string {
  if (address === "") return "<>";
  if (/[\x00-\x1f\x7f-\x9f]/.test(address)) throw new PathError("an address contains a control character");
  if (!address.isWellFormed()) throw new PathError("an address contains half of a character");
  const { local, domain } = splitAddress(address);
  if (!dotString.test(local) && !balancedQuotes(local)) throw new PathError("an address contains an unbalanced quote");
  if (/[\s"\\<>(),;@]/.test(domain) || (domain.includes(":") && !domain.startsWith("[")))
    throw new PathError("an address contains an impossible domain");
  const written = dotString.test(local) || /^"(?:[^"\\]|\\.)*"$/.test(local) ? local : quoteLocal(unquoteLocal(local));
  return domain === "" ? `<${written}>` : `<${written}@${domain}>`;
}

function balancedQuotes(text: string): boolean {
  let quoted = false;
  for (let index = 0; index < text.length; index++) {
    if (text[index] === "\\") {
      if (++index >= text.length) return false;
    } else if (text[index] === '"') quoted = !quoted;
  }
  return !quoted;
}

/**
 * A domain name as mail may use it: labels of letters, digits, hyphens and (for
 * old times' sake) underscores, not beginning or ending with a hyphen, not all
 * digits; or the same with characters outside ASCII (RFC 5890 U-labels). No final dot.
 */
export function isDomain(text: string): boolean {
  if (text.length === 0 || text.length > 255) return false;
  if (!/^(?:(?!-)[\w\u00a1-\u{10ffff}-]{1,63}(?<!-)(?:\.|$))+$/u.test(text) || text.endsWith(".")) return false;
  return /[^\d.]/.test(text);
}

/** `[192.0.2.1]` or `[IPv6:2001:db8::1]` (RFC 5321 section 4.1.3). */
export function isAddressLiteral(text: string): boolean {
  if (!text.startsWith("[") || !text.endsWith("]")) return false;
  const inner = text.slice(1, -1);
  if (/^ipv6:/i.test(inner)) return inner.includes(":", 5) && addressBytes(inner.slice(5)) !== undefined;
  return !inner.includes(":") && addressBytes(inner) !== undefined;
}
