import type { Rewriter } from "../routing/rewrite.ts";

/** How a message came in, for its Received: header (RFC 5321 section 4.4). */
export type Received =
  | {
      readonly kind: "smtp";
      /** As in HELO or EHLO. */
      readonly helo: string;
      /** The client's verified host name, or "unknown". */
      readonly name: string;
      /** Numeric. */
      readonly address: string;
      readonly protocol: "SMTP" | "ESMTP";
      readonly tls: ReceivedTls | undefined;
      readonly authenticated: boolean;
      /** The login to show, where smtpd_sasl_authenticated_header is on. */
      readonly showLogin?: string;
    }
  | { readonly kind: "local"; readonly uid: number; readonly time_ms: number }
  | { readonly kind: "internal" };

export interface ReceivedTls {
  readonly protocol: string;
  readonly cipher: string;
  readonly usedBits: number;
  readonly allBits: number;
}

export interface ReceivedContext {
  readonly myhostname: string;
  readonly mail_name: string;
  readonly id: string;
  readonly smtputf8: boolean;
  /** The one recipient as the client gave it; undefined where there are several, which must not learn of each other. */
  readonly recipient: string | undefined;
  /** formatDate of the moment. */
  readonly date: string;
}

/** The header with its line ends. What clients have chosen is stripped of control characters and of what would end a comment. */
export function receivedHeader(received: Received, context: ReceivedContext): string {
  const { myhostname, mail_name, id, date } = context;
  if (received.kind === "local") {
    return `Received: by ${myhostname} (${mail_name}, from userid ${received.uid})\r\n\tid ${id}; ${date}\r\n`;
  }
  if (received.kind === "internal") return `Received: by ${myhostname} (${mail_name})\r\n\tid ${id}; ${date}\r\n`;
  const address = received.address.includes(":") ? `IPv6:${received.address}` : received.address;
  const from = `Received: from ${harmless(received.helo || received.name)} (${harmless(received.name)} [${address}])\r\n`;
  const login = received.showLogin === undefined ? "" : `\t(Authenticated sender: ${harmless(received.showLogin)})\r\n`;
  const by = `\tby ${myhostname} (${mail_name}) with ${withProtocol(received, context)} id ${id}`;
  const end = context.recipient === undefined ? `;\r\n\t${date}\r\n` : `\r\n\tfor <${context.recipient}>; ${date}\r\n`;
  return `${from}${tlsComment(received.tls)}${login}${by}${end}`;
}

/** RFC 3848, and RFC 6531 section 4.3. */
function withProtocol({ protocol, tls, authenticated }: Received & { kind: "smtp" }, context: ReceivedContext): string {
  if (context.smtputf8) return "UTF8SMTP";
  return protocol === "ESMTP" ? `ESMTP${tls ? "S" : ""}${authenticated ? "A" : ""}` : protocol;
}

function tlsComment(tls: ReceivedTls | undefined): string {
  if (!tls) return "";
  const { protocol, cipher, usedBits, allBits } = tls;
  return `\t(using ${protocol} with cipher ${cipher} (${usedBits}/${allBits} bits))\r\n\t(No client certificate requested)\r\n`;
}

function harmless(text: string): string {
  return /[\x00-\x20\x7f()<>\\";@]/.test(text) ? text.replace(/[\x00-\x20\x7f()<>\\";@]/g, "?") : text;
}

/** MAILER-DAEMON at this host, in any case: in Postfix, another name of the null sender. */
export function isMailerDaemon(address: string, rewriter: Rewriter): boolean {
  return /^mailer-daemon@/i.test(address) && address.toLowerCase() === rewriter.rewrite("MAILER-DAEMON").toLowerCase();
}
