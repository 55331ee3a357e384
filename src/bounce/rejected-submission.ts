import type { Envelope, Notify } from "../queue/message.ts";
import type { Reply } from "../rfc5321/reply.ts";
import type { NotificationCause } from "./cause.ts";

/** A message from sendmail that cannot be taken, for good: its program has long ended, so the sender is told by mail. */
export interface RejectedSubmission {
  readonly id: string;
  readonly sender: string;
  readonly head: {
    readonly recipients: readonly string[];
    readonly notify: Notify;
    readonly envid: string | undefined;
    readonly ret: "FULL" | "HDRS" | undefined;
    readonly smtputf8: boolean;
  };
  readonly arrival_ms: number;
  readonly reply: Reply;
  /** The beginning of the message, as it was given. Its header comes back. */
  readonly text: Buffer;
}

/** The header comes back, with the same reason for every recipient. */
export function rejectionCause(rejected: RejectedSubmission, myorigin: string): NotificationCause {
  const { reply, head } = rejected;
  const dsn = /^5\.\d{1,3}\.\d{1,3}$/.test(reply.enhanced) ? reply.enhanced : "5.0.0";
  const common = { status: "bounced", dsn, reason: reply.text, remoteHost: "", remoteReply: undefined } as const;
  const header = headerOf(rejected.text);
  return {
    kind: "failure",
    envelope: envelopeOf(rejected, header, myorigin),
    results: head.recipients.map((_, index) => ({ index, ...common })),
    body: { chunk: async (index) => (index === 0 ? header : undefined) },
  };
}

/** As the log tells of it, a line for each recipient. */
export function rejectionLines(
  { id, head, arrival_ms }: RejectedSubmission,
  { results }: NotificationCause,
  now_ms: number,
): string[] {
  const delay = String(Math.round(Math.max(0, now_ms - arrival_ms) / 100) / 10);
  return results.map(({ index, dsn, reason }) => {
    const times = `delay=${delay}, delays=${delay}/0/0/0`;
    return `${id}: to=<${head.recipients[index]}>, relay=none, ${times}, dsn=${dsn}, status=bounced (${reason})`;
  });
}

/** The header with CRLF line ends; all of it where the text ends sooner. */
function headerOf(text: Buffer): Buffer {
  const lines = text.toString("latin1").split(/\r?\n/);
  const end = lines.indexOf("");
  return Buffer.from((end < 0 ? lines : lines.slice(0, end)).map((line) => `${line}\r\n`).join(""), "latin1");
}

function envelopeOf({ id, sender, head, arrival_ms }: RejectedSubmission, header: Buffer, myorigin: string): Envelope {
  const { recipients, notify, envid, smtputf8 } = head;
  return {
    id,
    sender: sender === "" || sender.includes("@") ? sender : `${sender}@${myorigin}`,
    recipients: recipients.map((address) => ({
      address,
      original: address,
      notify,
      orcpt: undefined,
      status: "pending",
      reason: undefined,
      dsn: undefined,
    })),
    arrival_ms,
    size_bytes: header.length,
    eightBit: header.some((octet) => octet > 127),
    smtputf8,
    envid,
    ret: "HDRS",
    origin: { service: "pickup", client: "", helo: "", protocol: "", saslUsername: "" },
    headerEnd_bytes: header.length,
    held: false,
    expired: false,
    warned: false,
  };
}
