import type { Log } from "../log/log.ts";
import type { RecipientResult } from "../queue/delivery.ts";
import type { BodyReader, Envelope, NewEnvelope } from "../queue/message.ts";
import type { QueueStore, Settlement } from "../queue/store.ts";
import { messageId } from "../rfc5322/message-id.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Random } from "../runtime/random.ts";
import type { Answer } from "../table/maps.ts";
import { ChunkedBody } from "./chunked-body.ts";
import type { BounceConf } from "./params.ts";
import { type Planned, plan } from "./plan.ts";
import { closingLines, headerLines, type ReportFacts, reportLines } from "./report.ts";
import type { Kind } from "./templates.ts";

export interface NotifierOptions {
  readonly conf: BounceConf;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly store: Pick<QueueStore, "nextId" | "beginBody">;
  /** What an address of a sender or the postmaster stands for here, after completion and aliases. Throws or rejects where a table cannot tell. */
  readonly recipients: (address: string) => Answer<readonly { readonly address: string }[]>;
}

/** What has happened to some recipients of a message. `body` is read for what comes back of the original. */
export interface Due {
  readonly kind: Kind;
  readonly envelope: Envelope;
  readonly results: readonly RecipientResult[];
  readonly body: BodyReader;
}

type Notification = Settlement["notifications"][number];

/**
 * Writes delivery status notifications (RFC 3464). They are messages like any
 * other, from the null sender, and go into the store together with the outcomes
 * that cause them: this only makes them, and may do so again for a cause whose
 * settlement did not come to pass. A recipient fails, or succeeds, once; so the
 * least index among a notification's recipients names its cause.
 *
 * Memory: the original is copied chunk by chunk, never more than
 * bounce_size_limit of it.
 *
 * Fails by rejecting: a table cannot tell where a notification goes, the
 * original cannot be read, or the store has no room. The outcomes must then not be
 * settled as final.
 */
export class Notifier {
  readonly #options: NotifierOptions;
  readonly #cleanupLog: Log;

  constructor(options: NotifierOptions) {
    this.#options = options;
    this.#cleanupLog = options.log.as("cleanup");
  }

  async notify({ kind, envelope, results, body }: Due): Promise<Notification[]> {
    const { conf, log } = this.#options;
    const { planned, remark } = plan(kind, envelope, results, conf);
    if (remark) log[remark.level](`${envelope.id}: ${remark.text}`);
    const written: Notification[] = [];
    for (const each of planned) written.push(await this.#write(each, envelope, body));
    return written;
  }

  async #write(planned: Planned, envelope: Envelope, body: BodyReader): Promise<Notification> {
    const { conf, clock, store, log } = this.#options;
    const to = planned.to.includes("@") ? planned.to : `${planned.to}@${conf.myorigin}`;
    const recipients = await this.#options.recipients(to);
    const id = store.nextId();
    const now_ms = clock.now();
    const facts: ReportFacts = {
      conf,
      envelope,
      planned,
      to,
      id,
      messageId: messageId(id, conf.myhostname, now_ms, false),
      boundary: this.#boundary(envelope.id),
      now_ms,
      zoneOffset_min: clock.zoneOffset_min(now_ms),
      original: conf.bounce_size_limit > 0 && envelope.size_bytes > conf.bounce_size_limit ? "HDRS" : planned.original,
    };
    const out = new ChunkedBody(() => store.beginBody());
    try {
      const headerEnd_bytes = await writeReport(facts, body, out);
      const addresses = recipients.length > 0 ? recipients.map(({ address }) => address) : [to];
      const message = {
        id,
        arrival_ms: now_ms,
        body: await out.finish(),
        envelope: newEnvelope(planned.sender, to, addresses, envelope, out, headerEnd_bytes),
      };
      this.#cleanupLog.info(`${id}: message-id=${facts.messageId}`);
      log.info(`${envelope.id}: ${planned.name}: ${id}`);
      return { message, source: sourceOf(planned, envelope) };
    } catch (error) {
      out.abandon();
      throw error;
    }
  }

  /** Nobody can guess it, so nothing in the original can pass for another part of the report. */
  #boundary(id: string): string {
    const { conf, random } = this.#options;
    return `${id}.${random.bytes(8).readBigUInt64BE().toString()}/${conf.myhostname}`;
  }
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
  await out.lines(reportLines(facts));
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
    const left = limit - at;
    const part = chunk.length <= left ? chunk : chunk.subarray(0, left);
    at += part.length;
    await out.bytes(at === limit && limit < end ? wholeLines(part) : part);
  }
}

function wholeLines(bytes: Buffer): Buffer {
  return bytes.subarray(0, bytes.lastIndexOf("\r\n") + 2 || 0);
}

function newEnvelope(
  sender: string,
  original: string,
  addresses: readonly string[],
  about: Envelope,
  { eightBit, size_bytes }: ChunkedBody,
  headerEnd_bytes: number,
): NewEnvelope {
  return {
    sender,
    recipients: addresses.map((address) => ({
      address,
      original,
      notify: undefined,
      orcpt: undefined,
      status: "pending",
      reason: undefined,
      dsn: undefined,
    })),
    size_bytes,
    eightBit,
    smtputf8: about.smtputf8 || addresses.some((address) => /[^\x00-\x7f]/.test(address)),
    envid: undefined,
    ret: undefined,
    origin: { service: "bounce", client: "", helo: "", protocol: "", saslUsername: "" },
    headerEnd_bytes,
  };
}
