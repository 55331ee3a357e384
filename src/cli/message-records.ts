import type { Envelope, Recipient } from "../queue/message.ts";

/** An envelope in the form in which Postfix's queue files have it, and `postcat` prints it: records, each with a type. */
export interface EnvelopeRecord {
  readonly type: number;
  readonly name: string;
  readonly value: string;
}

/** The types of Postfix's records that ours correspond to. */
export const recordType = {
  size: 67,
  time: 84,
  attribute: 65,
  sender: 83,
  original: 79,
  recipient: 82,
  done: 68,
  content: 77,
  text: 78,
  unfinishedText: 76,
  extracted: 88,
  end: 69,
} as const;

/** Bits of Postfix's notify_flags (RFC 3461, NOTIFY). */
const notifyFlags = { NEVER: 1, SUCCESS: 2, FAILURE: 4, DELAY: 8 } as const;

/** Bits of Postfix's ret_flags (RFC 3461, RET). */
const returnFlags = { FULL: 1, HDRS: 2 } as const;

/** `zoneOffset_min`: of local time, at a time. */
export function* envelopeRecords(
  envelope: Envelope,
  zoneOffset_min: (time_ms: number) => number,
): Generator<EnvelopeRecord> {
  const { arrival_ms, origin, recipients } = envelope;
  const local = localTime(arrival_ms, zoneOffset_min(arrival_ms));
  yield { type: recordType.size, name: "message_size", value: sizes(envelope) };
  yield { type: recordType.time, name: "message_arrival_time", value: local };
  yield { type: recordType.attribute, name: "create_time", value: local };
  const named: readonly (readonly [string, string | number | undefined])[] = [
    ["encoding", envelope.eightBit ? "8bit" : undefined],
    ["envelope_id", envelope.envid],
    ["ret_flags", envelope.ret && returnFlags[envelope.ret]],
    ["log_message_origin", origin.client],
    ["log_helo_name", origin.helo],
    ["log_protocol_name", origin.protocol],
    ["sasl_username", origin.saslUsername],
  ];
  for (const [name, value] of named) if (value !== undefined && value !== "") yield attribute(name, value);
  yield { type: recordType.sender, name: "sender", value: printed(envelope.sender) };
  for (const each of recipients) yield* recipientRecords(each);
}

function* recipientRecords({ address, original, orcpt, notify, status }: Recipient): Generator<EnvelopeRecord> {
  if (orcpt !== undefined) yield attribute("dsn_orig_rcpt", orcpt);
  if (notify) {
    const flags = notify.reduce((sum, each) => sum | notifyFlags[each], 0);
    yield attribute("notify_flags", flags);
  }
  yield { type: recordType.original, name: "original_recipient", value: printed(original) };
  if (status === "pending") yield { type: recordType.recipient, name: "recipient", value: printed(address) };
  else yield { type: recordType.done, name: "done_recipient", value: printed(address) };
}

const attribute = (name: string, value: string | number): EnvelopeRecord => ({
  type: recordType.attribute,
  name: "named_attribute",
  value: `${name}=${printed(String(value))}`,
});

/** Size, offset of the data, recipients, the queue manager's flags, size of the content, SMTPUTF8. */
function sizes({ size_bytes, recipients, smtputf8 }: Envelope): string {
  return [size_bytes, 0, recipients.length, 0, size_bytes, smtputf8 ? 1 : 0]
    .map((each) => String(each).padStart(15))
    .join(" ");
}

/** asctime(3): "Wed Nov 25 06:58:53 2026" */
function localTime(time_ms: number, offset_min: number): string {
  const local = new Date(time_ms + offset_min * 60_000);
  const [weekday, day, month, year] = local.toUTCString().split(/[ ,]+/);
  return `${weekday} ${month} ${String(Number(day)).padStart(2)} ${local.toISOString().slice(11, 19)} ${year}`;
}

const printed = (text: string): string => text.replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, "?");
