import type { BodyReader, Envelope } from "./message.ts";

/**
 * What the scheduler asks a transport to do, and what comes back. The
 * scheduler and the transports know each other by these shapes alone.
 */

/** Where a recipient goes: a transport of master.cf and its next hop, as the configuration writes it. */
export interface NextHop {
  readonly transport: string;
  /** "[mail.example]:587", "example.com", … For `error` and `retry`: the text. */
  readonly nexthop: string;
}

export interface DeliveryRequest {
  readonly envelope: Envelope;
  /** Indices into the envelope's recipients, all for the same next hop. */
  readonly recipients: readonly number[];
  readonly route: NextHop;
  readonly body: BodyReader;
  /** Monotonic milliseconds: when it became active (for delays=a/b/c/d), and when this delivery was handed over. */
  readonly active_ms: number;
  readonly started_ms: number;
}

export type DeliveryStatus = "sent" | "deferred" | "bounced";

/** What happened to one recipient in one attempt. A value, never an exception. */
export interface RecipientResult {
  readonly index: number;
  readonly status: DeliveryStatus;
  /** Enhanced status code; its class agrees with `status`. */
  readonly dsn: string;
  /** As in the log: "host mx.example[192.0.2.1] said: 550 5.1.1 no such user (in reply to RCPT TO command)". Secrets are masked. */
  readonly reason: string;
  /** The remote server's name, "" where none was reached, and its reply "550 5.1.1 …" where it gave one; for RFC 3464. */
  readonly remoteHost: string;
  readonly remoteReply: string | undefined;
  /** Nobody behind us reports success, so we do where that is asked for: relayed to a server without DSN, or delivered for good. */
  readonly reports?: "relayed" | "delivered";
}

/**
 * How the destination itself did, for concurrency and back-off.
 * ok        it answered as a working server does (whatever it said of recipients)
 * failed    it could not be reached or refused service; `reason` is for suspended messages
 * refused   it refuses our login: a failure that an administrator must mend
 */
export type DestinationHealth =
  | { readonly kind: "ok" }
  | { readonly kind: "failed" | "refused"; readonly dsn: string; readonly reason: string };

export interface DeliveryResult {
  readonly recipients: readonly RecipientResult[];
  readonly health: DestinationHealth;
  /** Recipients without a result are not for this transport: they go there, once. */
  readonly passTo?: PassTo;
}

export interface PassTo {
  readonly hop: NextHop;
  /** What becomes of whoever has been passed on before. */
  readonly otherwise: { readonly dsn: string; readonly reason: string };
}

/** Never rejects: a bug inside becomes a deferral there. */
export type Deliver = (request: DeliveryRequest) => Promise<DeliveryResult>;
