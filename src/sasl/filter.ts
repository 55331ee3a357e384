/**
 * smtp_sasl_mechanism_filter: which of the offered mechanisms are looked at.
 * The first pattern that matches decides; what none matches is left out.
 *
 *   PLAIN          a name, in any case
 *   /file          patterns from a file
 *   type:table     matches the names that the table has, in lower case; static:all matches everything
 *   !pattern       the opposite
 *
 * An empty list filters nothing. A table that cannot tell throws its
 * TableError from `permitted`: nothing is decided then.
 */
export interface MechanismFilter {
  permitted(offered: readonly string[]): readonly string[] | Promise<readonly string[]>;
}

/** Looks a name up: a value where the table has it. */
export type FilterTable = (key: string) => string | undefined | Promise<string | undefined>;

/** Where patterns that are not names are read from. Both may throw; the filter is not made then. */
export interface FilterSources {
  /** The text of a /file. */
  file(path: string): Promise<string>;
  /** Opens "type:name". */
  table(reference: string): FilterTable | Promise<FilterTable>;
}

export class FilterError extends Error {}

/** Files that name files that name files: beyond this depth one of them surely names itself. */
const nesting_limit = 20;

interface Pattern {
  readonly wanted: boolean;
  readonly matches: FilterTable | string;
}

export const everyMechanism: MechanismFilter = { permitted: (offered) => offered };

/** `patterns` as the parameter lists them. Throws FilterError, whose message names the pattern. */
export async function compileFilter(patterns: readonly string[], sources: FilterSources): Promise<MechanismFilter> {
  const compiled = await compile(patterns, sources, true, 0);
  return compiled.length === 0 && patterns.length === 0 ? everyMechanism : new PatternFilter(compiled);
}

async function compile(
  patterns: readonly string[],
  sources: FilterSources,
  wanted: boolean,
  depth: number,
): Promise<Pattern[]> {
  if (depth > nesting_limit) throw new FilterError("files of patterns name each other in a circle");
  const compiled: Pattern[] = [];
  for (const written of patterns) {
    const item = written.replace(/^!+/, "");
    if (!item) throw new FilterError(`"${written}": there is no pattern after "!"`);
    const asked = (written.length - item.length) % 2 === 0 ? wanted : !wanted;
    if (item.startsWith("/")) {
      const words = patternsOf(await sources.file(item));
      compiled.push(...(await compile(words, sources, asked, depth + 1)));
    } else if (!item.startsWith("[") && item.includes(":")) {
      compiled.push({ wanted: asked, matches: await sources.table(item) });
    } else {
      compiled.push({ wanted: asked, matches: item.toLowerCase() });
    }
  }
  return compiled;
}

/** Words of a file, apart from lines that are comments. */
function patternsOf(text: string): string[] {
  const lines = text.split("\n").filter((line) => !/^\s*#/.test(line));
  return lines
    .join(" ")
    .split(/[\s,]+/)
    .filter(Boolean);
}

class PatternFilter implements MechanismFilter {
  readonly #patterns: readonly Pattern[];

  constructor(patterns: readonly Pattern[]) {
    this.#patterns = patterns;
  }

  permitted(offered: readonly string[]): readonly string[] | Promise<readonly string[]> {
    const verdicts = offered.map((name) => this.#decide(name.toLowerCase(), 0));
    if (verdicts.every((verdict) => typeof verdict === "boolean")) return offered.filter((_, index) => verdicts[index]);
    return Promise.all(verdicts).then((decided) => offered.filter((_, index) => decided[index]));
  }

  #decide(name: string, from: number): boolean | Promise<boolean> {
    for (let index = from; index < this.#patterns.length; index++) {
      const pattern = this.#patterns[index];
      if (!pattern) break;
      if (typeof pattern.matches === "string") {
        if (pattern.matches === name) return pattern.wanted;
        continue;
      }
      const found = pattern.matches(name);
      if (found instanceof Promise) {
        return found.then((value) => (value === undefined ? this.#decide(name, index + 1) : pattern.wanted));
      }
      if (found !== undefined) return pattern.wanted;
    }
    return false;
  }
}
