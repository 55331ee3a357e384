import type { Scope } from "./messages.ts";

/** Where an LDAP URL leads (RFC 4516): a server, and what to search for there. */
export interface LdapUrl {
  readonly secure: boolean;
  /** A host's name or address, or the path of a Unix socket; may be empty. */
  readonly host: string;
  /** 0 for a path. */
  readonly port: number;
  readonly base: string;
  /** Empty: all. */
  readonly attributes: readonly string[];
  readonly scope: Scope;
  readonly filter: string;
}

export const isLdapUrl = (text: string): boolean => /^<?(?:url:)?ldap[si]?:\/\//i.test(text);

/** Undefined where it is none, or none that can be used. */
export function parseLdapUrl(text: string): LdapUrl | undefined {
  const bare = text.replace(/^<?(?:url:)?/i, "").replace(/>$/, "");
  const [, kind = "", place = "", path = ""] = /^ldap([si]?):\/\/([^/?]*)(?:\/?(.*))$/is.exec(bare) ?? ["", "-"];
  if (kind === "-") return undefined;
  try {
    const [base = "", attributes = "", scope = "", filter = "", extensions = ""] = path
      .split("?")
      .map(decodeURIComponent);
    const searched = scopeOf(scope);
    if (!searched || extensions.startsWith("!")) return undefined;
    const where = placeOf(kind.toLowerCase(), place);
    if (!where) return undefined;
    const names = attributes.split(",").filter((name) => name !== "");
    return { ...where, base, attributes: names, scope: searched, filter: filter || "(objectClass=*)" };
  } catch {
    return undefined;
  }
}

function placeOf(kind: string, place: string): Pick<LdapUrl, "secure" | "host" | "port"> | undefined {
  if (kind === "i") return { secure: false, host: decodeURIComponent(place) || "/run/slapd/ldapi", port: 0 };
  const [, bracketed, plain = "", port] = /^(?:\[([^\]]+)\]|([^:]*))(?::(\d{1,5}))?$/.exec(place) ?? ["", "", "-"];
  if (plain === "-" && bracketed === "") return undefined;
  const secure = kind === "s";
  return { secure, host: bracketed ?? plain, port: Number(port ?? (secure ? 636 : 389)) };
}

function scopeOf(text: string): Scope | undefined {
  const scope = text.toLowerCase();
  if (scope === "" || scope === "base") return "base";
  if (scope === "one" || scope === "onelevel") return "one";
  return scope === "sub" || scope === "subtree" ? "sub" : undefined;
}
