import { isAscii, isUtf8 } from "node:buffer";
import { formatAddressField } from "../rfc5322/address-field.ts";
import { type ListPart, parseListParts } from "../rfc5322/addresses.ts";
import { scanTokens, type Token, writtenText } from "../rfc5322/tokens.ts";
import { chain } from "../routing/answer.ts";
import type { AddressStep, Canonical } from "../routing/canonical.ts";
import { isComplete, type Rewriter } from "../routing/rewrite.ts";
import type { Answer } from "../table/maps.ts";

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

export interface HeaderAddressesOptions {
  readonly rewriter: Rewriter;
  readonly canonical: Pick<Canonical, "steps">;
  /** header_address_token_limit */
  readonly tokenLimit: number;
}

/**
 * The addresses in the headers of one kind of client: completed, then given to the canonical maps and to
 * masquerading. A field none of whose addresses changes is left as it is; any other is written anew, whole.
 *
 * Header text is one character a byte. Tables are asked in UTF-8; what is not UTF-8 they do not know.
 */
export class HeaderAddresses {
  readonly #rewriter: Rewriter;
  readonly #tokenLimit: number;
  readonly #steps: Readonly<Record<"header_sender" | "header_recipient", readonly AddressStep[]>>;

  constructor({ rewriter, canonical, tokenLimit }: HeaderAddressesOptions) {
    this.#rewriter = rewriter;
    this.#tokenLimit = tokenLimit;
    this.#steps = {
      header_sender: canonical.steps("header_sender"),
      header_recipient: canonical.steps("header_recipient"),
    };
  }

  static concerns(name: string): boolean {
    return roles.has(name);
  }

  /**
   * "Name: list" as formatAddressField gives it, or undefined where the field stays. `name` as it is written, `value` what
   * stands behind the colon with LF between lines. Throws, or rejects with, a TableError.
   */
  rewrite(name: string, value: string): Answer<string | undefined> {
    const role = roles.get(name.toLowerCase());
    if (role === undefined) return undefined;
    const steps = this.#steps[role];
    if (steps.length === 0 && allComplete(value)) return undefined;
    const parts = parseListParts(value, this.#tokenLimit);
    const changed = this.#rewriteFrom(parts, 0, steps, false);
    return chain(changed, (any) => (any ? formatAddressField(name, parts) : undefined));
  }

  /** Puts the new addresses into `parts`; true where one differs. */
  #rewriteFrom(parts: ListPart[], first: number, steps: readonly AddressStep[], before: boolean): Answer<boolean> {
    let changed = before;
    for (let at = first; at < parts.length; at++) {
      const part = parts[at] as ListPart;
      if (part.kind !== "address") continue;
      const rewritten = this.#address(part.tokens, steps);
      if (rewritten instanceof Promise) {
        return rewritten.then((each) => {
          parts[at] = { kind: "address", tokens: each.tokens };
          return this.#rewriteFrom(parts, at + 1, steps, changed || each.changed);
        });
      }
      parts[at] = { kind: "address", tokens: rewritten.tokens };
      changed ||= rewritten.changed;
    }
    return changed;
  }

  /** The empty address has quotes in headers. */
  readonly #complete = (address: string): string => (address === "" ? "" : this.#rewriter.rewrite(address) || '""');

  #address(tokens: readonly Token[], steps: readonly AddressStep[]): Answer<RewrittenAddress> {
    const written = writtenText(tokens);
    const completed = inText(written, this.#complete, true) as string;
    let answer: Answer<RewrittenAddress> = {
      tokens: scanTokens(completed, Number.POSITIVE_INFINITY),
      changed: completed !== written,
    };
    for (const step of steps) answer = chain(answer, (each) => takeStep(each, step));
    return answer;
  }
}

interface RewrittenAddress {
  readonly tokens: readonly Token[];
  readonly changed: boolean;
}

function takeStep({ tokens, changed }: RewrittenAddress, step: AddressStep): Answer<RewrittenAddress> {
  const written = writtenText(tokens, true);
  return chain(inText(written, step, false), (rewritten) => ({
    tokens: scanTokens(rewritten, Number.POSITIVE_INFINITY),
    changed: changed || rewritten !== written,
  }));
}

/** A step on text, for an address in bytes. What is not UTF-8 is given to it only if it takes `bytes`, too. */
function inText(address: string, step: AddressStep, takesBytes: boolean): Answer<string> {
  const bytes = Buffer.from(address, "latin1");
  if (isAscii(bytes)) return chain(step(address), inBytes);
  if (isUtf8(bytes)) return chain(step(bytes.toString()), inBytes);
  return takesBytes ? step(address) : address;
}

function inBytes(text: string): string {
  return /[^\x00-\x7f]/.test(text) ? Buffer.from(text).toString("latin1") : text;
}

/** Is this a plain list with nothing to complete in it? True is certain; false may mean that it takes a closer look. */
function allComplete(value: string): boolean {
  for (let from = 0; from <= value.length; ) {
    const comma = value.indexOf(",", from);
    const end = comma < 0 ? value.length : comma;
    const text = value.slice(from, end).trim();
    const opening = text.indexOf("<");
    const address = opening >= 0 && text.endsWith(">") ? text.slice(opening + 1, -1) : text;
    if (!isComplete(address) || (opening > 0 && !plainPhrase.test(text.slice(0, opening)))) return false;
    from = end + 1;
  }
  return true;
}

const plainPhrase = /^(?:"[^"\\]*"[ \t]*|[^"(),:;<>@[\]\\]*)$/;
