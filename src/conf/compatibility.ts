import { compatibilityLevel, ExpansionError } from "./expand.ts";
import type { Params } from "./param.ts";
import type { Problem } from "./problem.ts";
import type { Settings } from "./settings.ts";

/** The level behind which no default has changed any more. */
const latest = "3.6";

/** A default that depends on compatibility_level, as Postfix writes them. */
const dependent = /^\$\{\{\$compatibility_level\} <level \{([\d.]+)\} \?/;

/**
 * What a compatibility_level below the latest keeps as it was, for whoever upgrades a Postfix: three lines, in
 * Postfix's words, and one for each default that is not written and would be another one.
 */
export function compatibilityNotices(settings: Settings, declared: Params): Problem[] {
  const level = levelOf(settings.value("compatibility_level"));
  if (level === undefined || level >= compatibilityLevel(latest)) return [];
  const place = settings.at("compatibility_level") ?? { file: "", line: 0 };
  const notice = (text: string): Problem => ({ ...place, text, remedy: "" });
  const kept = Object.entries(declared).filter(([name, { default: text }]) => {
    const [, needed] = dependent.exec(text) ?? [];
    return needed !== undefined && level < compatibilityLevel(needed) && !settings.has(name);
  });
  return [
    notice("Postfix is using backwards-compatible default settings"),
    ...kept.map(([name]) => notice(`using backwards-compatible default setting ${name}=${settings.value(name)}`)),
    notice("See http://www.postfix.org/COMPATIBILITY_README.html for details"),
    notice(`To disable backwards compatibility use "postconf compatibility_level=${latest}" and "postfix reload"`),
  ];
}

/** One that cannot be read is told of where defaults are made of it. */
function levelOf(text: string): number | undefined {
  try {
    return compatibilityLevel(text);
  } catch (error) {
    if (error instanceof ExpansionError) return undefined;
    throw error;
  }
}
