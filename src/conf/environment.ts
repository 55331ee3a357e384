import { type Param, ParamError, splitList } from "./param.ts";
import { splitNameValue } from "./text.ts";

/** A variable that processes get: with a value, or with the one that we have, if any. */
export interface Imported {
  readonly name: string;
  readonly value: string | undefined;
}

/** `name`, `name=value` and `{ name = value }`, separated by commas or white space. */
export function environment(declared: Pick<Param<unknown>, "default" | "since" | "doc">): Param<readonly Imported[]> {
  return { ...declared, kind: "environment", parse: (value) => splitList(value).map(imported) };
}

function imported(word: string): Imported {
  const [, inside] = /^\{([\s\S]*)\}$/.exec(word) ?? [];
  if (inside === undefined && !word.includes("=")) return { name: word, value: undefined };
  const parsed = splitNameValue(inside ?? word);
  if (parsed.error !== undefined) throw new ParamError(`${parsed.error}: "${word}"`);
  return parsed;
}

/** The variables that are imported, out of an environment; the last of a name counts. */
export function importedFrom(
  wanted: readonly Imported[],
  env: Readonly<Record<string, string | undefined>>,
): Record<string, string> {
  const kept = new Map<string, string>();
  for (const { name, value = env[name] } of wanted) if (value !== undefined) kept.set(name, value);
  return Object.fromEntries(kept);
}
