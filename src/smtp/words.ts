/**
 * What is said about a delivery: the texts that stand in log lines, bounces and
 * mailq. Operators search for them, so they are Postfix's.
 */
import type { ServerReply } from "../rfc5321/reply-parser.ts";
import type { Awaited } from "./transaction.ts";

/** How much of a reply is quoted. */
const quotedReply_chars = 2048;

/** A reply as one line: "550-5.1.1 no such 550 5.1.1 user". */
export function replyText({ code, lines }: ServerReply): string {
  const number = code < 100 ? String(code).padStart(3, "0") : String(code);
  if (lines.length === 1) return lines[0] ? `${number} ${lines[0]}` : number;
  let text = "";
  for (const [index, line] of lines.entries()) {
    if (text.length >= quotedReply_chars) break;
    const mark = index < lines.length - 1 ? "-" : line ? " " : "";
    text += `${text && " "}${number}${mark}${line}`;
  }
  return text;
}

/** What follows the code, lines joined by spaces: what an AUTH exchange reads. */
export function replyArgument({ lines }: ServerReply): string {
  return lines.length === 1 ? (lines[0] ?? "") : lines.join(" ");
}

/** The enhanced status code of a reply; where it gives none that agrees, its class alone. */
export function replyDsn({ code, enhanced }: ServerReply): string {
  if (enhanced) return enhanced;
  const digit = Math.floor(code / 100);
  return digit === 2 || digit === 4 || digit === 5 ? `${digit}.0.0` : "5.5.0";
}

const requests: Readonly<Record<Awaited, string>> = {
  mail: "MAIL FROM command",
  rcpt: "RCPT TO command",
  data: "DATA command",
  dot: "end of DATA command",
};

/** "host mx.example[192.0.2.1] said: 550 5.1.1 no such user (in reply to RCPT TO command)" */
export function saidText(server: string, reply: string, command: Awaited): string {
  return `host ${server} said: ${reply} (in reply to ${requests[command]})`;
}

export function refusedToTalkText(server: string, reply: string): string {
  return `host ${server} refused to talk to me: ${reply}`;
}

/** Where a conversation stood when it broke off. */
export type Stage =
  | "receiving the initial server greeting"
  | "performing the EHLO handshake"
  | "performing the HELO handshake"
  | "performing the LHLO handshake"
  | "receiving the STARTTLS response"
  | "sending MAIL FROM"
  | "sending RCPT TO"
  | "sending DATA command"
  | "sending message body"
  | "sending end of data -- message may be sent more than once";

export const transactionStages: Readonly<Record<Awaited, Stage>> = {
  mail: "sending MAIL FROM",
  rcpt: "sending RCPT TO",
  data: "sending DATA command",
  dot: "sending end of data -- message may be sent more than once",
};

/** Why a connection is of no use any more. */
export type Break = "lost" | "timeout" | "mixed" | "overflow" | "code" | "unsolicited";

/** What a break is called in a deferral, with its enhanced status code. */
export function breakText(why: Break, server: string, stage: Stage): { dsn: string; reason: string } {
  switch (why) {
    case "lost":
      return { dsn: "4.4.2", reason: `lost connection with ${server} while ${stage}` };
    case "timeout":
      return { dsn: "4.4.2", reason: `conversation with ${server} timed out while ${stage}` };
    case "mixed":
      return {
        dsn: "4.5.0",
        reason: `Protocol error: host ${server} sent one reply with different codes while ${stage}`,
      };
    case "overflow":
      return { dsn: "4.5.0", reason: `Protocol error: host ${server} sent an endless reply while ${stage}` };
    case "code":
      return {
        dsn: "4.5.0",
        reason: `Protocol error: host ${server} sent a reply code that does not exist while ${stage}`,
      };
    case "unsolicited":
      return {
        dsn: "4.5.0",
        reason: `Protocol error: host ${server} sent a reply that nobody asked for while ${stage}`,
      };
    default:
      return why satisfies never;
  }
}

/** The system's words for a failed connect, as strerror(3) has them. */
const systemErrors: Readonly<Record<string, string>> = {
  ECONNREFUSED: "Connection refused",
  ENOENT: "No such file or directory",
  ETIMEDOUT: "Connection timed out",
  EHOSTUNREACH: "No route to host",
  ENETUNREACH: "Network is unreachable",
  ECONNRESET: "Connection reset by peer",
  EADDRNOTAVAIL: "Cannot assign requested address",
  EADDRINUSE: "Address already in use",
  EACCES: "Permission denied",
  EPERM: "Operation not permitted",
  EMFILE: "Too many open files",
  ENFILE: "Too many open files in system",
  EHOSTDOWN: "Host is down",
  ENETDOWN: "Network is down",
  EINVAL: "Invalid argument",
  EAFNOSUPPORT: "Address family not supported by protocol",
};

export function systemErrorText(code: string, message: string): string {
  return systemErrors[code] ?? (code || message);
}
