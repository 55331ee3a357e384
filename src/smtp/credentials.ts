/**
 * Which login goes to which server. The first hit in smtp_sasl_password_maps wins:
 *
 *   1. the sender, only with smtp_sender_dependent_authentication, and never the
 *      null sender: user+ext@domain, user@domain, @domain
 *   2. the name of the host connected to, bare
 *   3. the next hop exactly as configured, brackets and port included; while
 *      falling back, that is the fallback relay's own text
 *
 * The value is split at the first delimiter, so a password may contain one and a
 * user name may not; without a delimiter the password is empty. No entry: the
 * mail goes without authentication. A table that cannot tell throws TableError,
 * which defers: nothing is ever sent without the login that it should have had.
 */
import { splitAddress } from "../rfc5321/path.ts";
import type { Answer, Maps } from "../table/maps.ts";

export interface Credentials {
  readonly username: string;
  readonly password: string;
}

export interface CredentialsQuestion {
  /** Envelope sender, or "" where senders have no part in it. */
  readonly sender: string;
  readonly host: string;
  readonly nexthop: string;
  readonly recipientDelimiter: string;
  /** smtp_sasl_password_result_delimiter; its first character counts. */
  readonly resultDelimiter: string;
}

export function findCredentials(maps: Maps, question: CredentialsQuestion): Answer<Credentials | undefined> {
  return search(maps, keysOf(question), 0, question.resultDelimiter.slice(0, 1) || ":");
}

interface Key {
  readonly text: string;
  readonly partial: boolean;
}

function keysOf({ sender, host, nexthop, recipientDelimiter }: CredentialsQuestion): Key[] {
  const keys: Key[] = [];
  if (sender) {
    keys.push({ text: sender, partial: false });
    const { local, domain } = splitAddress(sender);
    const bare = withoutExtension(local, recipientDelimiter);
    if (bare !== local && domain) keys.push({ text: `${bare}@${domain}`, partial: true });
    if (domain) keys.push({ text: `@${domain}`, partial: true });
  }
  keys.push({ text: host, partial: false }, { text: nexthop, partial: false });
  return keys;
}

function search(maps: Maps, keys: readonly Key[], from: number, delimiter: string): Answer<Credentials | undefined> {
  for (let index = from; index < keys.length; index++) {
    const key = keys[index];
    if (!key?.text) continue;
    const found = maps.find(key.text, key.partial);
    if (found instanceof Promise) {
      return found.then((value) => (value ? split(value, delimiter) : search(maps, keys, index + 1, delimiter)));
    }
    if (found) return split(found, delimiter);
  }
  return undefined;
}

function split(value: string, delimiter: string): Credentials {
  const at = value.indexOf(delimiter);
  return at < 0 ? { username: value, password: "" } : { username: value.slice(0, at), password: value.slice(at + 1) };
}

/** `user+ext` is `user`; names that only begin with a delimiter stay whole. */
function withoutExtension(local: string, delimiters: string): string {
  for (let index = 1; index < local.length; index++) {
    if (delimiters.includes(local[index] as string)) return local.slice(0, index);
  }
  return local;
}
