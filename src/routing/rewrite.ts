import type { Values } from "../conf/param.ts";
import type { globalParams } from "../conf/params.ts";
import { withoutRoute } from "../rfc5322/addresses.ts";
import { quoteAddress } from "../rfc5322/quoting.ts";
import { isOperator, plainText, scanTokens, type Token } from "../rfc5322/tokens.ts";
import type { routingParams } from "./params.ts";

export type RewriteConf = Pick<Values<typeof globalParams>, "myorigin" | "mydomain"> &
  Pick<
    Values<typeof routingParams>,
    "append_at_myorigin" | "append_dot_mydomain" | "swap_bangpath" | "allow_percent_hack"
  >;

/**
 * Addresses in their canonical form (Postfix: trivial-rewrite, rewrite_tree). Every
 * address of an envelope goes through it, and those in the headers of local clients:
 *
 *   @route:user@domain  ->  user@domain
 *   site!user           ->  user@site        (swap_bangpath)
 *   user%domain         ->  user@domain      (allow_percent_hack)
 *   user                ->  user@$myorigin   (append_at_myorigin)
 *   user@host           ->  user@host.$mydomain   (append_dot_mydomain)
 *   user@domain.        ->  user@domain
 *
 * Quoted where it needs to be, in and out; the empty address is "". Pure, never fails: what it cannot mend it leaves.
 */
export class Rewriter {
  readonly #conf: RewriteConf;
  readonly #origin: readonly Token[];
  readonly #domain: readonly Token[];

  constructor(conf: RewriteConf) {
    this.#conf = conf;
    this.#origin = scanTokens(conf.myorigin);
    this.#domain = scanTokens(conf.mydomain);
  }

  rewrite(address: string): string {
    if (address === "" || isComplete(address)) return address;
    const tokens = scanTokens(address, Number.POSITIVE_INFINITY);
    if (tokens.length === 0) return address;
    const bare = plainText(this.#rewritten(tokens), true);
    return bare === "" ? "" : quoteAddress(bare);
  }

  #rewritten(given: readonly Token[]): readonly Token[] {
    const [first] = given;
    if (given.length === 1 && first?.kind === "quoted" && first.value === "") return given;
    if (given.length === 1 && isOperator(first, "@")) return [emptyQuoted];
    const tokens = this.#withDomain(withoutRoute(given));
    this.#completeDomain(tokens);
    const [beforeLast, last] = tokens.slice(-2);
    if (isOperator(last, ".") && beforeLast && !isOperator(beforeLast, ".") && !isOperator(beforeLast, "@"))
      tokens.pop();
    return tokens;
  }

  #withDomain(tokens: readonly Token[]): Token[] {
    if (tokens.some((token) => isOperator(token, "@"))) return [...tokens];
    const { swap_bangpath, allow_percent_hack, append_at_myorigin } = this.#conf;
    const bang = swap_bangpath ? tokens.findIndex((token) => isOperator(token, "!")) : -1;
    if (bang >= 0)
      return [...(bang === 0 ? asOne(tokens.slice(1)) : tokens.slice(bang + 1)), at, ...tokens.slice(0, bang)];
    const percent = allow_percent_hack ? tokens.findLastIndex((token) => isOperator(token, "%")) : -1;
    if (percent >= 0) return tokens.with(percent, at);
    if (append_at_myorigin && this.#origin.length > 0) return [...tokens, at, ...this.#origin];
    return [...tokens];
  }

  #completeDomain(tokens: Token[]): void {
    if (!this.#conf.append_dot_mydomain || this.#domain.length === 0) return;
    const found = tokens.findLastIndex((token) => isOperator(token, "@"));
    if (found < 0 || found === tokens.length - 1) return;
    const domain = tokens.slice(found + 1);
    if (domain.some((token) => token.kind === "literal" || isOperator(token, "."))) return;
    tokens.push(dot, ...this.#domain);
  }
}

/** Nothing to do for these, and they are nearly all: atoms, @, and a domain with a dot in it and none at its end. */
export function isComplete(address: string): boolean {
  return complete.test(address);
}

const complete = /^[^\x00-\x20\x7f"(),:;<>@[\\\].|]+(?:\.[^\x00-\x20\x7f"(),:;<>@[\\\].|]+)*@[\w-]+(?:\.[\w-]+)+$/;

const at: Token = { kind: "operator", value: "@" };
const dot: Token = { kind: "operator", value: "." };
const emptyQuoted: Token = { kind: "quoted", value: "" };

/** What stands behind a ! with no site before it gets no blanks. */
function asOne(tokens: readonly Token[]): Token[] {
  return tokens.length === 0 ? [] : [{ kind: "quoted", value: plainText(tokens) }];
}
