import type { Envelope, Notify, Origin, Recipient, RecipientStatus } from "./message.ts";

/**
 * Envelopes as stored: a JSON array, fields by position, the first of which is
 * the form's version. What operators change (held, expired, warned) is not in
 * it, but in columns of their own, so that they and the owner do not overwrite
 * each other.
 *
 * An optional text is null where absent. A recipient's `original` is 0 where
 * it equals the address, which is nearly always.
 */

type StoredRecipient = [
  address: string,
  original: string | 0,
  notify: string | null,
  orcpt: string | null,
  status: 0 | 1 | 2,
  reason: string | null,
  dsn: string | null,
];

type Stored = [
  version: 1,
  sender: string,
  arrival_ms: number,
  size_bytes: number,
  headerEnd_bytes: number,
  bits: number,
  envid: string | null,
  service: Origin["service"],
  client: string,
  helo: string,
  protocol: string,
  saslUsername: string,
  recipients: StoredRecipient[],
  /** Left out where there is none. */
  filter?: string,
];

const bit = { eightBit: 1, smtputf8: 2, full: 4, headers: 8 } as const;
const statuses = ["pending", "sent", "bounced"] as const satisfies readonly RecipientStatus[];

export interface EnvelopeFlags {
  readonly held: boolean;
  readonly expired: boolean;
  readonly warned: boolean;
}

/** Everything of an envelope but its id and flags. */
export function encodeEnvelope(envelope: Omit<Envelope, "id" | keyof EnvelopeFlags>): Buffer {
  const { sender, arrival_ms, size_bytes, headerEnd_bytes, envid, ret, origin, recipients } = envelope;
  const bits =
    (envelope.eightBit ? bit.eightBit : 0) |
    (envelope.smtputf8 ? bit.smtputf8 : 0) |
    (ret === "FULL" ? bit.full : ret === "HDRS" ? bit.headers : 0);
  const { service, client, helo, protocol, saslUsername } = origin;
  const stored: Stored = [
    1,
    sender,
    arrival_ms,
    size_bytes,
    headerEnd_bytes,
    bits,
    envid ?? null,
    service,
    client,
    helo,
    protocol,
    saslUsername,
    recipients.map(encodeRecipient),
  ];
  if (envelope.filter !== undefined) stored.push(envelope.filter);
  return Buffer.from(JSON.stringify(stored));
}

function encodeRecipient({ address, original, notify, orcpt, status, reason, dsn }: Recipient): StoredRecipient {
  return [
    address,
    original === address ? 0 : original,
    notify?.join() ?? null,
    orcpt ?? null,
    status === "pending" ? 0 : status === "sent" ? 1 : 2,
    reason ?? null,
    dsn ?? null,
  ];
}

/** Throws where the text is not an envelope. */
export function decodeEnvelope(id: string, text: string, flags: EnvelopeFlags): Envelope {
  const stored = JSON.parse(text) as Stored;
  if (!Array.isArray(stored) || stored[0] !== 1) throw new Error("not an envelope of version 1");
  const [, sender, arrival_ms, size_bytes, headerEnd_bytes, bits, envid] = stored;
  const [service, client, helo, protocol, saslUsername, recipients, filter] = stored.slice(7) as [
    Origin["service"],
    string,
    string,
    string,
    string,
    StoredRecipient[],
    string | undefined,
  ];
  return {
    id,
    sender,
    recipients: recipients.map(decodeRecipient),
    arrival_ms,
    size_bytes,
    eightBit: (bits & bit.eightBit) !== 0,
    smtputf8: (bits & bit.smtputf8) !== 0,
    envid: envid ?? undefined,
    ret: bits & bit.full ? "FULL" : bits & bit.headers ? "HDRS" : undefined,
    origin: { service, client, helo, protocol, saslUsername },
    headerEnd_bytes,
    ...(filter === undefined ? {} : { filter }),
    held: flags.held,
    expired: flags.expired,
    warned: flags.warned,
  };
}

function decodeRecipient([address, original, notify, orcpt, status, reason, dsn]: StoredRecipient): Recipient {
  return {
    address,
    original: original === 0 ? address : original,
    notify: notify === null ? undefined : notify === "" ? [] : (notify.split(",") as NonNullable<Notify>),
    orcpt: orcpt ?? undefined,
    status: statuses[status],
    reason: reason ?? undefined,
    dsn: dsn ?? undefined,
  };
}
