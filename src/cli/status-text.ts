import { explain } from "../advice/explain.ts";
import type { Explanation } from "../advice/explanation.ts";
import type { DestinationFigures, SchedulerFigures } from "../qmgr/figures.ts";
import type { QueueCounts } from "../queue/store.ts";
import type { Paint } from "./paint.ts";
import { countText, durationText, momentText, numberText, printable, untilText, wrapped } from "./plain-time.ts";
import type { Survey, SurveyGroup } from "./queue-survey.ts";

/** What a relay says of itself over its socket (src/relay/control-ports.ts). */
export interface RelayStatus {
  readonly counts: QueueCounts;
  readonly sessions: number;
  /** A relay that runs since before an upgrade may not tell of its traffic. */
  readonly scheduler: Omit<SchedulerFigures, "traffic"> & Partial<Pick<SchedulerFigures, "traffic">>;
}

export interface StatusState {
  readonly running: boolean;
  /** What the master says of itself. */
  readonly master: string | undefined;
  readonly relay: RelayStatus | undefined;
  readonly survey: Survey | undefined;
  readonly now_ms: number;
}

interface StatusStyle {
  readonly paint: Paint;
  readonly zone: (time_ms: number) => number;
}

/** How many of each kind are shown. */
const shown = 20;
const shownReasons = 3;

/** What needs an administrator first, then what is left alone for a while, then what waits, then what is under way. */
export function statusText(state: StatusState, style: StatusStyle): string {
  const { relay, survey } = state;
  const counts = relay?.counts ?? survey?.counts;
  if (!counts || (!state.running && total(counts) === 0)) return "";
  const lines = [countsLine(counts)];
  if (relay) lines.push(...trafficLines(relay));
  else if (!state.running)
    lines.push("this is what the queue on disk holds; nothing is delivered until the mail system runs");
  if (relay) lines.push(...refusedLines(relay, state, style), ...suspendedLines(relay, state, style));
  if (survey) lines.push(...waitingLines(survey, state, style));
  if (relay) lines.push(...busyLines(relay, style));
  return `${lines.join("\n")}\n`;
}

const total = ({ active, deferred, hold, corrupt }: QueueCounts): number => active + deferred + hold + corrupt;

function countsLine({ active, deferred, hold, corrupt }: QueueCounts): string {
  const bad = corrupt > 0 ? `, ${corrupt} that cannot be read` : "";
  return `queue: ${active} active, ${deferred} deferred, ${hold} held${bad}`;
}

function trafficLines({ sessions, scheduler }: RelayStatus): string[] {
  const underWay = `sessions in: ${sessions}; deliveries under way: ${scheduler.inHand}`;
  if (!scheduler.traffic) return [underWay];
  const { accepted, sent, deferred, bounced } = scheduler.traffic;
  return [
    underWay,
    `in the last minute: ${countText(accepted.lastMinute, "message")} in; ${countText(sent.lastMinute, "recipient")} sent, ` +
      `${numberText(deferred.lastMinute)} put off, ${numberText(bounced.lastMinute)} given up`,
  ];
}

const heading = (text: string, { paint }: StatusStyle): string[] => ["", paint.strong(text)];

export const nextHopOf = (key: string): string => key.slice(key.indexOf(":") + 1);

/** What waits for a destination, as far as the queue was looked through. */
const groupOf = (survey: Survey | undefined, key: string): SurveyGroup | undefined =>
  survey?.groups.find(({ destination }) => destination === key);

function refusedLines({ scheduler }: RelayStatus, state: StatusState, style: StatusStyle): string[] {
  const { refusedLogins, destinations } = scheduler;
  if (refusedLogins.length === 0) return [];
  const lines = heading("our login is refused, which somebody has to mend:", style);
  for (const { key, reason } of refusedLogins.slice(0, shown)) {
    const suspension = destinations.find((each) => each.key === key)?.suspension;
    lines.push(
      `  ${style.paint.bad(printable(nextHopOf(key)))}${waitingText(groupOf(state.survey, key), state.now_ms)}`,
    );
    lines.push(...becauseLines(reason, groupOf(state.survey, key)));
    if (suspension)
      lines.push(
        `    tried again ${untilText(suspension.until_ms, state.now_ms, style.zone)}, or when the login changes`,
      );
  }
  return [...lines, ...moreLine(refusedLogins.length - shown)];
}

function suspendedLines({ scheduler }: RelayStatus, state: StatusState, style: StatusStyle): string[] {
  const { refusedLogins, destinations, suspendedCount } = scheduler;
  const refusing = new Set(refusedLogins.map(({ key }) => key));
  const suspended = destinations.filter(({ key, suspension }) => suspension && !refusing.has(key));
  if (suspended.length === 0) return [];
  const lines = heading("left alone for a while, since deliveries fail:", style);
  for (const { key, nexthop, suspension } of suspended.slice(0, shown)) {
    const group = groupOf(state.survey, key);
    lines.push(`  ${style.paint.doubtful(printable(nexthop))}${waitingText(group, state.now_ms)}`);
    if (!suspension) continue;
    lines.push(...becauseLines(suspension.reason, group));
    lines.push(`    tried again ${untilText(suspension.until_ms, state.now_ms, style.zone)}`);
  }
  return [...lines, ...moreLine(suspendedCount - refusedLogins.length - Math.min(suspended.length, shown))];
}

const moreLine = (count: number): string[] => (count > 0 ? [`  and ${numberText(count)} more`] : []);

function waitingText(group: SurveyGroup | undefined, now_ms: number): string {
  if (!group) return "";
  return `: ${countText(group.messages, "message")}, the oldest ${durationText(now_ms - group.oldest_ms)} old`;
}

/** The reason, what it means, and what helps: unless the same stands below, with what waits. */
function becauseLines(reason: string, group: SurveyGroup | undefined): string[] {
  const explanation = explain(reason);
  const below = group?.reasons.slice(0, shownReasons).some((each) => each.explanation?.code === explanation?.code);
  return [`    ${printable(reason)}`, ...(below ? [] : explanationLines(explanation, "    "))];
}

function explanationLines(explanation: Explanation | undefined, indent: string): string[] {
  if (!explanation) return [];
  return [...wrapped(explanation.meaning, indent), ...wrapped(`What helps: ${explanation.remedy}`, indent)];
}

function waitingLines(survey: Survey, state: StatusState, style: StatusStyle): string[] {
  const { groups, elsewhere } = survey;
  if (groups.length === 0) return [];
  const lines = heading("in the queue, by destination:", style);
  for (const group of groups.slice(0, shown)) lines.push(...groupLines(group, state, style));
  const more = groups.slice(shown);
  const messages = more.reduce((sum, each) => sum + each.messages, elsewhere);
  if (messages > 0)
    lines.push(`  and ${countText(messages, "message")} for ${numberText(more.length)} more destinations`);
  return lines;
}

function groupLines(group: SurveyGroup, { now_ms }: StatusState, style: StatusStyle): string[] {
  const { name, destination, messages, recipients, held, next_ms, oldest_ms, reasons } = group;
  const to = destination === "" ? `mail for ${printable(name)}` : printable(name);
  const facts = [
    countText(messages, "message"),
    ...(recipients > messages ? [countText(recipients, "recipient")] : []),
    ...(held > 0 ? [`${numberText(held)} held`] : []),
    `oldest since ${momentText(oldest_ms, now_ms, style.zone)} (${durationText(now_ms - oldest_ms)})`,
    ...(next_ms === undefined ? [] : [`next try ${untilText(next_ms, now_ms, style.zone)}`]),
  ];
  const lines = [`  ${style.paint.strong(to)}`, ...wrapped(facts.join("; "), "    ")];
  for (const { recipients: count, reason, explanation } of reasons.slice(0, shownReasons)) {
    lines.push(`    ${numberText(count)} × ${printable(reason)}`);
    lines.push(...explanationLines(explanation, "        "));
  }
  if (reasons.length > shownReasons) lines.push(`    and ${reasons.length - shownReasons} more reasons`);
  return lines;
}

function busyLines({ scheduler }: RelayStatus, style: StatusStyle): string[] {
  const busy = scheduler.destinations.filter(({ suspension }) => !suspension);
  if (busy.length === 0) return [];
  const lines = heading("under way:", style);
  for (const each of busy.slice(0, shown)) lines.push(`  ${busyText(each)}`);
  return [...lines, ...moreLine(busy.length - shown)];
}

const busyText = ({ nexthop, busy, concurrency, waiting }: DestinationFigures): string =>
  `${printable(nexthop)}: ${busy} of ${concurrency} deliveries under way, ${countText(waiting, "message")} waiting`;
