import { type BounceParts, notifications } from "../bounce/notifications.ts";
import { LineEnds } from "../cleanup/line-ends.ts";
import type { Submission } from "../pickup/pickup.ts";
import { type Envelope, pending } from "../queue/message.ts";
import type { NewMessage } from "../queue/store.ts";
import type { Reply } from "../rfc5321/reply.ts";
import { scanHeader } from "../rfc5322/header.ts";

/** A message from sendmail that can never be taken. Its sender is gone, so it is told by mail. */
export interface RejectedSubmission {
  readonly id: string;
  readonly sender: string;
  readonly head: Submission["head"];
  readonly arrival_ms: number;
  readonly reply: Reply;
  /** The beginning of the message, as it was given. */
  readonly text: Buffer;
}

/** The notifications; none where nobody is to be told (it came from the null sender). Rejects as notifications() does. */
export async function rejectionNotice(
  { id, sender, head, arrival_ms, reply, text }: RejectedSubmission,
  bounce: BounceParts,
): Promise<readonly NewMessage[]> {
  const lineEnds = new LineEnds();
  const body = Buffer.concat([lineEnds.convert(text), lineEnds.end()]);
  const envelope: Envelope = {
    id,
    sender,
    recipients: head.recipients.map((address) => ({
      address,
      original: address,
      notify: head.notify,
      orcpt: undefined,
      status: "pending",
      reason: undefined,
      dsn: undefined,
    })),
    arrival_ms,
    size_bytes: body.length,
    eightBit: body.some((byte) => byte > 127),
    smtputf8: head.smtputf8,
    envid: head.envid,
    ret: head.ret,
    origin: { service: "pickup", client: "", helo: "", protocol: "", saslUsername: "" },
    headerEnd_bytes: scanHeader(body, true).end,
    held: false,
    expired: false,
    warned: false,
  };
  const results = pending(envelope).map((_, index) => ({
    index,
    status: "bounced" as const,
    dsn: reply.enhanced,
    reason: reply.text,
    remoteHost: "",
    remoteReply: undefined,
  }));
  const chunks = { chunk: async (index: number) => (index === 0 ? body : undefined) };
  const notices = await notifications({ kind: "failure", envelope, results, body: chunks }, bounce);
  return notices.map(({ message }) => message);
}
