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

export type TokenKind = "word" | "quoted" | "literal" | "comment" | "operator";

export interface Token {
  readonly kind: TokenKind;
  /** Without quotes and brackets, backslashes taken off; a comment's text is kept as it is written. */
  readonly value: string;
  /** Where it stands in the text: offsets in UTF-16 units (bytes, where the text was decoded as latin1). */
  readonly start: number;
  readonly end: number;
}

export interface ListedAddress {
  /** The address as it is used everywhere: no brackets or comments, quoted where needed. */
  readonly text: string;
  /** Its tokens without comments; never empty. */
  readonly tokens: readonly Token[];
  /** The range in the text from its first to behind its last token; comments may stand inside. */
  readonly start: number;
  readonly end: number;
  /** Comments inside that range, "(…)" each. */
  readonly comments: readonly string[];
  /** Where a comma is missing between it and what stands before it; undefined where none is. */
  readonly commaMissingAt: number | undefined;
}

/** header_address_token_limit's default. */
const manyTokens = 10240;

/** A run of what stands for itself: no white space, no RFC 822 special, none of the routing operators. */
const plainRun = /[^\t\n\r "%!|()<>@,;:\\.[\]]+/y;

/** The addresses of a list, left to right. What stands behind `tokenLimit` tokens is not looked at. */
export function parseAddressList(text: string, tokenLimit = manyTokens): ListedAddress[] {
  return new ListParser(scanTokens(text, tokenLimit)).parse();
}

/** The tokens of the text, white space dropped. */
export function scanTokens(text: string, tokenLimit = manyTokens): Token[] {
  const tokens: Token[] = [];
  for (let at = 0; at < text.length && tokens.length < tokenLimit; ) {
    const char = text.charCodeAt(at);
    if (char === 0x20 || char === 0x09 || char === 0x0d || char === 0x0a) {
      at++;
      continue;
    }
    const token = tokenAt(text, at);
    tokens.push(token);
    at = token.end;
  }
  return tokens;
}

function tokenAt(text: string, start: number): Token {
  const char = text[start] as string;
  if (char === "(") return comment(text, start);
  if (char === '"') return delimited(text, start, "quoted", '"');
  if (char === "[") return delimited(text, start, "literal", "]");
  if (char !== "\\" && "%!|)<>@,;:.]".includes(char)) {
    return { kind: "operator", value: char, start, end: start + 1 };
  }
  return word(text, start);
}

/** Comments nest. One that is not closed goes on to the end of the text. */
function comment(text: string, start: number): Token {
  let depth = 0;
  let at = start;
  for (; at < text.length; at++) {
    const char = text[at];
    if (char === "\\") at++;
    else if (char === "(") depth++;
    else if (char === ")" && --depth === 0) {
      at++;
      break;
    }
  }
  const end = Math.min(at, text.length);
  return { kind: "comment", value: text.slice(start, end), start, end };
}

function delimited(text: string, start: number, kind: TokenKind, closing: string): Token {
  let value = "";
  let from = start + 1;
  let at = from;
  for (; at < text.length && text[at] !== closing; at++) {
    if (text[at] !== "\\" || at + 1 >= text.length) continue;
    value += text.slice(from, at);
    from = ++at;
  }
  value += text.slice(from, at);
  // Folding inside is undone: the line ends go, the white space stays.
  if (value.includes("\n")) value = value.replace(/\r?\n(?=[ \t])/g, "");
  return { kind, value, start, end: Math.min(at + 1, text.length) };
}

/** A word may hold quoted pairs; one that would not be a word without its backslashes counts as quoted. */
function word(text: string, start: number): Token {
  let value = "";
  let kind: TokenKind = "word";
  let at = start;
  while (at < text.length) {
    if (text[at] === "\\") {
      const escaped = text[at + 1] ?? "";
      if (/[\x00-\x20\x7f"%!|()<>@,;:\\.[\]]/.test(escaped)) kind = "quoted";
      value += escaped;
      at += 1 + escaped.length;
      continue;
    }
    plainRun.lastIndex = at;
    const run = plainRun.exec(text)?.[0];
    if (run === undefined) break;
    if (/[\x00-\x1f\x7f]/.test(run)) kind = "quoted";
    value += run;
    at += run.length;
  }
  return { kind, value, start, end: at };
}

/** The rules of the contract above: a walk from the last token to the first, `right` being where the current address ends. */
class ListParser {
  readonly #tokens: readonly Token[];
  readonly #found: ListedAddress[] = [];

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  parse(): ListedAddress[] {
    let right = this.#tokens.length;
    let wordMayCome = true;
    let inGroup = false;
    let at = right - 1;
    while (at >= 0) {
      const token = this.#tokens[at] as Token;
      if (token.kind === "comment") {
        at--;
        continue;
      }
      if (token.kind !== "operator") {
        if (!wordMayCome) {
          this.#take(at + 1, right, true);
          right = at + 1;
        }
        wordMayCome = false;
      } else {
        wordMayCome = true;
        if (token.value === ";") {
          inGroup = true;
          this.#take(at + 1, right, true);
          right = at;
        } else if (token.value === ",") {
          this.#take(at + 1, right);
          right = at;
        } else if (token.value === ":" && inGroup) {
          this.#take(at + 1, right);
          at = this.#leftTo(at, ",");
          right = Math.max(at, 0);
          continue;
        } else if (token.value === ">") {
          this.#take(at + 1, right, true);
          const opening = this.#leftTo(at, "<");
          this.#take(opening + 1, at);
          at = this.#leftTo(opening, ">;,:");
          right = at + 1;
          continue;
        }
      }
      at--;
    }
    this.#take(0, right);
    return this.#found.reverse();
  }

  /** The nearest of these operators at or left of `from`; -1 where there is none. */
  #leftTo(from: number, operators: string): number {
    let at = from;
    for (; at >= 0; at--) {
      const token = this.#tokens[at] as Token;
      if (token.kind === "operator" && operators.includes(token.value)) break;
    }
    return at;
  }

  #take(from: number, to: number, commaMissing = false): void {
    const tokens: Token[] = [];
    const between: Token[] = [];
    for (let at = from; at < to; at++) {
      const token = this.#tokens[at] as Token;
      (token.kind === "comment" ? between : tokens).push(token);
    }
    const first = tokens[0];
    const last = tokens.at(-1);
    if (!first || !last) return;
    this.#found.push({
      text: formatTokens(tokens),
      tokens,
      start: first.start,
      end: last.end,
      commaMissingAt: commaMissing ? this.#tokens[from - 1]?.end : undefined,
      comments: between.filter(({ start, end }) => start > first.start && end < last.end).map(({ value }) => value),
    });
  }
}

/**
 * The address that the tokens (comments left out) stand for, its local part
 * quoted where it is no dot-string; "" for an empty quoted string alone. A
 * source route is left out: nobody follows them (RFC 5321 appendix C).
 */
export function formatTokens(given: readonly Token[]): string {
  const tokens = withoutRoute(given);
  const at = tokens.findLastIndex(({ kind, value }) => kind === "operator" && value === "@");
  if (at < 0) return quoted(joined(tokens), tokens.length > 0 && joined(tokens) === "");
  const local = joined(tokens.slice(0, at));
  return `${quoted(local, false)}@${joined(tokens.slice(at + 1))}`;
}

/** The tokens' text with no quotes, as commands and file names in alias tables are meant. */
export function plainTokens(tokens: readonly Token[]): string {
  return joined(tokens);
}

/** A source route, "@one,@two:", ends with the first colon, unless nothing comes behind it. */
export function withoutRoute(tokens: readonly Token[]): readonly Token[] {
  const isOperator = (token: Token | undefined, value: string) => token?.kind === "operator" && token.value === value;
  if (!isOperator(tokens[0], "@")) return tokens;
  const colon = tokens.findIndex((token) => isOperator(token, ":"));
  return colon < 0 || colon === tokens.length - 1 ? tokens : tokens.slice(colon + 1);
}

function joined(tokens: readonly Token[]): string {
  let text = "";
  for (const { kind, value } of tokens) text += kind === "literal" ? `[${value}]` : value;
  return text;
}

const dotString = /^[^\x00-\x20\x7f"(),.:;<>@[\\\]]+(?:\.[^\x00-\x20\x7f"(),.:;<>@[\\\]]+)*$/;

function quoted(local: string, empty: boolean): string {
  if (empty || dotString.test(local)) return local;
  return `"${local.replace(/["\\\r]/g, "\\$&")}"`;
}
