import { bracedLength, bracedWords, insideBraces } from "./braces.ts";
import { LogicalLines, type TakeLine } from "./source.ts";
import { type TableContext, TableError } from "./table.ts";

/**
 * Where cidr:, regexp: and pcre: tables have their rules: a file of logical
 * lines, or the configuration itself: `cidr:{{rule}, {rule}}`, a rule a line.
 */
export async function ruleLines(type: string, name: string, context: TableContext, take: TakeLine): Promise<void> {
  const lines = new LogicalLines(name, take, (text) => context.warn(text));
  lines.feed(name.startsWith("{") ? inlineRules(type, name) : await fileRules(name, context));
  lines.end();
}

/** The file that the rules of a table of that name are in. */
export const ruleFiles = (name: string): { readonly source?: string } => (name.startsWith("{") ? {} : { source: name });

function inlineRules(type: string, name: string): Buffer {
  const whole = insideBraces(name);
  if ("problem" in whole) throw new TableError("config", `${type} map: ${whole.problem}`);
  let text = "";
  for (const word of bracedWords(name.slice(1, -1))) {
    if (bracedLength(word) === 0 && !word.startsWith("{")) {
      throw new TableError("config", `${type} map: no '{' at start of text in "${word}"`);
    }
    const rule = insideBraces(word);
    if ("problem" in rule) throw new TableError("config", `${type} map: ${rule.problem}`);
    text += `${rule.inside}\n`;
  }
  return Buffer.from(text);
}

async function fileRules(path: string, context: TableContext): Promise<Buffer> {
  try {
    return (await context.read(path)).bytes;
  } catch (error) {
    if (!(error instanceof TableError)) throw error;
    throw new TableError(error.kind, error.message.replace(/^open database /, "open "));
  }
}

/**
 * Rules between IF and ENDIF, which may nest. An IF that has no ENDIF reaches to the end.
 */
export interface Rule {
  readonly kind: "match" | "if" | "endif";
}

/** For each rule, the number of the rule to go on with where an IF does not hold. */
export function blockEnds(rules: readonly Rule[], noEnd: (unfinished: number) => void): number[] {
  const ends = rules.map(() => rules.length);
  const open: number[] = [];
  for (const [index, { kind }] of rules.entries()) {
    if (kind === "if") open.push(index);
    else if (kind === "endif") ends[open.pop() ?? index] = index + 1;
  }
  for (const index of open.reverse()) noEnd(index);
  return ends;
}
