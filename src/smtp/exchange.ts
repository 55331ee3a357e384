/**
 * One message over one session: what is asked of the server, and what its
 * answers mean for the recipients still in the ledger.
 */
import type { Log } from "../log/log.ts";
import type { DeliveryRequest } from "../queue/delivery.ts";
import type { BodyReader } from "../queue/message.ts";
import { PathError } from "../rfc5321/path.ts";
import { mailCommand, rcptCommand } from "./commands.ts";
import { type Failure, ownFailure } from "./failure.ts";
import type { WireAddresses } from "./generic.ts";
import { noSmtpUtf8 } from "./handshake.ts";
import type { Ledger, Place, Target } from "./ledger.ts";
import type { SmtpConf } from "./parts.ts";
import type { Session } from "./session.ts";
import type { Settled } from "./transaction.ts";
import { type TransferEnd, type TransferJob, type TransferLimits, transfer } from "./transfer.ts";
import { isOneLine } from "./wire.ts";
import { breakText, replyDsn, replyText, saidText } from "./words.ts";

export interface Message {
  readonly request: DeliveryRequest;
  /** Chunk 0 of the body. */
  readonly first: Buffer;
  readonly more: boolean;
  /** What the server gets in place of the envelope's addresses, and a body that is not of the envelope's size. */
  readonly outside?: { readonly addresses: WireAddresses; readonly body: BodyReader };
}

/** Why this message cannot be sent over this session, whatever its recipients; undefined where it can. */
export function obstacle({ request: { envelope } }: Message, session: Session): Failure | undefined {
  const { features } = session.facts;
  if (envelope.smtputf8 && !features.smtpUtf8) return noSmtpUtf8(session.server);
  const { size_bytes } = envelope;
  const { sizeLimit } = features;
  if (sizeLimit === 0 || size_bytes <= sizeLimit) return undefined;
  const reason = `message size ${size_bytes} exceeds size limit ${sizeLimit} of server ${session.server}`;
  return ownFailure("5.3.4", reason, "message");
}

/** The commands, or why there can be none. Recipients whose address cannot be written are given up in the ledger. */
export function compose(
  { request, first, more, outside }: Message,
  session: Session,
  conf: SmtpConf,
  ledger: Ledger,
  { last, eachAtEnd }: Pick<TransferJob, "last" | "eachAtEnd">,
): { readonly job: TransferJob; readonly targets: readonly Target[] } | undefined {
  const envelope = outside ? { ...request.envelope, sender: outside.addresses.sender } : request.envelope;
  const body = outside?.body ?? request.body;
  const size_bytes = outside ? undefined : envelope.size_bytes;
  const { features, credentials } = session.facts;
  const unquoted = !conf.smtp_quote_rfc821_envelope;
  const downgrade =
    envelope.eightBit && !features.eightBitMime && !envelope.smtputf8 && !conf.disable_mime_output_conversion;
  const dummyAuth = conf.smtp_send_dummy_mail_auth && credentials !== undefined;
  const place = placeOf(session, undefined);
  const mail = written(() => mailCommand(envelope, features, { converted: downgrade, dummyAuth, unquoted }));
  if (mail === undefined) {
    ledger.failAll(
      ownFailure("5.1.7", "the sender's address cannot be sent: bad address syntax", "message"),
      true,
      place,
    );
    return undefined;
  }
  const targets: Target[] = [];
  const rcpts: string[] = [];
  for (const target of ledger.left) {
    const { recipient } = target;
    const named = outside ? { ...recipient, address: outside.addresses.recipient(recipient.address) } : recipient;
    const rcpt = written(() => rcptCommand(named, envelope, features, unquoted));
    if (rcpt === undefined) {
      ledger.fail([target], ownFailure("5.1.3", "bad recipient address syntax", "message"), true, place);
      continue;
    }
    targets.push(target);
    rcpts.push(rcpt);
  }
  return targets.length === 0
    ? undefined
    : { job: { mail, rcpts, first, more, size_bytes, body, downgrade, last, eachAtEnd }, targets };
}

/** Undefined where the grammar has no form for it. */
function written(command: () => string): string | undefined {
  try {
    const line = command();
    return isOneLine(line) ? line : undefined;
  } catch (error) {
    if (error instanceof PathError) return undefined;
    throw error;
  }
}

export function send(session: Session, job: TransferJob, limits: TransferLimits): Promise<TransferEnd> {
  return transfer(session, job, limits);
}

export function placeOf(session: Session, connected_ms: number | undefined): Place {
  return { relay: session.relay, host: session.facts.host.name, uses: Math.max(1, session.uses), connected_ms };
}

/** Is there anything in it that another host might be asked for? */
export function mayPass(end: TransferEnd, softBounce: boolean): boolean {
  if (end.broken) return true;
  return end.settled.some(({ accepted, by }) => !accepted && (softBounce || replyDsn(by).startsWith("4")));
}

/** Writes down what the server said. `final`: there is no other host to try. */
export function conclude(
  end: TransferEnd,
  targets: readonly Target[],
  session: Session,
  ledger: Ledger,
  final: boolean,
  place: Place,
): void {
  if (!end.broken) ledger.serve();
  for (const settled of end.settled) {
    const which = settled.recipients.map((position) => targets[position] as Target);
    if (settled.accepted) {
      const reply = session.mask(replyText(settled.by));
      ledger.deliver(which, replyDsn(settled.by), reply, session.facts.features.dsn, place);
    } else ledger.fail(which, refusal(settled, session), final, place);
  }
  if (!end.broken) return;
  // Who was told to wait for another host by a reply of their own waits with it; everybody else for this.
  const answered = new Set(end.settled.flatMap(({ recipients }) => recipients.map((position) => targets[position])));
  const open = ledger.left.filter((target) => !answered.has(target));
  if (open.length > 0) ledger.fail(open, broken(end.broken, session.server), final, place);
}

function refusal(settled: Settled, session: Session): Failure {
  const { by, command } = settled;
  const reply = session.mask(replyText(by));
  const reason = saidText(session.server, reply, command);
  const dsn = replyDsn(by);
  const class_ = Math.floor(by.code / 100);
  // RFC 821 calls x0z syntax: who answers so may be out of step, or has not understood us.
  if (class_ < 4 || class_ > 5 || by.code === 555 || (by.code >= 500 && by.code < 510)) session.sour = true;
  if (dsn.startsWith("2")) return { dsn: "5.5.0", reason: `Protocol error: ${reason}`, reply, about: "message" };
  return { dsn, reason, reply, about: "message" };
}

function broken({ why, stage }: NonNullable<TransferEnd["broken"]>, server: string): Failure {
  if (why === "unreadable") return ownFailure("4.3.0", "unreadable mail queue entry", "message");
  if (why === "unchecked") return ownFailure("4.3.0", `local data error while talking to ${server}`, "message");
  const { dsn, reason } = breakText(why, server, stage);
  return ownFailure(dsn, reason);
}

/** What belongs into the log beside the recipients' lines. */
export function logRemarks(end: TransferEnd, session: Session, id: string, conf: SmtpConf, log: Log): void {
  for (const line of end.junk)
    log.warning(`${id}: non-ESMTP response from ${session.relay}: ${session.mask(line).slice(0, 100)}`);
  if (end.checkError !== undefined) {
    for (const line of end.checkError.split("\n")) log.warning(line);
    log.warning(`${id}: smtp header or body checks lookup error`);
  }
  if (end.folded) log.info(`${id}: breaking line > ${conf.smtp_line_length_limit} bytes with <CR><LF>SPACE`);
}
