/** More names than this are no mechanism list but an attempt to keep us busy. */
export const offeredLimit = 100;

/**
 * The mechanisms that an EHLO reply offers. Several AUTH lines add up, and
 * the form of before RFC 2554, `AUTH=`, counts; names come back in upper case,
 * each once, in the order first seen. `undefined`: there is no AUTH line at
 * all, which is something else than one that lists nothing.
 *
 * `lines` are the keyword lines of the reply, without code and line end.
 */
export function offeredMechanisms(lines: readonly string[]): readonly string[] | undefined {
  let names: Set<string> | undefined;
  for (const line of lines) {
    const [, list] = /^AUTH(?:[ \t=]+(.*))?$/is.exec(line.trimEnd()) ?? [undefined, undefined];
    if (!/^AUTH(?:[ \t=]|$)/i.test(line)) continue;
    names ??= new Set();
    for (const name of (list ?? "").split(/[ \t]+/)) {
      if (name && names.size < offeredLimit) names.add(name.toUpperCase());
    }
  }
  return names && [...names];
}
