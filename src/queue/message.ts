/**
 * A message as the queue knows it: an envelope, and a body in chunks.
 *
 * The body is what goes out after DATA: header and text with CRLF line ends,
 * not dot-stuffed, always ending with CRLF. Bytes, never decoded.
 */

/** How much of a body one chunk holds at most. Bodies up to this size are one chunk. */
export const chunkSize_bytes = 64 * 1024;

/** RFC 3461. `undefined`: not given, which means FAILURE (and DELAY at the relay's discretion). */
export type Notify = readonly ("NEVER" | "SUCCESS" | "FAILURE" | "DELAY")[] | undefined;

/**
 * pending   still to be tried
 * sent      the next hop has taken responsibility
 * bounced   given up; a notification has been written if one is due
 */
export type RecipientStatus = "pending" | "sent" | "bounced";

export interface Recipient {
  /** Where it goes, after rewriting and aliases. Quoted where the grammar wants it; no angle brackets. */
  readonly address: string;
  /** As the client gave it, for `orig_to=` and notifications; equal to `address` where nothing was rewritten. */
  readonly original: string;
  readonly notify: Notify;
  /** ORCPT as given, "rfc822;name@domain" with xtext still encoded; undefined where none was. */
  readonly orcpt: string | undefined;
  readonly status: RecipientStatus;
  /** What the last attempt said: "host mx.example[192.0.2.1] said: 450 …"; undefined before the first. */
  readonly reason: string | undefined;
  /** Enhanced status code of that answer. */
  readonly dsn: string | undefined;
}

export interface Envelope {
  /** Upper-case hexadecimal, unique in this queue. */
  readonly id: string;
  /** Envelope sender; "" is the null sender. */
  readonly sender: string;
  readonly recipients: readonly Recipient[];
  /** Milliseconds since the epoch when it was taken; back-off and lifetime count from here. */
  readonly arrival_ms: number;
  /** Of the body as stored. */
  readonly size_bytes: number;
  /** The body, header included, has octets above 127. */
  readonly eightBit: boolean;
  /** SMTPUTF8 was declared and is needed (an address or a header is not ASCII). */
  readonly smtputf8: boolean;
  /** ENVID (RFC 3461), xtext-encoded as given. */
  readonly envid: string | undefined;
  /** RET (RFC 3461). */
  readonly ret: "FULL" | "HDRS" | undefined;
  /** Who sent it, for lookups and log lines; nothing of this goes out. */
  readonly origin: Origin;
  /** Where the header ends in the body: the offset of the empty line's CRLF, or the body's size. */
  readonly headerEnd_bytes: number;
  /** A content check's FILTER, "transport:nexthop": where all recipients go, whatever their addresses; absent: none. */
  readonly filter?: string;
  /** Held back by an operator or a rule. */
  readonly held: boolean;
  /** When an operator or a notification's rule has asked for its return at the next attempt. */
  readonly expired: boolean;
  /** A "delayed mail" warning has gone out. */
  readonly warned: boolean;
}

export interface Origin {
  readonly service: "smtpd" | "pickup" | "bounce";
  /** "host[192.0.2.1]" of the client, "" for local submission. */
  readonly client: string;
  readonly helo: string;
  readonly protocol: string;
  readonly saslUsername: string;
}

/** What a service hands in; the store gives it an id and an arrival time. */
export type NewEnvelope = Omit<Envelope, "id" | "arrival_ms" | "held" | "expired" | "warned"> & {
  readonly held?: boolean;
};

/** Bodies are read one chunk after the other; `undefined` ends them. Throws QueueError. */
export interface BodyReader {
  chunk(index: number): Promise<Buffer | undefined>;
}

/** Recipients that still have something to come. */
export function pending(envelope: Envelope): readonly Recipient[] {
  return envelope.recipients.filter(({ status }) => status === "pending");
}
