/**
 * The right-hand side of a regexp: or pcre: rule: text with $1, ${1} and $(1);
 * "$$" is one "$". Texts are bytes, one character each.
 */
export interface Replacement {
  readonly parts: readonly (string | number)[];
  /** The largest number; 0 where there is none. */
  readonly highest: number;
}

/** What is wrong with one, in Postfix's words. `placed`: Postfix says where it is. */
export interface ReplacementProblem {
  readonly problem: string;
  readonly placed: boolean;
}

/** `outOfRange`: how the type of table spells that. */
export function parseReplacement(text: string, outOfRange: string): Replacement | ReplacementProblem {
  const parts: (string | number)[] = [];
  let highest = 0;
  for (const { 0: token, 1: braced, 2: round, 3: plain, index: at } of text.matchAll(
    /\$\$|\$(?:\{([^{}]*)\}|\(([^()]*)\)|(\w*))|[^$]+/g,
  )) {
    if (!token.startsWith("$") || token === "$$") {
      parts.push(token === "$$" ? "$" : token);
      continue;
    }
    const name = braced ?? round ?? plain ?? "";
    if (name === "") {
      const open = braced === undefined && round === undefined && /\$[({]/.test(text.slice(at, at + 2));
      return { problem: `${open ? "truncated macro reference" : "empty macro name"}: "${text}"`, placed: false };
    }
    if (!/^\d+$/.test(name)) return { problem: `non-numeric replacement index "${name}"`, placed: true };
    if (Number(name) < 1) return { problem: `${outOfRange} replacement index "${name}"`, placed: true };
    highest = Math.max(highest, Number(name));
    parts.push(Number(name));
  }
  return { parts, highest };
}

export function expand({ parts }: Replacement, groups: readonly (string | undefined)[]): string {
  let text = "";
  for (const part of parts) text += typeof part === "string" ? part : (groups[part] ?? "");
  return text;
}
