import { quoteAddress, quoteLocalPart, unquoteAddress } from "../rfc5322/quoting.ts";
import type { Answer, Maps } from "../table/maps.ts";
import { chain } from "./answer.ts";

/** What a table says of an address, and the extension ("+ext") that had to be left off to find it. */
export interface FoundAddress {
  readonly value: string;
  readonly extension: string;
}

export interface AddressSearch {
  /** recipient_delimiter: the characters at which an extension begins. */
  readonly delimiter: string;
  readonly ownerRequestSpecial: boolean;
  /** The bare user is looked up where its domain is local, or $myorigin. */
  isLocal(domain: string): Answer<boolean>;
}

/**
 * Looks an address up as canonical(5) and virtual(5) tell: user+ext@domain, user@domain, then
 * (in local domains) user+ext and user, at last @domain. Each key in its quoted form; with `bothForms`, which the
 * older tables want, then without quotes. Shortened keys are not asked of pattern tables.
 * Fails as Maps.find does. Postfix: mail_addr_find.
 */
export function findAddress(
  maps: Maps,
  address: string,
  search: AddressSearch,
  bothForms = true,
): Answer<FoundAddress | undefined> {
  const parts = partsOf(address, search);
  const { domain } = parts;
  return chain(firstOf(maps, wholeKeys(parts, bothForms)), (hit) => {
    if (hit || domain === undefined) return hit;
    return chain(search.isLocal(domain), (isLocal) => {
      const users = isLocal ? localKeys(parts, bothForms) : [];
      return firstOf(maps, [...users, key(`@${domain}`, "", true)]);
    });
  });
}

/** user+ext@domain and user@domain, in both forms. */
export function addressKeys(address: string, search: AddressSearch): Key[] {
  return wholeKeys(partsOf(address, search), true);
}

/** An address without quotes, taken apart. */
interface Parts {
  readonly user: string;
  readonly extension: string;
  readonly domain: string | undefined;
}

function partsOf(address: string, search: AddressSearch): Parts {
  const bare = unquoteAddress(address);
  const at = bare.lastIndexOf("@");
  const user = at < 0 ? bare : bare.slice(0, at);
  return { user, extension: extensionOf(user, search), domain: at < 0 ? undefined : bare.slice(at + 1) };
}

function wholeKeys({ user, extension, domain }: Parts, bothForms: boolean): Key[] {
  const form = { quoted: quoteAddress, bothForms };
  const behind = domain === undefined ? "" : `@${domain}`;
  const keys: Key[] = [{ ...key(user + behind, "", false), ...form }];
  if (extension !== "") keys.push({ ...key(withoutEnd(user, extension) + behind, extension, true), ...form });
  return keys;
}

function localKeys({ user, extension }: Parts, bothForms: boolean): Key[] {
  const form = { quoted: quoteLocalPart, bothForms };
  const keys: Key[] = [{ ...key(user, "", true), ...form }];
  if (extension !== "") keys.push({ ...key(withoutEnd(user, extension), extension, true), ...form });
  return keys;
}

const withoutEnd = (text: string, end: string): string => text.slice(0, text.length - end.length);

export interface Key {
  readonly key: string;
  readonly extension: string;
  readonly partial: boolean;
  /** Gives the form in which it is asked for; as it stands where there is none. */
  readonly quoted?: (bare: string) => string;
  /** Asks for the key as it stands, too, where that is something else. */
  readonly bothForms?: boolean;
}

export function key(text: string, extension: string, partial: boolean): Key {
  return { key: text, extension, partial };
}

/** The first key with a value. */
export function firstOf(maps: Maps, keys: readonly Key[], from = 0): Answer<FoundAddress | undefined> {
  const wanted = keys[from];
  if (!wanted) return undefined;
  return chain(findForms(maps, wanted), (value) =>
    value === undefined ? firstOf(maps, keys, from + 1) : { value, extension: wanted.extension },
  );
}

function findForms(maps: Maps, { key, partial, quoted, bothForms }: Key): Answer<string | undefined> {
  // Octets that are no UTF-8: no table has such a key, and no pattern may match it.
  if (!key.isWellFormed()) return undefined;
  const written = quoted ? quoted(key) : key;
  const found = maps.find(written, partial);
  if (!bothForms || written === key) return found;
  return chain(found, (value) => value ?? maps.find(key, partial));
}

const neverSplit = new Set(["postmaster", "mailer-daemon", "double-bounce"]);

/**
 * The extension of a bare local part with its delimiter, "+ext"; "" where there is none. An empty user is never
 * left over. Postfix: split_addr.
 */
export function extensionOf(
  local: string,
  { delimiter, ownerRequestSpecial }: Pick<AddressSearch, "delimiter" | "ownerRequestSpecial">,
): string {
  if (delimiter === "" || neverSplit.has(local.toLowerCase())) return "";
  if (ownerRequestSpecial && delimiter.includes("-") && /^owner-|.-request$/i.test(local)) return "";
  let at = 0;
  while (at < local.length && !delimiter.includes(local[at] as string)) at++;
  return at === 0 || at === local.length ? "" : local.slice(at);
}
