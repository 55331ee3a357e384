/** Postfix's cipher grades. `low` and `export` were removed from it and mean medium. */
const grades = ["high", "medium", "low", "export", "null"] as const;

/** TLS 1.3 has its own suites, none of which is weak; they are not subject to grades. */
const suites13 = ["TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_128_GCM_SHA256"];

export interface CipherLists {
  readonly tls_high_cipherlist: string;
  readonly tls_medium_cipherlist: string;
}

/**
 * OpenSSL's cipher list for a grade, without what is excluded: names such as
 * "RC4" or "aNULL", separated by commas, colons or white space.
 */
export function cipherList(
  grade: string,
  exclude: readonly string[],
  lists: CipherLists,
): string | { readonly error: string } {
  const known = grades.find((each) => each === grade.toLowerCase());
  if (!known) return { error: `invalid cipher grade: "${grade}"` };
  if (known === "null") return { error: 'cipher grade "null" does not encrypt and is not available' };
  const base = known === "high" ? lists.tls_high_cipherlist : lists.tls_medium_cipherlist;
  const excluded: string[] = [];
  for (const word of exclude.flatMap((text) => text.split(/[\s,:]+/)).filter(Boolean)) {
    if (/^[!+@-]/.test(word)) return { error: `invalid unary "!+-@" in cipher exclusion: ${word}` };
    if (!/^[\w+.=-]+$/.test(word)) return { error: `invalid cipher exclusion: ${word}` };
    excluded.push(word);
  }
  const left = suites13.filter((suite) => !excluded.includes(suite));
  return [...left, base, ...excluded.map((word) => `!${word}`)].join(":");
}
