/**
 * Every text that the SMTP server says or logs, in Postfix's wording: clients,
 * administrators and log readers know these by heart. Replies are without their
 * final CRLF.
 */
import type { Client } from "./ports.ts";

export const replies = {
  bye: "221 2.0.0 Bye",
  nonsense: "221 2.7.0 Error: I can break rules, too. Goodbye.",
  ok: "250 2.0.0 Ok",
  senderOk: "250 2.1.0 Ok",
  recipientOk: "250 2.1.5 Ok",
  startData: "354 End data with <CR><LF>.<CR><LF>",
  help: "214 2.0.0 Commands: DATA EHLO HELO HELP MAIL NOOP QUIT RCPT RSET VRFY",
  badUtf8: "500 5.5.2 Error: bad UTF-8 syntax",
  badSyntax: "500 5.5.2 Error: bad syntax",
  unknownCommand: "500 5.5.2 Error: command not recognized",
  notImplemented: "502 5.5.1 Error: command not implemented",
  notAuthorised: "550 5.7.0 Error: insufficient authorization",
  authDisabled: "503 5.5.1 Error: authentication not enabled",
  vrfyDisabled: "502 5.5.1 VRFY command is disabled",
  heloSyntax: "501 Syntax: HELO hostname",
  ehloSyntax: "501 Syntax: EHLO hostname",
  mailSyntax: "501 5.5.4 Syntax: MAIL FROM:<address>",
  rcptSyntax: "501 5.5.4 Syntax: RCPT TO:<address>",
  dataSyntax: "501 5.5.4 Syntax: DATA",
  rsetSyntax: "501 5.5.4 Syntax: RSET",
  startTlsSyntax: "501 5.5.4 Syntax: STARTTLS",
  heloFirst: "503 5.5.1 Error: send HELO/EHLO first",
  nestedMail: "503 5.5.1 Error: nested MAIL command",
  needMail: "503 5.5.1 Error: need MAIL command",
  needRcpt: "503 5.5.1 Error: need RCPT command",
  noRecipients: "554 5.5.1 Error: no valid recipients",
  badSender: "501 5.1.7 Bad sender address syntax",
  undeclaredUtf8: "553 5.6.7 Must declare SMTPUTF8 to send unicode address",
  badRecipient: "501 5.1.3 Bad recipient address syntax",
  badSize: "501 5.5.4 Bad message size syntax",
  impossibleSize: "552 5.3.4 Message size exceeds file system imposed limit",
  tooLarge: "552 5.3.4 Message size exceeds fixed limit",
  noSpace: "452 4.3.1 Insufficient system storage",
  dsnDisabled: "501 5.7.1 DSN support is disabled",
  badRet: "501 5.5.4 Bad RET parameter syntax",
  badEnvid: "501 5.5.4 Bad ENVID parameter syntax",
  badNotify: "501 5.5.4 Error: Bad NOTIFY parameter syntax",
  badOrcpt: "501 5.5.4 Error: Bad ORCPT parameter syntax",
  tooManyRecipients: "452 4.5.3 Error: too many recipients",
  messageTooLarge: "552 5.3.4 Error: message file too big",
  queueError: "451 4.3.0 Error: queue file write error",
  outOfStep: "554 5.5.0 Error: SMTP protocol synchronization",
  busy: "421 4.3.2 All server ports are busy",

  vrfySyntax: (smtputf8: boolean) => `501 5.5.4 Syntax: VRFY address${smtputf8 ? " [SMTPUTF8]" : ""}`,
  vrfy: (address: string) => `252 2.0.0 ${address}`,
  unsupportedOption: (option: string) => `555 5.5.4 Unsupported option: ${option}`,
  greeting: (banner: string) => `220 ${banner}`,
  queued: (id: string) => `250 2.0.0 Ok: queued as ${id}`,
  tooMuchMail: (client: Client) => `450 4.7.1 Error: too much mail from ${client.address}`,
  tooManyFrom: (client: Client) => `450 4.7.1 Error: too many recipients from ${client.address}`,
  tooManyConnections: (host: string, client: Client) =>
    `421 4.7.0 ${host} Error: too many connections from ${client.address}`,
  tooManyErrors: (host: string) => `421 4.7.0 ${host} Error: too many errors`,
  timeout: (host: string) => `421 4.4.2 ${host} Error: timeout exceeded`,
  shuttingDown: (host: string) => `421 4.3.2 ${host} Service shutting down`,
  localError: (host: string) => `421 4.3.0 ${host} Server local error`,
  localDataError: (host: string) => `421 4.3.0 ${host} Server local data error`,
  tooLong: (host: string) => `500 5.5.2 ${host} Error: command too long`,
  bareLf: (code: number, host: string) => `${code} 5.5.2 ${host} Error: bare <LF> received`,
  relayDenied: (code: number, enhanced: string, to: string) => `${code} ${enhanced} <${to}>: Relay access denied`,
  recipientRejected: (code: number, enhanced: string, to: string, why: string) =>
    `${code} ${enhanced} <${to}>: Recipient address rejected: ${why}`,
  lookupFailure: (to: string) => `451 4.3.0 <${to}>: Temporary lookup failure`,
} as const;

export const logs = {
  connect: (client: Client) => `connect from ${client.shown}`,
  disconnect: (client: Client, counts: string) => `disconnect from ${client.shown}${counts}`,
  taken: (id: string, client: Client) => `${id}: client=${client.shown}`,
  lost: (where: string, client: Client) => `lost connection after ${where} from ${client.shown}`,
  timeout: (where: string, client: Client) => `timeout after ${where} from ${client.shown}`,
  tooManyErrors: (where: string, client: Client) => `too many errors after ${where} from ${client.shown}`,
  afterData: (size_bytes: number) => `DATA (${size_bytes} bytes)`,
  nonSmtp: (client: Client, line: string) => `non-SMTP command from ${client.shown}: ${line.slice(0, 100)}`,
  pipelining: (where: string, client: Client, sent: string) =>
    `improper command pipelining after ${where} from ${client.shown}: ${sent}`,
  badAddress: (where: string, client: Client, address: string) =>
    `Illegal address syntax from ${client.shown} in ${where} command: ${address}`,
  tooLong: (client: Client, limit: number, line: string) =>
    `${client.shown}: request longer than ${limit}: ${line.slice(0, 30)}...`,
  tooLarge: (id: string) => `${id}: queue file size limit exceeded`,
  discarding: (keywords: string) => `discarding EHLO keywords: ${keywords}`,
  concurrency: (count: number, client: Client, service: string) =>
    `Connection concurrency limit exceeded: ${count} from ${client.shown} for service ${service}`,
  connectionRate: (rate: number, client: Client, service: string) =>
    `Connection rate limit exceeded: ${rate} from ${client.shown} for service ${service}`,
  messageRate: (rate: number, client: Client, service: string) =>
    `Message delivery request rate limit exceeded: ${rate} from ${client.shown} for service ${service}`,
  recipientRate: (rate: number, client: Client, service: string) =>
    `Recipient address rate limit exceeded: ${rate} from ${client.shown} for service ${service}`,
  noSpace: (limit_bytes: number) =>
    `not enough free space in mail queue: less than 1.5*message size limit (${limit_bytes} bytes)`,
  unresolved: (name: string, address: string, why: string) =>
    `hostname ${name} does not resolve to address ${address}${why && `: ${why}`}`,
  busy: (limit: number) => `all ${limit} sessions of smtpd_session_limit are in use; further clients get 421`,
  stress: (limit: number) =>
    `more than four fifths of ${limit} sessions (smtpd_session_limit) are in use; time limits are shortened`,
} as const;

/** A client's text for the log: no control characters, no half characters. */
export function printable(text: string): string {
  return text.replace(/[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffd]/gu, "?");
}

/** Bytes for the log, as C would write them: `\r\n`, `\377`. */
export function escaped(bytes: Buffer): string {
  return bytes.toString("latin1").replace(/[\\\x00-\x1f\x7f-\xff]/g, (char) => {
    const short = { "\\": "\\\\", "\r": "\\r", "\n": "\\n", "\t": "\\t" }[char];
    return short ?? `\\${char.charCodeAt(0).toString(8).padStart(3, "0")}`;
  });
}
