import { splitAddress, unquoteLocal } from "../rfc5321/path.ts";
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
 * Looks an address up as virtual(5) tells: user+ext@domain, user@domain, then
 * (in local domains) user+ext and user, at last @domain. Each key in its quoted
 * form first, then without quotes. Shortened keys are not asked of pattern tables.
 * Fails as Maps.find does.
 */
export function findAddress(maps: Maps, address: string, search: AddressSearch): Answer<FoundAddress | undefined> {
  const { local, domain } = splitAddress(address);
  const extension = extensionOf(local, search);
  const bare = extension === "" ? undefined : local.slice(0, -extension.length);
  const users: Key[] = [key(local, "", true)];
  if (bare !== undefined) users.push(key(bare, extension, true));
  if (domain === "") return firstOf(maps, [{ ...key(local, "", false) }, ...users.slice(1)]);
  const whole = [key(`${local}@${domain}`, "", false)];
  if (bare !== undefined) whole.push(key(`${bare}@${domain}`, extension, true));
  return chain(firstOf(maps, whole), (hit) => {
    if (hit) return hit;
    return chain(search.isLocal(domain), (isLocal) => {
      const rest = [...(isLocal ? users : []), key(`@${domain}`, "", true)];
      return firstOf(maps, rest);
    });
  });
}

export interface Key {
  readonly key: string;
  readonly extension: string;
  readonly partial: boolean;
}

export function key(text: string, extension: string, partial: boolean): Key {
  return { key: text, extension, partial };
}

/** The first key with a value. A quoted local part is asked for with its quotes, then without. */
export function firstOf(maps: Maps, keys: readonly Key[], from = 0): Answer<FoundAddress | undefined> {
  const wanted = keys[from];
  if (!wanted) return undefined;
  return chain(findBothForms(maps, wanted), (value) =>
    value === undefined ? firstOf(maps, keys, from + 1) : { value, extension: wanted.extension },
  );
}

function findBothForms(maps: Maps, { key, partial }: Key): Answer<string | undefined> {
  const found = maps.find(key, partial);
  if (!key.includes('"')) return found;
  const { local, domain } = splitAddress(key);
  const plain = unquoteLocal(local);
  return chain(found, (value) => value ?? maps.find(domain === "" ? plain : `${plain}@${domain}`, partial));
}

const neverSplit = new Set(["postmaster", "mailer-daemon", "double-bounce"]);

/** The extension of a local part with its delimiter, "+ext"; "" where there is none. An empty user is never left over. */
export function extensionOf(
  local: string,
  { delimiter, ownerRequestSpecial }: Pick<AddressSearch, "delimiter" | "ownerRequestSpecial">,
): string {
  if (delimiter === "" || local.startsWith('"') || neverSplit.has(local.toLowerCase())) return "";
  if (ownerRequestSpecial && delimiter.includes("-") && /^owner-|.-request$/i.test(local)) return "";
  let at = 0;
  while (at < local.length && !delimiter.includes(local[at] as string)) at++;
  return at === 0 || at === local.length ? "" : local.slice(at);
}
