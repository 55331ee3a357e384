import type { Envelope, Recipient } from "./message.ts";
import type { NewMessage, Settlement } from "./store.ts";

/** Envelopes as they are made and as they change. Pure. */

export function newEnvelope({ envelope, id, arrival_ms }: NewMessage): Envelope {
  return { ...envelope, id, arrival_ms, held: envelope.held ?? false, expired: false, warned: false };
}

/** The envelope after these outcomes. A recipient that is done stays as it is. Linear in the recipients. */
export function settledEnvelope(envelope: Envelope, { outcomes, warned }: Settlement): Envelope {
  let recipients: Recipient[] | undefined;
  for (const { index, status, reason, dsn } of outcomes) {
    const recipient = (recipients ?? envelope.recipients)[index];
    if (recipient?.status !== "pending") continue;
    recipients ??= [...envelope.recipients];
    recipients[index] = { ...recipient, status, reason, dsn };
  }
  return { ...envelope, recipients: recipients ?? envelope.recipients, warned: envelope.warned || (warned ?? false) };
}
