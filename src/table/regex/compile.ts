import { createContext, Script } from "node:vm";
import { RE2JS } from "re2js";
import { TableError } from "../table.ts";

/**
 * A pattern, read from POSIX or PCRE syntax, in the two languages that we have
 * engines for. RE2 takes time linear in the key. What it does not know
 * (look-around, back-references, atomic groups) goes to RegExp, under a time limit.
 */
export interface Translated {
  /** Undefined where RE2 cannot express it. */
  readonly re2: string | undefined;
  /** Groups are named g1, g2, … */
  readonly js: string;
  readonly groups: number;
  /** A `$` that also matches before a newline at the end: there, RE2 would not. */
  readonly softEnd: boolean;
}

/** What is wrong with a pattern. "syntax": Postfix would not take it either. */
export class PatternError extends Error {
  readonly kind: "syntax" | "untranslatable";

  constructor(kind: "syntax" | "untranslatable", message: string) {
    super(message);
    this.kind = kind;
  }
}

/** What groups matched, by their numbers; undefined where there was no match. */
export type Match = (key: string) => readonly (string | undefined)[] | undefined;

/** How long RegExp may look at one key. */
const regExpLimit_ms = 1000;

export function compile(pattern: Translated, longest: boolean): Match {
  const slow = backtracking(pattern);
  const fast = linear(pattern, longest);
  if (!fast) return slow();
  const { softEnd } = pattern;
  const other = softEnd ? slow() : fast;
  return (key) => (key.endsWith("\n") ? other(key) : fast(key));
}

function linear({ re2, groups }: Translated, longest: boolean): Match | undefined {
  if (re2 === undefined) return undefined;
  let compiled: RE2JS;
  try {
    compiled = RE2JS.compile(re2, longest ? RE2JS.LONGEST_MATCH : 0);
  } catch {
    return undefined;
  }
  return (key) => {
    const matcher = compiled.matcher(key);
    if (!matcher.find()) return undefined;
    const found: (string | undefined)[] = [];
    for (let group = 0; group <= groups; group++) found.push(matcher.group(group) ?? undefined);
    return found;
  };
}

/** Made only where it is needed. A key that takes too long cannot be told. */
function backtracking({ js, groups }: Translated): () => Match {
  return () => {
    let expression: RegExp;
    try {
      expression = new RegExp(js, "u");
    } catch (error) {
      throw new PatternError("untranslatable", error instanceof Error ? error.message : String(error));
    }
    const context = createContext({ expression, key: "" });
    const script = new Script("expression.exec(key)");
    return (key) => {
      context.key = key;
      let match: RegExpExecArray | null;
      try {
        match = script.runInContext(context, { timeout: regExpLimit_ms }) as RegExpExecArray | null;
      } catch {
        throw new TableError("retry", `query error: a pattern took more than ${regExpLimit_ms} ms`);
      }
      if (!match) return undefined;
      return Array.from({ length: groups + 1 }, (_, group) => (group ? match.groups?.[`g${group}`] : match[0]));
    };
  };
}
