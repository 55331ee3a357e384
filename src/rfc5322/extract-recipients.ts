import { parseAddressList } from "./addresses.ts";
import { scanHeader } from "./header.ts";

/** `sendmail -t` cannot tell whom a message is for. */
export type Extracted =
  | { readonly kind: "recipients"; readonly addresses: readonly string[] }
  | { readonly kind: "too many"; readonly limit: number };

const ordinary = new Set(["to", "cc", "bcc"]);
const resent = new Set(["resent-to", "resent-cc", "resent-bcc"]);

/**
 * Whom `sendmail -t` sends to: the addresses of To, Cc and Bcc; of the Resent-
 * ones alone where there are any (RFC 5322 section 3.6.6). In the order
 * written, duplicates included; text is taken as UTF-8. `bytes` begins with
 * the header and may go on with the body.
 */
export function extractRecipients(bytes: Buffer, limit = 100_000): Extracted {
  const { fields } = scanHeader(bytes, true);
  const names = fields.some(({ name }) => resent.has(name)) ? resent : ordinary;
  const addresses: string[] = [];
  for (const { name, colon, end } of fields) {
    if (!names.has(name)) continue;
    for (const { text } of parseAddressList(bytes.toString("utf8", colon + 1, end), Number.POSITIVE_INFINITY)) {
      addresses.push(text);
      if (addresses.length > limit) return { kind: "too many", limit };
    }
  }
  return { kind: "recipients", addresses };
}
