import type { Log } from "../log/log.ts";
import type { RecipientResult } from "../queue/delivery.ts";
import type { BodyReader, Envelope, NewEnvelope } from "../queue/message.ts";
import type { QueueStore, Settlement } from "../queue/store.ts";
import { messageId } from "../rfc5322/message-id.ts";
import type { Runtime } from "../runtime/runtime.ts";
import type { Answer } from "../table/maps.ts";
import { ChunkedBody } from "./chunked-body.ts";
import type { BounceConf } from "./params.ts";
import { type Planned, plan } from "./plan.ts";
import { closingLines, headerLines, type ReportFacts, reportLines } from "./report.ts";
import type { Kind } from "./templates.ts";
import { printable } from "./wrap.ts";

/** What notifications are written with. */
export interface BounceParts {
  readonly conf: BounceConf;
  readonly runtime: Pick<Runtime, "clock" | "random">;
  readonly log: Log;
  readonly store: Pick<QueueStore, "nextId" | "beginBody">;
  /**
   * What an address, a sender's or the postmaster's, stands for here: aliases expanded, cron's root included.
   * Throws or rejects where a table cannot tell.
   */
  readonly recipients: (address: string) => Answer<readonly { readonly address: string }[]>;
  /** A header field of addresses as mail from this host has it, in lines. Throws or rejects as `recipients` does. */
  readonly addressField: (name: string, value: string) => Answer<readonly string[]>;
}

/** What has happened to some recipients of a message. `body` is read for what comes back of the original. */
export interface NotificationCause {
  readonly kind: Kind;
  readonly envelope: Envelope;
  readonly results: readonly RecipientResult[];
  readonly body: BodyReader;
}

export type Notification = Settlement["notifications"][number];

/**
 * The delivery status notifications (RFC 3464) that results cause: to the
 * sender, to the postmaster, or none (plan.ts). They are messages like any
 * other and go into the store together with the outcomes that cause them: this
 * only makes them, and may make them again for a cause whose settlement did not
 * come to pass. A recipient fails, or succeeds, once; so the least index among
 * a notification's recipients names its cause.
 *
 * Memory: the original is copied chunk by chunk, and never more than
 * bounce_size_limit of it.
 *
 * Rejects where a table cannot tell where a notification goes, the original
 * cannot be read, or the store has no room: the outcomes must then not be
 * settled as final.
 */
export async function notifications(cause: NotificationCause, parts: BounceParts): Promise<Notification[]> {
  const { kind, envelope, results, body } = cause;
  const { planned, remark } = plan(kind, envelope, results, parts.conf);
  if (remark) parts.log[remark.level](`${envelope.id}: ${remark.text}`);
  const written: Notification[] = [];
  try {
    for (const each of planned) written.push(await write(each, envelope, body, parts));
  } catch (error) {
    abandon(written);
    throw error;
  }
  return written;
}

/** They are not to be stored after all. */
function abandon(written: readonly Notification[]): void {
  for (const { message } of written) if (!Buffer.isBuffer(message.body)) message.body.abandon();
}

async function write(
  planned: Planned,
  envelope: Envelope,
  body: BodyReader,
  parts: BounceParts,
): Promise<Notification> {
  const { conf, runtime, store, log } = parts;
  const to = planned.to.includes("@") ? planned.to : `${planned.to}@${conf.myorigin}`;
  const found = await parts.recipients(to);
  const addresses = found.length > 0 ? found.map(({ address }) => address) : [to];
  const id = store.nextId();
  const now_ms = runtime.clock.now();
  const tooLarge = conf.bounce_size_limit > 0 && envelope.size_bytes > conf.bounce_size_limit;
  const facts: ReportFacts = {
    conf,
    envelope,
    planned,
    to,
    fromField: await parts.addressField("From", `Mail Delivery System <MAILER-DAEMON@${conf.myorigin}>`),
    toField: await parts.addressField("To", printable(to, true)),
    id,
    messageId: messageId(id, conf.myhostname, now_ms),
    boundary: boundary(envelope.id, parts),
    now_ms,
    zoneOffset_min: runtime.clock.zoneOffset_min(now_ms),
    original: tooLarge ? "HDRS" : planned.original,
  };
  const out = new ChunkedBody(() => store.beginBody());
  try {
    const headerEnd_bytes = await writeReport(facts, body, out);
    const written = await out.finish();
    const about = newEnvelope(facts, addresses, out, headerEnd_bytes);
    log.as("cleanup").info(`${id}: message-id=${facts.messageId}`);
    log.info(`${envelope.id}: ${planned.name}: ${id}`);
    return { message: { id, arrival_ms: now_ms, body: written, envelope: about }, source: sourceOf(planned, envelope) };
  } catch (error) {
    out.abandon();
    throw error;
  }
}

/** Nobody can guess it, so nothing in the original can pass for another part of the report. */
function boundary(id: string, { conf, runtime }: BounceParts): string {
  return `${id}.${runtime.random.bytes(8).readBigUInt64BE()}/${conf.myhostname}`;
}

function sourceOf({ kind, copy, results }: Planned, { id }: Envelope): string {
  let first = Number.POSITIVE_INFINITY;
  for (const { index } of results) first = Math.min(first, index);
  return `bounce:${id}:${kind}:${first}${copy ? ":postmaster" : ""}`;
}

/** The offset at which the notification's own header ends. */
async function writeReport(facts: ReportFacts, body: BodyReader, out: ChunkedBody): Promise<number> {
  await out.lines(headerLines(facts));
  const headerEnd_bytes = out.size_bytes;
  for (const lines of reportLines(facts)) {
    const stored = out.lines(lines);
    if (stored) await stored;
  }
  await copyOriginal(facts, body, out);
  await out.lines(closingLines(facts));
  return headerEnd_bytes;
}

/** The original, or its header; of a header that is larger than bounce_size_limit, the lines that fit. */
async function copyOriginal(
  { conf, envelope, original }: ReportFacts,
  body: BodyReader,
  out: ChunkedBody,
): Promise<void> {
  const { bounce_size_limit } = conf;
  const end = original === "FULL" ? envelope.size_bytes : envelope.headerEnd_bytes;
  const limit = bounce_size_limit > 0 ? Math.min(end, bounce_size_limit) : end;
  for (let at = 0, index = 0; at < limit; index++) {
    const chunk = await body.chunk(index);
    if (!chunk) return;
    const part = chunk.subarray(0, limit - at);
    at += part.length;
    await out.bytes(at === limit && limit < end ? wholeLines(part) : part);
  }
}

function wholeLines(bytes: Buffer): Buffer {
  const end = bytes.lastIndexOf("\r\n");
  return bytes.subarray(0, end < 0 ? 0 : end + 2);
}

function newEnvelope(
  { envelope, planned, to }: ReportFacts,
  addresses: readonly string[],
  { eightBit, size_bytes }: ChunkedBody,
  headerEnd_bytes: number,
): NewEnvelope {
  const common = { notify: undefined, orcpt: undefined, status: "pending", reason: undefined, dsn: undefined } as const;
  return {
    sender: planned.sender,
    recipients: addresses.map((address) => ({ address, original: to, ...common })),
    size_bytes,
    eightBit,
    smtputf8: envelope.smtputf8 || addresses.some((address) => /[^\x00-\x7f]/.test(address)),
    envid: undefined,
    ret: undefined,
    origin: { service: "bounce", client: "", helo: "", protocol: "", saslUsername: "" },
    headerEnd_bytes,
  };
}
