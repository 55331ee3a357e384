import type { Problem } from "../conf/problem.ts";
import type { Settings } from "../conf/settings.ts";

/**
 * What `postern check` has to say about one thing.
 *
 *   error     mail will not go out, or Postern will not start
 *   warning   it works, and is not what its owner can want; or it will stop working
 *   notice    good to know; nothing need be done
 */
export type Severity = "error" | "warning" | "notice";

export interface Finding {
  /** Stable, for programs: docs/check.md lists them. */
  readonly code: string;
  readonly severity: Severity;
  /** The next hop, table or parameter in question; or empty. */
  readonly about: string;
  /** Empty where no file is to blame. */
  readonly file: string;
  /** From 1; 0 where no line is to blame. */
  readonly line: number;
  /** What is found, without a full stop. */
  readonly text: string;
  /** What comes of it, in plain words; or empty. */
  readonly why: string;
  /** What to do about it, as a sentence; or empty. */
  readonly remedy: string;
  /** Shell commands that do just that, in their order; none where a person has to decide something. */
  readonly commands: readonly string[];
}

export type Place = Pick<Finding, "file" | "line">;

export const nowhere: Place = { file: "", line: 0 };

/** Where a parameter is written, or nowhere. */
export function placeOf(settings: Settings, parameter: string): Place {
  return settings.at(parameter) ?? nowhere;
}

type Details = Partial<Pick<Finding, "about" | "file" | "line" | "why" | "remedy" | "commands">>;

export function finding(severity: Severity, code: string, text: string, details: Details = {}): Finding {
  return { code, severity, about: "", ...nowhere, text, why: "", remedy: "", commands: [], ...details };
}

/** What other rooms found, as findings of one kind. A text that begins with its place is taken apart. */
export function fromProblems(severity: Severity, code: string, problems: readonly Problem[]): Finding[] {
  return problems.map(({ file, line, text, remedy, commands = [] }) => {
    const [, where, number, rest] = (file === "" && /^(\/\S+), line (\d+): (.*)$/s.exec(text)) || [];
    const place = where === undefined ? { file, line } : { file: where, line: Number(number) };
    return finding(severity, code, rest ?? text, { ...place, remedy, commands });
  });
}

const ranks: Readonly<Record<Severity, number>> = { error: 0, warning: 1, notice: 2 };

/** The gravest first, then in the order of files and lines; what is said twice, once. */
export function arranged(findings: readonly Finding[]): Finding[] {
  const once = new Map(findings.map((each) => [`${each.file}\0${each.line}\0${each.text}`, each]));
  return [...once.values()].sort(
    (a, b) =>
      ranks[a.severity] - ranks[b.severity] ||
      Number(a.file === "") - Number(b.file === "") ||
      (a.file < b.file ? -1 : a.file > b.file ? 1 : a.line - b.line),
  );
}

/** The exit status: 78 (sysexits(3): configuration), 1 with warnings, else 0. */
export function statusOf(findings: readonly Finding[]): 0 | 1 | 78 {
  if (findings.some(({ severity }) => severity === "error")) return 78;
  return findings.some(({ severity }) => severity === "warning") ? 1 : 0;
}
