import { formatAddressField } from "../rfc5322/address-field.ts";
import { type ListPart, parseListParts } from "../rfc5322/addresses.ts";
import type { Token } from "../rfc5322/tokens.ts";
import type { Answer } from "../table/maps.ts";
import { chain } from "./answer.ts";

/**
 * Header fields whose addresses are rewritten. Text is one character a byte here; what rewrites an address gets it as
 * text (rfc5322/octets.ts).
 */

/** Fields whose addresses are a message's senders, and those whose are its recipients; names in lower case. */
const roles: ReadonlyMap<string, "header_sender" | "header_recipient"> = new Map([
  ...[
    ...["from", "sender", "reply-to", "errors-to", "return-receipt-to", "return-path"],
    ...["disposition-notification-to", "mail-followup-to", "resent-from", "resent-sender"],
  ].map((name) => [name, "header_sender"] as const),
  ...[...["to", "cc", "bcc", "apparently-to"], ...["resent-to", "resent-cc", "resent-bcc", "resent-reply-to"]].map(
    (name) => [name, "header_recipient"] as const,
  ),
]);

/** Whose addresses stand in a field of this name, in any case; undefined where no addresses do. */
export function fieldRole(name: string): "header_sender" | "header_recipient" | undefined {
  return roles.get(name) ?? roles.get(name.toLowerCase());
}

export interface RewrittenAddress {
  readonly tokens: readonly Token[];
  readonly changed: boolean;
}

/**
 * "Name: list" as formatAddressField gives it, or undefined where no address changes. `name` as it is written, `value`
 * what stands behind the colon with LF between lines. Fails as `rewrite` does.
 */
export function rewriteField(
  name: string,
  value: string,
  tokenLimit: number,
  rewrite: (tokens: readonly Token[]) => Answer<RewrittenAddress>,
): Answer<string | undefined> {
  const parts = parseListParts(value, tokenLimit);
  return chain(rewriteFrom(parts, 0, rewrite, false), (any) => (any ? formatAddressField(name, parts) : undefined));
}

/** Puts the new addresses into `parts`; true where one differs. */
function rewriteFrom(
  parts: ListPart[],
  first: number,
  rewrite: (tokens: readonly Token[]) => Answer<RewrittenAddress>,
  before: boolean,
): Answer<boolean> {
  let changed = before;
  for (let at = first; at < parts.length; at++) {
    const part = parts[at] as ListPart;
    if (part.kind !== "address") continue;
    const rewritten = rewrite(part.tokens);
    if (rewritten instanceof Promise) {
      return rewritten.then((each) => {
        parts[at] = { kind: "address", tokens: each.tokens };
        return rewriteFrom(parts, at + 1, rewrite, changed || each.changed);
      });
    }
    parts[at] = { kind: "address", tokens: rewritten.tokens };
    changed ||= rewritten.changed;
  }
  return changed;
}
