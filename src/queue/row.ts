import { flag, type Row, state } from "./engine.ts";
import { decodeEnvelope } from "./envelope-codec.ts";
import { formatId } from "./id.ts";
import type { Envelope } from "./message.ts";
import type { QueueEntry, QueueName } from "./store.ts";

/** What an engine's rows mean. */

const queues: readonly QueueName[] = ["active", "deferred", "hold", "corrupt"];

/** Throws where the envelope cannot be read. */
export function envelopeOf({ id, state: is, flags, envelope }: Row): Envelope {
  if (envelope === undefined) throw new Error("its envelope or its row fails its checksum");
  return decodeEnvelope(formatId(id), envelope, {
    held: is === state.hold || (flags & flag.hold) !== 0,
    expired: (flags & flag.expired) !== 0,
    warned: (flags & flag.warned) !== 0,
  });
}

/** A listed message. One that cannot be read is listed as corrupt, with what is known of it, which is its id; `corrupt` says why. */
export function entryOf(row: Row): { readonly entry: QueueEntry; readonly corrupt: string | undefined } {
  const queue = queues[row.state] ?? "corrupt";
  const { due: nextAttempt_ms, destination } = row;
  try {
    return { entry: { queue, envelope: envelopeOf(row), nextAttempt_ms, destination }, corrupt: undefined };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return { entry: { queue: "corrupt", envelope: unreadable(row), nextAttempt_ms, destination }, corrupt: reason };
  }
}

function unreadable({ id, flags }: Row): Envelope {
  return {
    id: formatId(id),
    sender: "",
    recipients: [],
    arrival_ms: Math.floor(id / 1024),
    size_bytes: 0,
    eightBit: false,
    smtputf8: false,
    envid: undefined,
    ret: undefined,
    origin: { service: "smtpd", client: "", helo: "", protocol: "", saslUsername: "" },
    headerEnd_bytes: 0,
    held: false,
    expired: (flags & flag.expired) !== 0,
    warned: (flags & flag.warned) !== 0,
  };
}
