import type { RecipientResult } from "../queue/delivery.ts";
import type { Envelope } from "../queue/message.ts";
import { decodeXtext } from "../rfc5321/xtext.ts";
import { formatDate } from "../rfc5322/date.ts";
import type { BounceConf } from "./params.ts";
import type { Planned } from "./plan.ts";
import { type TemplateFacts, templates } from "./templates.ts";
import { printable, wrapLine } from "./wrap.ts";

/**
 * The text of a notification: a multipart/report (RFC 6522) of words for
 * people, a delivery status (RFC 3464; its global form RFC 6533), and what
 * comes back of the original. Pure: lines without their ends.
 */
export interface ReportFacts {
  readonly conf: BounceConf;
  readonly envelope: Envelope;
  readonly planned: Planned;
  /** Where it goes, complete. */
  readonly to: string;
  /** The fields From: and To:, in lines. */
  readonly fromField: readonly string[];
  readonly toField: readonly string[];
  readonly id: string;
  readonly messageId: string;
  readonly boundary: string;
  readonly now_ms: number;
  readonly zoneOffset_min: number;
  /** What really comes back: the header alone where the message is too large. */
  readonly original: "FULL" | "HDRS";
}

export function headerLines(facts: ReportFacts): string[] {
  const { conf, envelope, planned, fromField, toField, id, messageId, boundary, now_ms, zoneOffset_min } = facts;
  const { subject, postmasterSubject } = templates[planned.kind];
  const date = formatDate(now_ms, zoneOffset_min);
  return [
    `Received: by ${conf.myhostname} (${conf.mail_name})`,
    `\tid ${id}; ${date}`,
    `Date: ${date}`,
    ...fromField,
    `Subject: ${planned.copy ? postmasterSubject : subject}`,
    ...toField,
    `Auto-Submitted: ${planned.copy ? "auto-generated" : "auto-replied"}`,
    "MIME-Version: 1.0",
    "Content-Type: multipart/report; report-type=delivery-status;",
    `\tboundary="${boundary}"`,
    `Content-Transfer-Encoding: ${encoding(conf, envelope)}`,
    `Message-Id: ${messageId}`,
  ];
}

/** From the empty line behind the header up to where the original begins; in parts, since thousands of recipients may have failed. */
export function* reportLines(facts: ReportFacts): Generator<readonly string[]> {
  yield ["", "This is a MIME-encapsulated message.", ...wordsHead(facts)];
  for (const result of facts.planned.results) yield recipientWords(result, facts);
  yield statusHead(facts);
  for (const result of facts.planned.results) yield recipientStatus(result, facts);
  yield [...originalPart(facts), `Return-Path: <${senderOf(facts)}>`];
}

export function closingLines({ boundary }: ReportFacts): string[] {
  return ["", `--${boundary}--`];
}

function encoding({ smtputf8_enable }: BounceConf, { eightBit }: Envelope): "8bit" | "7bit" {
  return smtputf8_enable || eightBit ? "8bit" : "7bit";
}

/** What the texts of notifications depend on. */
export type TemplateConf = Pick<BounceConf, "myhostname" | "delay_warning_time" | "maximal_queue_lifetime">;

export function templateFacts(conf: TemplateConf): TemplateFacts {
  return {
    myhostname: conf.myhostname,
    delayWarning_h: Math.floor(conf.delay_warning_time / 3600),
    lifetime_d: Math.floor(conf.maximal_queue_lifetime / 86400),
  };
}

function wordsHead({ conf, envelope, planned, boundary }: ReportFacts): string[] {
  const eight = encoding(conf, envelope) === "8bit";
  return [
    "",
    `--${boundary}`,
    "Content-Description: Notification",
    `Content-Type: text/plain; charset=${eight ? "utf-8" : "us-ascii"}`,
    ...(eight ? ["Content-Transfer-Encoding: 8bit"] : []),
    "",
    ...(planned.copy ? [] : templates[planned.kind].text(templateFacts(conf))),
  ];
}

function recipientWords(result: RecipientResult, { envelope, conf, planned: { kind } }: ReportFacts): string[] {
  const { address, original } = addressesOf(envelope, result.index);
  const expanded = original.toLowerCase() === address.toLowerCase() ? "" : ` (expanded from <${original}>)`;
  return ["", ...wrapLine(printable(`<${address}>${expanded}: ${reasonOf(result, kind)}`, conf.smtputf8_enable))];
}

function reasonOf({ reason, remoteHost }: RecipientResult, kind: Planned["kind"]): string {
  if (kind === "success" && remoteHost !== "") return `delivery via ${remoteHost}: ${reason}`;
  return reason || "(description unavailable)";
}

function addressesOf(envelope: Envelope, index: number): { address: string; original: string } {
  const recipient = envelope.recipients[index];
  const address = recipient?.address || "MAILER-DAEMON";
  return { address, original: recipient?.original || address };
}

function statusHead({ conf, envelope, boundary, zoneOffset_min }: ReportFacts): string[] {
  const global = envelope.smtputf8;
  const name = extensionName(conf);
  const sender = senderOf({ conf, envelope });
  const envid = envelope.envid === undefined ? undefined : (decodeXtext(envelope.envid) ?? envelope.envid);
  return [
    "",
    `--${boundary}`,
    "Content-Description: Delivery report",
    `Content-Type: message/${global ? "global-" : ""}delivery-status`,
    ...(global ? [`Content-Transfer-Encoding: ${encoding(conf, envelope)}`] : []),
    "",
    `Reporting-MTA: dns; ${conf.myhostname}`,
    ...(envid ? [`Original-Envelope-Id: ${printable(envid, false)}`] : []),
    `${name}-Queue-ID: ${envelope.id}`,
    `${name}-Sender: ${addressType(sender, global)}; ${sender}`,
    `Arrival-Date: ${formatDate(envelope.arrival_ms, zoneOffset_min)}`,
  ];
}

function extensionName({ mail_name }: BounceConf): string {
  return `X-${mail_name.replace(/[\s()<>@,;:\\".[\]]/g, "-")}`;
}

function recipientStatus(result: RecipientResult, { conf, envelope, planned, zoneOffset_min }: ReportFacts): string[] {
  const name = extensionName(conf);
  const { address } = addressesOf(envelope, result.index);
  const { kind } = planned;
  const action = kind === "failure" ? "failed" : kind === "delay" ? "delayed" : (result.reports ?? "delivered");
  const { remoteHost, remoteReply } = result;
  const diagnostic = remoteReply ? `smtp; ${remoteReply}` : `${name}; ${result.reason}`;
  const wrapped = (text: string) => wrapLine(printable(text, conf.smtputf8_enable));
  const until_ms = envelope.arrival_ms + conf.maximal_queue_lifetime * 1000;
  return [
    "",
    `Final-Recipient: ${addressType(address, envelope.smtputf8)}; ${printable(address, true)}`,
    `Original-Recipient: ${originalRecipient(envelope, result.index)}`,
    `Action: ${action}`,
    `Status: ${result.dsn}`,
    ...(remoteHost === "" ? [] : wrapped(`Remote-MTA: dns; ${remoteHost}`)),
    ...wrapped(`Diagnostic-Code: ${diagnostic}`),
    ...(kind === "delay" ? [`Will-Retry-Until: ${formatDate(until_ms, zoneOffset_min)}`] : []),
  ];
}

/** What the sender gave as ORCPT, or else the address as it came in: it helps more than none. */
function originalRecipient(envelope: Envelope, index: number): string {
  const { orcpt } = envelope.recipients[index] ?? {};
  if (orcpt === undefined) {
    const { original } = addressesOf(envelope, index);
    return `${addressType(original, envelope.smtputf8)};${printable(original, true)}`;
  }
  const semicolon = orcpt.indexOf(";");
  const coded = orcpt.slice(semicolon + 1);
  return printable(`${orcpt.slice(0, semicolon + 1)}${decodeXtext(coded) ?? coded}`, true);
}

/** RFC 6533 section 3: an address that is not ASCII has a type of its own. */
function addressType(address: string, smtputf8: boolean): "utf-8" | "rfc822" {
  return smtputf8 && /[^\x00-\x7f]/.test(address) ? "utf-8" : "rfc822";
}

function senderOf({ conf, envelope }: Pick<ReportFacts, "conf" | "envelope">): string {
  return printable(envelope.sender || `MAILER-DAEMON@${conf.myhostname}`, true);
}

function originalPart({ conf, envelope, planned, boundary, original }: ReportFacts): string[] {
  const whole = original === "FULL";
  const types = envelope.smtputf8
    ? { FULL: "message/global", HDRS: "message/global-headers" }
    : { FULL: "message/rfc822", HDRS: "text/rfc822-headers" };
  return [
    "",
    `--${boundary}`,
    `Content-Description: ${planned.kind === "success" ? "" : "Undelivered "}${whole ? "Message" : "Message Headers"}`,
    `Content-Type: ${types[original]}`,
    ...(encoding(conf, envelope) === "8bit" ? ["Content-Transfer-Encoding: 8bit"] : []),
    "",
  ];
}
