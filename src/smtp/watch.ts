import type { ServerReply } from "../rfc5321/reply-parser.ts";
import type { TlsFacts } from "../runtime/net.ts";
import type { SaslProperty } from "../sasl/mechanism.ts";
import type { Selected } from "../sasl/select.ts";
import type { Verdict } from "../tls/verify.ts";

/**
 * Is told how a session is made, as it happens: for programs that show it. What is watched
 * is the session that mail would get; nothing is decided here, and nothing depends on it.
 * What went into AUTH is told as "***".
 */
export interface OpeningWatch {
  connected(): void;
  /** One command, without its line end. */
  said(line: string): void;
  heard(reply: ServerReply): void;
  secured(facts: TlsFacts, verdict: Verdict): void;
  /** The handshake failed; OpenSSL's words. */
  notSecured(words: string): void;
  /** Which mechanism is used, and why not the others; `required` are the security options in force. */
  chosen(selected: Selected, required: ReadonlySet<SaslProperty>): void;
  /** There is no login for this server. */
  noCredentials(): void;
}

/** A line of an AUTH exchange as it may be shown: the mechanism's name and nothing of the secret. */
export function withoutSecret(line: string): string {
  const [verb = "", mechanism = "", initial] = line.split(" ");
  if (verb !== "AUTH") return line === "" || line === "*" ? line : "***";
  return initial === undefined || initial === "=" ? line : `${verb} ${mechanism} ***`;
}
