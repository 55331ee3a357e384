import { LineTooLong, logicalLines, splitNameValue } from "./text.ts";

/** A parameter as it is written, unexpanded, and where. */
export interface Setting {
  readonly value: string;
  readonly file: string;
  readonly line: number;
}

/** Something about a configuration file that its owner should know. */
export interface Problem {
  /** Empty where no file is to blame. */
  readonly file: string;
  /** From 1; 0 where no line is to blame. */
  readonly line: number;
  readonly text: string;
  /** What to do about it, or empty. */
  readonly remedy: string;
}

export interface MainCf {
  /** In the order of their first definition; the last definition's value and line. */
  readonly settings: ReadonlyMap<string, Setting>;
  /** In Postfix's words, such as `main.cf, line 7: overriding earlier entry: relayhost=[old]`. */
  readonly warnings: readonly string[];
  /** What keeps the file from being used. */
  readonly problems: readonly Problem[];
}

/** Reads the text of a main.cf. `file` is its name for messages. */
export function parseMainCf(text: string, file: string): MainCf {
  const settings = new Map<string, Setting>();
  const warnings: string[] = [];
  const problems: Problem[] = [];
  try {
    const { lines, warnings: odd } = logicalLines(text);
    for (const each of odd) warnings.push(each.text.startsWith("text after") ? `${file}, line ${each.line}: ${each.text}` : `${file}: ${each.text}`);
    for (const { text: entry, line } of lines) {
      const parsed = splitNameValue(entry);
      if (parsed.error !== undefined) {
        problems.push({ file, line, text: `${parsed.error}: "${entry}"`, remedy: "Write it as name = value." });
        continue;
      }
      const { name, value } = parsed;
      const old = settings.get(name);
      if (old && old.value !== value) warnings.push(`${file}, line ${line}: overriding earlier entry: ${name}=${old.value}`);
      settings.set(name, { value, file, line });
    }
  } catch (error) {
    if (!(error instanceof LineTooLong)) throw error;
    problems.push({ file, line: error.line, text: error.message, remedy: "Put the list into a file and name the file." });
  }
  return { settings, warnings, problems };
}
