/**
 * MAIL FROM and RCPT TO as a server's features allow them: SIZE (RFC 1870),
 * BODY (RFC 6152), DSN parameters (RFC 3461), SMTPUTF8 (RFC 6531), AUTH=<> (RFC 4954).
 *
 * Throws PathError for an address that no quoting can carry; the one writer
 * (wire.ts) stands behind that.
 */
import type { Envelope, Recipient } from "../queue/message.ts";
import { formatPath } from "../rfc5321/path.ts";
import { encodeXtext, isXtext } from "../rfc5321/xtext.ts";
import type { Features } from "./features.ts";

export interface MailOptions {
  /** The body is converted on the way, so the size known is not the size sent. */
  readonly converted: boolean;
  /** smtp_send_dummy_mail_auth, in a session that has logged in. */
  readonly dummyAuth: boolean;
  /** smtp_quote_rfc821_envelope off: addresses go out as they are. */
  readonly unquoted: boolean;
}

export function mailCommand(envelope: Envelope, features: Features, options: MailOptions): string {
  let command = `MAIL FROM:${path(envelope.sender, options.unquoted)}`;
  if (features.size && !options.converted) command += ` SIZE=${envelope.size_bytes}`;
  if (features.eightBitMime && envelope.eightBit) command += " BODY=8BITMIME";
  if (features.dsn) {
    if (envelope.envid) command += ` ENVID=${asXtext(envelope.envid)}`;
    if (envelope.ret) command += ` RET=${envelope.ret}`;
  }
  if (features.smtpUtf8 && envelope.smtputf8) command += " SMTPUTF8";
  if (options.dummyAuth) command += " AUTH=<>";
  return command;
}

export function rcptCommand(recipient: Recipient, envelope: Envelope, features: Features, unquoted: boolean): string {
  const command = `RCPT TO:${path(recipient.address, unquoted)}`;
  if (!features.dsn) return command;
  const notify = recipient.notify?.length ? ` NOTIFY=${recipient.notify.join(",")}` : "";
  return `${command}${originalParameter(recipient, envelope)}${notify}`;
}

/** ORCPT is sent wherever DSN is offered: without one of its own, a recipient's original address stands there. */
function originalParameter({ orcpt, original }: Recipient, { smtputf8 }: Envelope): string {
  if (orcpt) return ` ORCPT=${asXtext(orcpt)}`;
  if (!original) return "";
  if (/^[\x00-\x7f]*$/.test(original)) return ` ORCPT=rfc822;${encodeXtext(original)}`;
  return smtputf8 ? ` ORCPT=utf-8;${encodeUtf8Address(original)}` : "";
}

/** utf-8-addr-xtext (RFC 6533 section 3), which passes through servers of any kind. */
function encodeUtf8Address(address: string): string {
  let encoded = "";
  for (const char of address) {
    const point = char.codePointAt(0) ?? 0;
    const safe = point > 0x20 && point < 0x7f && char !== "+" && char !== "=" && char !== "\\";
    encoded += safe ? char : `\\x{${point.toString(16).toUpperCase()}}`;
  }
  return encoded;
}

/** What came as xtext goes as xtext; anything else is encoded first. */
function asXtext(text: string): string {
  return isXtext(text) ? text : encodeXtext(text);
}

function path(address: string, unquoted: boolean): string {
  return unquoted ? `<${address}>` : formatPath(address);
}
