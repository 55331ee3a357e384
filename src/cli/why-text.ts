import { explain } from "../advice/explain.ts";
import type { Explanation } from "../advice/explanation.ts";
import { pending } from "../queue/message.ts";
import { type AttemptRun, attemptRuns, type LogStory } from "./log-story.ts";
import type { MessageHistory } from "./message-history.ts";
import type { Paint } from "./paint.ts";
import { countText, durationText, momentText, numberText, printable, untilText, wrapped } from "./plain-time.ts";
import { nextHopOf } from "./status-text.ts";

export interface WhyStyle {
  readonly paint: Paint;
  readonly zone: (time_ms: number) => number;
  readonly now_ms: number;
}

const shownRecipients = 10;
const shownRuns = 40;

/** The life of one message, in plain words: where it came from, every attempt, where it is now, and what would help. */
export function whyText(history: MessageHistory, style: WhyStyle): string {
  const lines = [
    style.paint.strong(`message ${history.id}`),
    ...beginning(history, style),
    ...attempts(history, style),
    ...ending(history, style),
  ];
  return `${lines.join("\n")}\n`;
}

function beginning({ log, queued }: MessageHistory, style: WhyStyle): string[] {
  const envelope = queued?.envelope;
  const sender = envelope?.sender ?? log?.sender;
  const size = envelope?.size_bytes ?? log?.size_bytes;
  const recipients = envelope?.recipients.length ?? log?.recipients;
  const came = envelope ? momentText(envelope.arrival_ms, style.now_ms, style.zone) : log?.came;
  const facts = [
    ...(sender === undefined ? [] : [sender === "" ? "from nobody (a notification)" : `from <${printable(sender)}>`]),
    ...(size === undefined ? [] : [countText(size, "byte")]),
    ...(recipients === undefined ? [] : [`for ${countText(recipients, "recipient")}`]),
  ];
  const lines = facts.length > 0 ? [`  ${facts.join(", ")}`] : [];
  if (came !== undefined) lines.push(`  came ${came}${originText(log, queued?.envelope.origin.client)}`);
  if (log?.messageId) lines.push(`  Message-ID: ${printable(log.messageId)}`);
  return lines;
}

function originText(log: LogStory | undefined, client: string | undefined): string {
  const [, uid] = /^uid=(\d+)/.exec(log?.origin ?? "") ?? [];
  if (uid !== undefined) return `, from a program on this host (user id ${uid})`;
  const [, host] = /^client=([^,]+)/.exec(log?.origin ?? "") ?? [];
  const [, user] = /sasl_username=(\S+)/.exec(log?.origin ?? "") ?? [];
  const name = host ?? (client === "" ? undefined : client);
  if (name === undefined) return "";
  return `, by SMTP from ${printable(name)}${user === undefined ? "" : `, logged in as ${printable(user)}`}`;
}

function attempts({ log, queued }: MessageHistory, style: WhyStyle): string[] {
  const runs = attemptRuns(log?.attempts ?? []);
  if (runs.length > 0) {
    const lines = ["", style.paint.strong("what happened to it:")];
    const explained = new Set<string>();
    const shown = runs.slice(-shownRuns);
    if (runs.length > shown.length)
      lines.push(`  (${numberText(runs.length - shown.length)} earlier ones are left out)`);
    for (const run of shown) lines.push(...runLines(run, explained, style));
    if (log && log.skipped > 0) lines.push(`  (${numberText(log.skipped)} attempts are left out)`);
    return lines;
  }
  const tried = queued?.envelope.recipients.filter(({ reason }) => reason) ?? [];
  if (tried.length === 0) return [];
  const lines = ["", style.paint.strong("what the last attempt said:")];
  const explained = new Set<string>();
  for (const { address, reason = "", dsn } of tried.slice(0, shownRecipients)) {
    lines.push(`  ${printable(address)}`, `      ${printable(reason)}`, ...once(explain(reason, dsn), explained));
  }
  return lines;
}

const outcomes: Readonly<Record<string, string>> = {
  sent: "delivered",
  deferred: "put off",
  bounced: "given up",
  expired: "given up",
  SOFTBOUNCE: "refused, and kept (soft_bounce)",
};

function runLines({ first, last, count }: AttemptRun, explained: Set<string>, style: WhyStyle): string[] {
  const outcome = outcomes[last.status] ?? last.status;
  const paint =
    last.status === "sent" ? style.paint.good : last.status === "deferred" ? style.paint.doubtful : style.paint.bad;
  const when = count === 1 ? first.time : `${first.time} to ${last.time}, ${numberText(count)} times`;
  const where = last.relay === "none" ? "" : ` by ${printable(last.relay)}`;
  const lines = [
    `  ${when}: ${printable(last.recipient)} ${paint(outcome)}${where}`,
    `      ${printable(last.reason)}`,
  ];
  if (last.status === "sent") return lines;
  return [...lines, ...once(explain(last.reason, last.dsn), explained)];
}

/** What is said once need not be said again. */
function once(explanation: Explanation | undefined, explained: Set<string>): string[] {
  if (!explanation || explained.has(explanation.code)) return [];
  explained.add(explanation.code);
  return [...wrapped(explanation.meaning, "      "), ...wrapped(`What helps: ${explanation.remedy}`, "      ")];
}

function ending(history: MessageHistory, style: WhyStyle): string[] {
  const { log, queued } = history;
  const lines = ["", style.paint.strong(queued ? "now:" : "then:")];
  for (const { time, text } of log?.events ?? []) lines.push(`  ${time}: ${eventText(text)}`);
  if (queued) lines.push(...waitingLines(history, style));
  else if (log && !log.events.some(({ text }) => text === "removed")) {
    lines.push("  it is not in the queue, and the log that was read does not say how it left");
  }
  return lines;
}

/** The words of the log, where they are not plain. */
function eventText(text: string): string {
  if (text === "removed") return "it left the queue: nothing more was to be done, or an operator removed it";
  if (/status=(?:force-)?expired/.test(text))
    return "it was returned to its sender: it had waited too long, or an operator asked for that";
  const [, notification] = /^sender .*notification: (\S+)$/.exec(text) ?? [];
  if (notification !== undefined) return `its sender was told, with message ${printable(notification)}`;
  return printable(text);
}

function waitingLines({ queued, others, destination }: MessageHistory, style: WhyStyle): string[] {
  if (!queued) return [];
  const { queue, envelope, nextAttempt_ms, destination: key } = queued;
  const { now_ms, zone } = style;
  const left = pending(envelope);
  const names = left.slice(0, shownRecipients).map(({ address }) => printable(address));
  const more = left.length > names.length ? `, and ${numberText(left.length - names.length)} more` : "";
  const age = durationText(now_ms - envelope.arrival_ms);
  const lines = [`  still to be delivered to ${names.join(", ")}${more}; it has been here for ${age}`];
  const to = key === "" ? "" : ` to ${printable(nextHopOf(key))}`;
  if (queue === "hold") lines.push("  it is held: nothing is tried until postsuper -H releases it");
  else if (queue === "active") lines.push(`  it is being delivered${to}, or waits for its turn`);
  else if (queue === "corrupt") lines.push("  it cannot be read, and was set aside");
  else
    lines.push(
      `  the next attempt${to} is ${nextAttempt_ms <= now_ms ? "due now" : untilText(nextAttempt_ms, now_ms, zone)}`,
    );
  if (envelope.expired)
    lines.push("  it goes back to its sender at the next attempt, since an operator asked for that");
  const suspension = destination?.suspension;
  if (suspension) {
    lines.push(`  its destination is left alone; tried again ${untilText(suspension.until_ms, now_ms, zone)}, since:`);
    lines.push(`      ${printable(suspension.reason)}`);
  }
  if (others > 0)
    lines.push(`  ${countText(others, "other message")} wait${others === 1 ? "s" : ""} for the same destination`);
  if (queue === "deferred") lines.push(`  to try it now: postqueue -i ${envelope.id}`);
  return lines;
}
