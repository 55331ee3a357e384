import { characters, octets } from "../rfc5322/octets.ts";
import { scanTokens, type Token, writtenText } from "../rfc5322/tokens.ts";
import { fieldRole, type RewrittenAddress, rewriteField } from "../routing/address-fields.ts";
import { chain } from "../routing/answer.ts";
import type { AddressStep, Canonical } from "../routing/canonical.ts";
import { isComplete, type Rewriter } from "../routing/rewrite.ts";
import type { Answer } from "../table/maps.ts";

export interface HeaderAddressesOptions {
  readonly rewriter: Rewriter;
  readonly canonical: Pick<Canonical, "steps">;
  /** header_address_token_limit */
  readonly tokenLimit: number;
}

/**
 * The addresses in the headers of one kind of client: completed, then given to the canonical maps and to
 * masquerading. A field none of whose addresses changes is left as it is; any other is written anew, whole.
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

  /** As rewriteField() has it; undefined, too, for a field without addresses. */
  rewrite(name: string, value: string): Answer<string | undefined> {
    const role = fieldRole(name);
    if (role === undefined) return undefined;
    const steps = this.#steps[role];
    // A token has a character at least, so none of a short list is left out.
    if (steps.length === 0 && value.length <= this.#tokenLimit && allComplete(value)) return undefined;
    return rewriteField(name, value, this.#tokenLimit, (tokens) => this.#address(tokens, steps));
  }

  #address(tokens: readonly Token[], steps: readonly AddressStep[]): Answer<RewrittenAddress> {
    const written = writtenText(tokens);
    const completed = octets(this.#completed(characters(written)));
    let answer: Answer<RewrittenAddress> = {
      tokens: scanTokens(completed, Number.POSITIVE_INFINITY),
      changed: completed !== written,
    };
    for (const step of steps) answer = chain(answer, (each) => takeStep(each, step));
    return answer;
  }

  /** The empty address has quotes in headers. */
  #completed(address: string): string {
    return address === "" ? "" : this.#rewriter.rewrite(address) || '""';
  }
}

function takeStep({ tokens, changed }: RewrittenAddress, step: AddressStep): Answer<RewrittenAddress> {
  const written = writtenText(tokens, true);
  return chain(step(characters(written)), (answer) => {
    const rewritten = octets(answer);
    return {
      tokens: scanTokens(rewritten, Number.POSITIVE_INFINITY),
      changed: changed || rewritten !== written,
    };
  });
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
