import { ParamError, type Params, type Values } from "./param.ts";
import { ConfError, type Problem } from "./problem.ts";
import type { Settings } from "./settings.ts";

export { ConfError } from "./problem.ts";

/**
 * The frozen values of a set of declarations. Throws ConfError with every value
 * that is not what its parameter takes.
 */
export function evaluate<P extends Params>(params: P, settings: Settings): Values<P> {
  const { values, problems } = tryEvaluate(params, settings);
  if (problems.length > 0) throw new ConfError(problems);
  return Object.freeze(values) as Values<P>;
}

/** What evaluate() would throw, as a list. */
export function evaluationProblems(params: Params, settings: Settings): readonly Problem[] {
  return tryEvaluate(params, settings).problems;
}

function tryEvaluate(params: Params, settings: Settings): { values: Record<string, unknown>; problems: Problem[] } {
  const values: Record<string, unknown> = {};
  const problems: Problem[] = [];
  const bad = new Set<string>();
  for (const [name, param] of Object.entries(params)) {
    const resolved = settings.resolve(name);
    const { file, line } = settings.at(name) ?? { file: "", line: 0 };
    if (resolved.error !== undefined) {
      problems.push({ file, line, text: `parameter ${name}: ${resolved.error}`, remedy: "" });
      bad.add(name);
      continue;
    }
    try {
      values[name] = param.parse(resolved.text);
    } catch (error) {
      if (!(error instanceof ParamError)) throw error;
      bad.add(name);
      if (follows(name, settings, bad)) continue;
      const remedy = settings.has(name) ? remedyFor(settings, name) : "";
      problems.push({ file, line, text: `parameter ${name}: ${error.message}`, remedy });
    }
  }
  return { values, problems };
}

function remedyFor(settings: Settings, name: string): string {
  const fallback = `The default is "${settings.defaultText(name) ?? ""}".`;
  const comment = /\s#/.test(settings.raw(name) ?? "");
  return comment ? `A comment needs a line of its own: behind a value it is part of it. ${fallback}` : fallback;
}

/** A default that is another parameter's value is as bad as that one, which has been named with its place. */
function follows(name: string, settings: Settings, bad: ReadonlySet<string>): boolean {
  const [, other] = /^\$(\w+)$/.exec(settings.has(name) ? "" : (settings.defaultText(name) ?? "")) ?? [];
  return other !== undefined && bad.has(other);
}
