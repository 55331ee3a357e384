/** Something about the configuration that its owner should know, and where it is written. */
export interface Problem {
  /** Empty where no file is to blame. */
  readonly file: string;
  /** From 1; 0 where no line is to blame. */
  readonly line: number;
  readonly text: string;
  /** What to do about it, as a sentence; or empty. */
  readonly remedy: string;
  /** Shell commands that do it, where nothing has to be decided first. */
  readonly commands?: readonly string[];
}

/** `/etc/postfix/main.cf, line 7: … Remedy.` */
export function describeProblem({ file, line, text, remedy }: Problem): string {
  const place = file && line > 0 ? `${file}, line ${line}: ` : file ? `${file}: ` : "";
  return remedy ? `${place}${text}. ${remedy}` : `${place}${text}`;
}

/** The configuration cannot be used. Lists everything that keeps it from being used, not only the first thing. */
export class ConfError extends Error {
  readonly problems: readonly Problem[];

  constructor(problems: readonly Problem[]) {
    super(problems.map(describeProblem).join("\n"));
    this.name = "ConfError";
    this.problems = problems;
  }

  /** By name: in a build, each command is loaded with classes of its own. */
  static override [Symbol.hasInstance](error: unknown): boolean {
    return error instanceof Error && error.name === "ConfError";
  }
}
