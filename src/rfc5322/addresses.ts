/**
 * Addresses in header text: From, To, Cc and their like (RFC 5322 sections 3.4
 * and 4.4: comments, quoted strings, groups, source routes), and in what
 * aliases and tables give, which is written the same way.
 *
 * Nothing is refused. Text that fits no grammar is taken as Postfix takes it:
 * from the right, where what stands in <> is the address and the words before
 * it are a phrase, and two words side by side have a comma missing between
 * them. Work is linear in the text; the number of tokens is limited.
 */
import { quoteAddress } from "./quoting.ts";
import { isOperator, manyTokens, plainText, scanTokens, type Token } from "./tokens.ts";

/**
 * A list of addresses, taken apart. Comments that stood inside an address have moved behind it, and commas that
 * were missing are there.
 *   address   its tokens, never empty, no comments among them
 *   group     the colon that begins a group's members
 *   token     anything else: words of a phrase, comments, separators, brackets
 */
export type ListPart =
  | { readonly kind: "address"; readonly tokens: readonly Token[] }
  | { readonly kind: "group" }
  | { readonly kind: "token"; readonly token: Token };

export interface ListedAddress {
  /** The address as it is used everywhere: no brackets or comments, quoted where needed. */
  readonly text: string;
  /** Its tokens without comments; never empty. */
  readonly tokens: readonly Token[];
}

/** The addresses of a list, left to right. What stands behind `tokenLimit` tokens is not looked at. */
export function parseAddressList(text: string, tokenLimit = manyTokens): ListedAddress[] {
  const listed: ListedAddress[] = [];
  for (const part of parseListParts(text, tokenLimit)) {
    if (part.kind === "address") listed.push({ text: formatTokens(part.tokens), tokens: part.tokens });
  }
  return listed;
}

/** All of a list, left to right. What stands behind `tokenLimit` tokens is left out. */
export function parseListParts(text: string, tokenLimit = manyTokens): ListPart[] {
  return new ListParser(scanTokens(text, tokenLimit)).parse();
}

const comma: ListPart = { kind: "token", token: { kind: "operator", value: "," } };

/** The rules of the contract above: a walk from the last token to the first. Both lists grow to the left. */
class ListParser {
  readonly #tokens: readonly Token[];
  readonly #parts: ListPart[] = [];
  /** What may become the next address. */
  #collected: Token[] = [];
  #at: number;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
    this.#at = tokens.length - 1;
  }

  parse(): ListPart[] {
    let wordMayCome = true;
    let inGroup = false;
    for (; this.#at >= 0; this.#at--) {
      const token = this.#tokens[this.#at] as Token;
      if (token.kind === "comment") {
        this.#keep(token);
      } else if (token.kind !== "operator") {
        if (!wordMayCome) this.#endAddress(true);
        wordMayCome = false;
        this.#collected.push(token);
      } else {
        wordMayCome = true;
        if (token.value === ";") inGroup = true;
        if (token.value === ";" || token.value === ",") {
          this.#endAddress(token.value === ";");
          this.#keep(token);
        } else if (token.value === ":" && inGroup) {
          this.#endAddress(false);
          this.#parts.push({ kind: "group" });
          this.#at--;
          this.#keepUpTo(",");
          this.#at++;
        } else if (token.value === ">") {
          this.#bracketed(token, inGroup);
        } else {
          this.#collected.push(token);
        }
      }
    }
    this.#endAddress(false);
    return this.#parts.reverse();
  }

  /** From a ">" to the beginning of the phrase before its "<". */
  #bracketed(closing: Token, inGroup: boolean): void {
    this.#endAddress(true);
    this.#keep(closing);
    this.#at--;
    for (; this.#at >= 0; this.#at--) {
      const token = this.#tokens[this.#at] as Token;
      if (isOperator(token, "<")) break;
      if (token.kind === "comment") this.#keep(token);
      else this.#collected.push(token);
    }
    this.#endAddress(false);
    this.#keepUpTo(">;,:");
    const before = this.#tokens[this.#at];
    // A colon that begins no group ends the phrase, and belongs to nothing.
    if (before && isOperator(before, ":") && !inGroup) this.#keep(before);
    else this.#at++;
  }

  /** Leaves what stands here as it is, until one of these operators. */
  #keepUpTo(operators: string): void {
    for (; this.#at >= 0; this.#at--) {
      const token = this.#tokens[this.#at] as Token;
      if (token.kind === "operator" && operators.includes(token.value)) break;
      this.#keep(token);
    }
  }

  #keep(token: Token): void {
    this.#parts.push({ kind: "token", token });
  }

  #endAddress(commaMissing: boolean): void {
    if (this.#collected.length === 0) return;
    this.#parts.push({ kind: "address", tokens: this.#collected.reverse() });
    if (commaMissing) this.#parts.push(comma);
    this.#collected = [];
  }
}

/**
 * The address that the tokens (comments left out) stand for, its local part
 * quoted where it is no dot-string; "" for an empty quoted string alone. A
 * source route is left out: nobody follows them (RFC 5321 appendix C).
 */
export function formatTokens(given: readonly Token[]): string {
  const bare = plainText(withoutRoute(given));
  return bare === "" ? "" : quoteAddress(bare);
}

/** A source route, "@one,@two:", ends with the first colon, unless nothing comes behind it. */
export function withoutRoute(tokens: readonly Token[]): readonly Token[] {
  if (!isOperator(tokens[0], "@")) return tokens;
  const colon = tokens.findIndex((token) => isOperator(token, ":"));
  return colon < 0 || colon === tokens.length - 1 ? tokens : tokens.slice(colon + 1);
}
