import { trimmed } from "./braces.ts";
import { type ByteOptions, type ByteTable, type ByteTableType, textTable, usualBytes } from "./byte-table.ts";
import { compile, type Match, PatternError, type Translated } from "./regex/compile.ts";
import { readPcre } from "./regex/pcre.ts";
import { readPosix } from "./regex/posix.ts";
import { expand, parseReplacement, type Replacement } from "./replacement.ts";
import { blockEnds, type Rule, ruleFiles, ruleLines } from "./rule-source.ts";
import { type TableContext, TableError } from "./table.ts";

/**
 * regexp: and pcre: rules `/pattern/flags value`, the first match counts
 * (regexp_table(5), pcre_table(5)): `!` to negate, IF /pattern/ … ENDIF, and
 * in regexp: `/pattern/!/other/` for "but not the other".
 *
 * Keys are not folded; both types ignore case unless a flag says otherwise. A
 * rule that Postfix would not take is reported and left out, as there. One that
 * Postfix would take and we cannot is a TableError that names file and line:
 * what it was to catch must not get through unnoticed.
 */
export const regexp: ByteTableType = patternType({
  name: "regexp",
  longest: true,
  twoPatterns: true,
  outOfRange: "out-of-range",
  noDelimiter: "skipping this rule",
  flags: "imx",
  ignored: "",
  wrong: (problem) => problem,
  read: (text, flags) =>
    readPosix(text, { ignoreCase: !flags.has("i"), newline: flags.has("m"), extended: !flags.has("x") }),
});

export const pcre: ByteTableType = patternType({
  name: "pcre",
  longest: false,
  twoPatterns: false,
  outOfRange: "out of range",
  noDelimiter: "ignoring this rule",
  flags: "imsxAEU",
  ignored: "X",
  wrong: (problem) => `error in regex: ${problem}`,
  read: (text, flags) =>
    readPcre(text, {
      ignoreCase: !flags.has("i"),
      multiline: flags.has("m"),
      dotAll: !flags.has("s"),
      extended: flags.has("x"),
      anchored: flags.has("A"),
      dollarEndOnly: flags.has("E"),
      ungreedy: flags.has("U"),
    }),
});

/** In what the two types differ. */
interface Syntax {
  readonly name: string;
  /** The longest of several matches at one place, not the first. */
  readonly longest: boolean;
  readonly twoPatterns: boolean;
  readonly outOfRange: string;
  readonly noDelimiter: string;
  /** Each turns its default round. */
  readonly flags: string;
  readonly ignored: string;
  wrong(problem: string): string;
  read(text: string, flags: ReadonlySet<string>): Translated;
}

interface Condition {
  readonly match: Match;
  readonly positive: boolean;
  readonly groups: number;
}

interface PatternRule extends Rule {
  readonly conditions: readonly Condition[];
  readonly value?: Replacement;
  readonly line: number;
}

/** A rule that is left out, and why; undefined where that was said already. */
class Skipped extends Error {}

function patternType(syntax: Syntax): ByteTableType {
  const { name: type } = syntax;
  const openBytes = (name: string, context: TableContext, options: ByteOptions) =>
    openPatterns(syntax, name, context, options);
  return {
    name: type,
    patterns: true,
    files: ruleFiles,
    open: async (name, context) => textTable(await openBytes(name, context, usualBytes), `${type}:${name}`, context),
    openBytes,
  };
}

async function openPatterns(
  syntax: Syntax,
  name: string,
  context: TableContext,
  { convert }: ByteOptions,
): Promise<ByteTable> {
  const lines: { readonly text: string; readonly line: number }[] = [];
  await ruleLines(syntax.name, name, context, (bytes, line) => lines.push({ text: bytes.toString("latin1"), line }));
  const rules: PatternRule[] = [];
  let nesting = 0;
  for (const { text, line } of lines) {
    const where = `${syntax.name} map ${name}, line ${line}`;
    const warn = (problem: string): void => context.warn(`${where}: ${Buffer.from(problem, "latin1")}`);
    const reader = new RuleReader(syntax, trimmed(text), line, warn, (problem) => context.warn(problem), convert);
    try {
      const rule = await reader.rule(nesting);
      if (rule.kind === "if") nesting++;
      else if (rule.kind === "endif") nesting--;
      rules.push(rule);
    } catch (error) {
      if (error instanceof PatternError) throw new TableError("config", `${where}: ${error.message}`);
      if (!(error instanceof Skipped)) throw error;
      if (error.message) warn(error.message);
    }
  }
  const ends = blockEnds(rules, (index) =>
    context.warn(`${syntax.name} map ${name}, line ${rules[index]?.line}: IF has no matching ENDIF`),
  );
  return { patterns: true, find: (key) => search(rules, ends, key.toString("latin1")) };
}

function search(rules: readonly PatternRule[], ends: readonly number[], key: string): Buffer | undefined {
  for (let index = 0; index < rules.length; ) {
    const { kind, conditions, value } = rules[index] as PatternRule;
    const groups = conditionsHold(conditions, key);
    if (value && groups) return Buffer.from(expand(value, groups), "latin1");
    index = kind === "if" && !groups ? (ends[index] as number) : index + 1;
  }
  return undefined;
}

/** What the groups of the first pattern matched; undefined where the rule does not hold. */
function conditionsHold(conditions: readonly Condition[], key: string): readonly (string | undefined)[] | undefined {
  let groups: readonly (string | undefined)[] = [];
  for (const [index, { match, positive }] of conditions.entries()) {
    const found = match(key);
    if ((found !== undefined) !== positive) return undefined;
    if (index === 0 && found) groups = found;
  }
  return groups;
}

/** Reads one logical line. Throws Skipped, or PatternError. */
class RuleReader {
  readonly #syntax: Syntax;
  readonly #line: number;
  readonly #warn: (text: string) => void;
  readonly #warnPlain: (text: string) => void;
  readonly #convert: ByteOptions["convert"];
  #rest: string;

  constructor(
    syntax: Syntax,
    text: string,
    line: number,
    warn: (text: string) => void,
    warnPlain: (text: string) => void,
    convert: ByteOptions["convert"],
  ) {
    this.#syntax = syntax;
    this.#rest = text;
    this.#line = line;
    this.#warn = warn;
    this.#warnPlain = warnPlain;
    this.#convert = convert;
  }

  async rule(nesting: number): Promise<PatternRule> {
    const word = /^[A-Za-z0-9]*/.exec(this.#rest)?.[0].toUpperCase();
    const line = this.#line;
    if (word === "IF") return { kind: "if", conditions: [this.#if()], line };
    if (word === "ENDIF") {
      if (nesting === 0) throw new Skipped("ignoring ENDIF without matching IF");
      if (this.#rest.length > 5) this.#warn("ignoring extra text after ENDIF");
      return { kind: "endif", conditions: [], line };
    }
    if (word !== "") throw new Skipped("ignoring unrecognized request");
    return this.#matchRule();
  }

  #if(): Condition {
    this.#rest = this.#rest.slice(2);
    const condition = this.#pattern()();
    const extra = trimmed(this.#rest);
    if (extra !== "") {
      this.#warn(`ignoring extra text after IF statement: "${extra}"`);
      this.#warn("do not prepend whitespace to statements between IF and ENDIF");
    }
    return condition;
  }

  async #matchRule(): Promise<PatternRule> {
    const compileFirst = this.#pattern();
    const compileSecond = this.#syntax.twoPatterns && this.#rest.startsWith("!") ? this.#pattern() : undefined;
    const text = trimmed(this.#rest);
    if (text === "") this.#warn("no replacement text: using empty string");
    const value = await this.#value(text);
    const first = compileFirst();
    if (value.highest > 0 && !first.positive) {
      throw new Skipped("$number found in negative match replacement text: skipping this rule");
    }
    if (value.highest > first.groups) {
      throw new Skipped(`out of range replacement index "${value.highest}": skipping this rule`);
    }
    const conditions = compileSecond ? [first, compileSecond()] : [first];
    return { kind: "match", conditions, value, line: this.#line };
  }

  async #value(text: string): Promise<Replacement> {
    let shown = text;
    if (this.#convert) {
      const made = await this.#convert(Buffer.from(text, "latin1"), `line ${this.#line}`);
      if (!made) throw new Skipped("");
      shown = made.toString("latin1");
    }
    const value = parseReplacement(shown, this.#syntax.outOfRange);
    if (!("problem" in value)) return value;
    if (value.placed) this.#warn(value.problem);
    else this.#warnPlain(value.problem);
    throw new Skipped("bad replacement syntax: skipping this rule");
  }

  /** `!/pattern/flags`; the pattern is compiled when the rest of the rule has been read. */
  #pattern(): () => Condition {
    const { flags: known, ignored, noDelimiter } = this.#syntax;
    const [marks = ""] = /^[!\s]*/.exec(this.#rest) ?? [];
    const positive = (marks.split("!").length - 1) % 2 === 0;
    const text = this.#rest.slice(marks.length);
    const delimiter = text[0];
    if (delimiter === undefined) throw new Skipped("no regexp: skipping this rule");
    const end = endOfPattern(text, delimiter);
    if (end < 0) throw new Skipped(`no closing regexp delimiter "${delimiter}": ${noDelimiter}`);
    const stop = this.#syntax.twoPatterns ? /^[^\s!]*/ : /^\S*/;
    const [letters = ""] = stop.exec(text.slice(end + 1)) ?? [];
    this.#rest = text.slice(end + 1 + letters.length);
    const flags = new Set<string>();
    for (const letter of letters) {
      if (ignored.includes(letter)) this.#warn(`ignoring obsolete regexp option "${letter}"`);
      else if (!known.includes(letter)) throw new Skipped(`unknown regexp option "${letter}": skipping this rule`);
      else if (!flags.delete(letter)) flags.add(letter);
    }
    return () => this.#compiled(text.slice(1, end), flags, positive);
  }

  #compiled(text: string, flags: ReadonlySet<string>, positive: boolean): Condition {
    try {
      const translated = this.#syntax.read(text, flags);
      return { match: compile(translated, this.#syntax.longest), positive, groups: translated.groups };
    } catch (error) {
      if (error instanceof PatternError && error.kind === "syntax")
        throw new Skipped(this.#syntax.wrong(error.message));
      throw error;
    }
  }
}

/** Where the delimiter is that no backslash precedes; -1 where there is none. */
function endOfPattern(text: string, delimiter: string): number {
  for (let at = 1; at < text.length; at++) {
    if (text[at] === "\\") at++;
    else if (text[at] === delimiter) return at;
  }
  return -1;
}
