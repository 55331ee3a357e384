import type { Answer } from "../maps.ts";
import { type TableContext, TableError } from "../table.ts";

/** How the tables that a list names are opened and asked. */
export type OpenPart = (reference: string) => Promise<{ get(key: string): Answer<string | undefined> }>;

/** Answers at once where it can. */
export type KeyDomains = (key: string) => Answer<boolean>;

type Pattern = { readonly positive: boolean } & (
  | { readonly name: string }
  | { readonly get: (key: string) => Answer<string | undefined> }
);

/**
 * The parameter `domain` of a table: only keys user@domain with a domain of this list are asked for.
 * Names, `type:table` and `/file`, each with `!` in front to say no; the first that matches decides.
 * An empty list leaves every key in.
 */
export async function keyDomains(list: string, context: TableContext, part: OpenPart | undefined): Promise<KeyDomains> {
  const patterns = await patternsOf(list, context, part, 0);
  if (patterns.length === 0) return () => true;
  return (key) => {
    const domain = key.slice(key.lastIndexOf("@") + 1);
    if (!key.includes("@") || domain === "") return false;
    return matchFrom(patterns, 0, domain.toLowerCase());
  };
}

function matchFrom(patterns: readonly Pattern[], first: number, domain: string): Answer<boolean> {
  const pattern = patterns[first];
  if (!pattern) return false;
  const decide = (hit: boolean): Answer<boolean> => (hit ? pattern.positive : matchFrom(patterns, first + 1, domain));
  if ("name" in pattern) return decide(pattern.name === domain);
  const found = pattern.get(domain);
  return found instanceof Promise ? found.then((value) => decide(value !== undefined)) : decide(found !== undefined);
}

/** /files that name /files, to this depth. */
const nestingLimit = 20;

async function patternsOf(
  list: string,
  context: TableContext,
  part: OpenPart | undefined,
  depth: number,
): Promise<Pattern[]> {
  const patterns: Pattern[] = [];
  for (const word of list.split(/[\s,]+/)) {
    const marks = /^!*/.exec(word)?.[0].length ?? 0;
    const text = word.slice(marks);
    const positive = marks % 2 === 0;
    if (text === "") continue;
    if (text.startsWith("/")) {
      if (depth >= nestingLimit) throw new TableError("config", `${text}: files that name files, too deep`);
      const inside = await patternsOf(await listIn(text, context), context, part, depth + 1);
      patterns.push(...inside.map((each) => (positive ? each : { ...each, positive: !each.positive })));
    } else if (text.includes(":") && !text.startsWith("[")) {
      if (!part) throw new TableError("config", `${text}: no table can be part of another one here`);
      const table = await part(text);
      patterns.push({ positive, get: (key) => table.get(key) });
    } else patterns.push({ positive, name: text.toLowerCase() });
  }
  return patterns;
}

async function listIn(path: string, context: TableContext): Promise<string> {
  const { bytes } = await context.read(path);
  return bytes.toString().replace(/^[ \t]*#.*$/gm, "");
}
