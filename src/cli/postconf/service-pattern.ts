/**
 * What -M, -F and -P take to choose services: `name`, `name/type` or
 * `name/type/detail`, where "*" alone stands for any.
 */
export interface ServicePattern {
  readonly name: string;
  readonly type: string;
  /** A field of -F, a parameter of -P; "*" where it is not given. */
  readonly detail: string;
}

/** undefined where there are fewer parts than `least` or more than `most`, or a "*" that is not alone. */
export function parseServicePattern(text: string, least: number, most: number): ServicePattern | undefined {
  if (text.startsWith("/")) return undefined;
  const parts = text.split("/").filter(Boolean);
  if (parts.length < least || parts.length > most) return undefined;
  if (parts.some((part) => part !== "*" && part.includes("*"))) return undefined;
  const [name = "*", type = "*", detail = "*"] = parts;
  return { name, type, detail };
}

export function matchesService(
  pattern: { readonly name: string; readonly type: string },
  name: string,
  type: string,
): boolean {
  return matches(pattern.name, name) && matches(pattern.type, type);
}

const matches = (pattern: string, text: string) => pattern === "*" || pattern === text;
