import type { NewEnvelope, Recipient } from "./message.ts";

/** A recipient that nothing has happened to yet, for tests and benchmarks. */
export function pendingRecipient(address: string, more: Partial<Recipient> = {}): Recipient {
  return {
    ...{ address, original: address, notify: undefined, orcpt: undefined },
    ...{ status: "pending", reason: undefined, dsn: undefined },
    ...more,
  };
}

/** The envelope of an ordinary message as smtpd takes it, for tests and benchmarks. */
export function plainEnvelope(
  sender: string,
  recipients: readonly (string | Recipient)[],
  size_bytes: number,
  more: Partial<NewEnvelope> = {},
): NewEnvelope {
  return {
    sender,
    recipients: recipients.map((each) => (typeof each === "string" ? pendingRecipient(each) : each)),
    size_bytes,
    ...{ eightBit: false, smtputf8: false, envid: undefined, ret: undefined },
    origin: { service: "smtpd", client: "", helo: "", protocol: "", saslUsername: "" },
    headerEnd_bytes: 0,
    ...more,
  };
}
