import { SaslError } from "./mechanism.ts";

/**
 * Preparation of user names and passwords (SASLprep, RFC 4013). Its tables
 * are loaded only where there is anything but ASCII to prepare; a process
 * that is about to give up the right to read its own sources calls preload().
 */
let prepare: ((text: string) => string) | undefined;

export async function preload(): Promise<void> {
  if (prepare) return;
  const { saslprep } = await import("@mongodb-js/saslprep");
  prepare = (text) => saslprep(text, { allowUnassigned: true });
}

/** What has to be awaited before these can be prepared; undefined: nothing. */
export function loadFor(...texts: readonly string[]): Promise<void> | undefined {
  return prepare || texts.every(isAscii) ? undefined : preload();
}

/**
 * The prepared form, as a query string: code points that Unicode had not
 * assigned in RFC 3454's days are let through. Throws SaslError for text that
 * holds what is prohibited; the message does not quote it.
 */
export function prepared(text: string, what: "user name" | "password"): string {
  if (/^[\x20-\x7e]*$/.test(text)) return text;
  if (isAscii(text)) throw new SaslError(`the ${what} has control characters in it`);
  if (!prepare) throw new Error("saslprep was not loaded");
  try {
    return prepare(text);
  } catch {
    throw new SaslError(`the ${what} has characters in it that SASLprep (RFC 4013) prohibits`);
  }
}

function isAscii(text: string): boolean {
  return /^[\x00-\x7f]*$/.test(text);
}
