import type { Problem } from "./problem.ts";
import { LineTooLong, logicalLines, splitNameValue } from "./text.ts";

/** A parameter as it is written, unexpanded, and where. */
export interface Setting {
  readonly value: string;
  readonly file: string;
  readonly line: number;
}

export interface MainCf {
  /** In the order of their first definition; the last definition's value and line. */
  readonly settings: ReadonlyMap<string, Setting>;
  /** In Postfix's words, such as `overriding earlier entry: relayhost=[old]`. */
  readonly warnings: readonly Problem[];
  /** What keeps the file from being used. */
  readonly problems: readonly Problem[];
}

/** Reads the text of a main.cf. `file` is its name for messages. */
export function parseMainCf(text: string, file: string): MainCf {
  const settings = new Map<string, Setting>();
  const warnings: Problem[] = [];
  const problems: Problem[] = [];
  try {
    const { lines, warnings: odd } = logicalLines(text);
    for (const each of odd) warnings.push({ file, line: each.line, text: each.text, remedy: "" });
    for (const { text: entry, line } of lines) {
      const parsed = splitNameValue(entry);
      if (parsed.error !== undefined) {
        problems.push({ file, line, text: `${parsed.error}: "${entry}"`, remedy: "Write it as name = value." });
        continue;
      }
      const { name, value } = parsed;
      const old = settings.get(name);
      if (old && old.value !== value) {
        warnings.push({ file, line, text: `overriding earlier entry: ${name}=${old.value}`, remedy: "" });
      }
      settings.set(name, { value, file, line });
    }
  } catch (error) {
    if (!(error instanceof LineTooLong)) throw error;
    problems.push({
      file,
      line: error.line,
      text: error.message,
      remedy: "Put the list into a file and name the file.",
    });
  }
  return { settings, warnings, problems };
}
