import { splitList } from "../conf/param.ts";
import { isHostName } from "../dns/host-name.ts";
import { levelOf, requiresMatch, type TlsLevel, usesTls } from "./level.ts";
import { parseProtocols, type TlsProtocols } from "./protocols.ts";

/** One entry of smtp_tls_policy_maps; what it does not say is left to main.cf. */
export interface PolicyEntry {
  readonly level: TlsLevel;
  readonly match?: readonly string[];
  readonly protocols?: TlsProtocols;
  readonly ciphers?: string;
  readonly exclude?: string;
  readonly serverName?: string;
  readonly connectionReuse?: boolean;
  /** Attributes that mean nothing at level none. */
  readonly ignored: readonly string[];
}

type Attributes = { -readonly [Name in keyof Omit<PolicyEntry, "level" | "ignored">]: PolicyEntry[Name] };

/**
 * "secure match=.example.com:mx.example.net protocols=>=TLSv1.2". What is not
 * understood makes the whole entry invalid: what it meant to demand is not known.
 */
export function parsePolicyEntry(value: string): PolicyEntry | { readonly error: string } {
  let words: string[];
  try {
    words = splitList(value);
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error) };
  }
  const [word, ...rest] = words;
  if (word === undefined) return { error: "invalid empty policy" };
  const level = levelOf(word);
  if (typeof level === "object") return level;
  if (!usesTls(level)) return { level, ignored: rest };
  const found: Attributes = {};
  for (const each of rest) {
    const error = addAttribute(found, each, level);
    if (error) return { error };
  }
  return { level, ...found, ignored: [] };
}

function addAttribute(found: Attributes, written: string, level: TlsLevel): string | undefined {
  const inner = written.startsWith("{") && written.endsWith("}") ? written.slice(1, -1).trim() : written;
  const [, name = "", value = ""] = /^([^\s=]+)\s*=\s*(.*)$/s.exec(inner) ?? [];
  if (!name) return `malformed attribute/value pair "${written}"`;
  switch (name.toLowerCase()) {
    case "match":
      return addMatch(found, value, level);
    case "protocols":
      return addProtocols(found, value);
    case "ciphers":
      return value ? once(found, "ciphers", value, name) : `attribute "${name}" has empty value`;
    case "exclude":
      return once(found, "exclude", value, name);
    case "servername":
      if (!isHostName(value)) return `"${name}=${value}" specifies an invalid hostname`;
      return once(found, "serverName", value, name);
    case "connection_reuse":
      if (!/^(?:yes|no)$/i.test(value)) return `attribute "${name}" has bad value: "${value}"`;
      found.connectionReuse = value.toLowerCase() === "yes";
      return undefined;
    default:
      return `invalid attribute name: "${name}"`;
  }
}

function addMatch(found: Attributes, value: string, level: TlsLevel): string | undefined {
  if (!value) return 'attribute "match" has empty value';
  if (!requiresMatch(level)) return `attribute "match" invalid at security level "${level}"`;
  found.match = [...(found.match ?? []), ...value.split(":").filter(Boolean)];
  return undefined;
}

function addProtocols(found: Attributes, value: string): string | undefined {
  if (found.protocols) return 'attribute "protocols" is specified multiple times';
  const parsed = parseProtocols(value);
  if ("error" in parsed) return parsed.error;
  found.protocols = parsed;
  return undefined;
}

function once(
  found: Attributes,
  key: "ciphers" | "exclude" | "serverName",
  value: string,
  name: string,
): string | undefined {
  if (found[key] !== undefined) return `attribute "${name}" is specified multiple times`;
  found[key] = value;
  return undefined;
}
