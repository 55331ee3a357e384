import { type Param, ParamError } from "../conf/param.ts";

/** The versions of TLS that are left, oldest first. SSLv2 and SSLv3 may be named, and are never used. */
export const tlsVersions = ["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"] as const;

export type TlsVersion = (typeof tlsVersions)[number];

/** What a connection may use: everything from `least` to `most`. */
export interface TlsProtocols {
  readonly least: TlsVersion;
  readonly most: TlsVersion;
}

const named: Readonly<Record<string, number>> = {
  sslv2: -2,
  sslv3: -1,
  tlsv1: 0,
  "tlsv1.0": 0,
  "tlsv1.1": 1,
  "tlsv1.2": 2,
  "tlsv1.3": 3,
  "300": -1,
  "0300": -1,
  "301": 0,
  "0301": 0,
  "302": 1,
  "0302": 1,
  "303": 2,
  "0303": 2,
  "304": 3,
  "0304": 3,
};

/**
 * Protocols as Postfix writes them: ">=TLSv1.2", "<=TLSv1.3", "!SSLv2, !SSLv3"
 * to leave some out, "TLSv1.2 TLSv1.3" for these only. Where a version in the
 * middle is left out, the older ones go with it: a connection is never less
 * protected than what was written.
 */
export function parseProtocols(text: string): TlsProtocols | { readonly error: string } {
  const only = new Set<number>();
  const without = new Set<number>();
  let floor = 0;
  let ceiling = tlsVersions.length - 1;
  for (const word of text.split(/[\s,:]+/).filter(Boolean)) {
    const [, sign = "", name = ""] = /^(>=|<=|!)?(.*)$/.exec(word) ?? [];
    const version = named[name.toLowerCase()];
    if (version === undefined) return { error: `"${word}" names no TLS protocol` };
    if (sign === ">=") floor = Math.max(floor, version);
    else if (sign === "<=") ceiling = Math.min(ceiling, version);
    else (sign === "!" ? without : only).add(version);
  }
  const allowed = (version: number) =>
    version >= floor && version <= ceiling && !without.has(version) && (only.size === 0 || only.has(version));
  let most = tlsVersions.length - 1;
  while (most >= 0 && !allowed(most)) most--;
  let least = most;
  while (least > 0 && allowed(least - 1)) least--;
  const [newest, oldest] = [tlsVersions[most], tlsVersions[least]];
  return newest && oldest ? { least: oldest, most: newest } : { error: `"${text}" leaves no TLS protocol` };
}

export function protocols(declared: { default: string; since: string; doc: string }): Param<TlsProtocols> {
  return {
    ...declared,
    kind: "TLS protocols",
    parse(value) {
      const parsed = parseProtocols(value);
      if ("error" in parsed) throw new ParamError(`${parsed.error}; write for example >=TLSv1.2`);
      return parsed;
    },
  };
}
