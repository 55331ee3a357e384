import { asciiName } from "../dns/host-name.ts";

/**
 * Does a certificate's name stand for the wanted one? (RFC 6125 section 6.4)
 *
 * A wildcard is the whole left-most label, stands for one label, and has at
 * least two labels behind it. A wanted name that begins with a dot stands for
 * any host below that domain, however deep, and not for the domain itself.
 */
export function certificateNameMatches(presented: string, wanted: string): boolean {
  const name = presented.toLowerCase();
  if (!/^(?:\*\.)?[a-z0-9_-]+(?:\.[a-z0-9_-]+)*$/.test(name)) return false;
  if (wanted.startsWith(".")) {
    const suffix = `.${asciiName(wanted.slice(1)).toLowerCase()}`;
    return suffix.length > 1 && name.length > suffix.length && name.endsWith(suffix);
  }
  const host = asciiName(wanted).toLowerCase();
  if (!host) return false;
  if (!name.startsWith("*.")) return name === host;
  const behind = name.slice(1);
  const dot = host.indexOf(".");
  return behind.indexOf(".", 1) > 0 && dot > 0 && host.slice(dot) === behind;
}
