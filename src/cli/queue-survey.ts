import { explain } from "../advice/explain.ts";
import type { Explanation } from "../advice/explanation.ts";
import { pending, type Recipient } from "../queue/message.ts";
import type { QueueCounts, QueueEntry } from "../queue/store.ts";

/** The whole queue in few words: what waits for which destination, since when, and why. */
export interface Survey {
  readonly counts: QueueCounts;
  /** Most messages first; at most `mostGroups`. */
  readonly groups: readonly SurveyGroup[];
  /** Messages for destinations that are not in `groups`. */
  readonly elsewhere: number;
}

export interface SurveyGroup {
  /** "smtp:[mail.example]:587" where the messages wait for that; "" where that is not known. */
  readonly destination: string;
  /** The next hop of that; else the recipients' domain. */
  readonly name: string;
  readonly messages: number;
  readonly recipients: number;
  readonly held: number;
  readonly oldest_ms: number;
  /** When the first of them is tried next; undefined where all are held or in delivery. */
  readonly next_ms: number | undefined;
  /** Most recipients first; at most `mostReasons`. */
  readonly reasons: readonly SurveyReason[];
}

export interface SurveyReason {
  readonly recipients: number;
  /** One of them, as it stands in the queue. */
  readonly reason: string;
  readonly explanation: Explanation | undefined;
}

const mostGroups = 1000;
const mostReasons = 20;
const mostExplained = 5000;
/** Domains of one message that are told apart. */
const mostDomains = 20;
const reason_chars = 500;

/** Takes messages one by one and keeps no more of them than counts. */
export class QueueSurvey {
  readonly #groups = new Map<string, Group>();
  readonly #explained = new Map<string, { readonly key: string; readonly explanation: Explanation | undefined }>();
  readonly #counts = { active: 0, deferred: 0, hold: 0, corrupt: 0 };
  #elsewhere = 0;

  add(entry: QueueEntry): void {
    this.#counts[entry.queue]++;
    if (entry.queue === "corrupt") return;
    const left = pending(entry.envelope);
    for (const [key, recipients] of grouped(entry.destination, left)) {
      const group = this.#groups.get(key) ?? this.#newGroup(key, entry);
      if (group) this.#count(group, entry, recipients);
      else this.#elsewhere++;
    }
  }

  result(): Survey {
    const groups = [...this.#groups.values()].sort((a, b) => b.messages - a.messages || (a.name < b.name ? -1 : 1));
    return {
      counts: { ...this.#counts },
      groups: groups.map(({ reasons, ...group }) => ({
        ...group,
        reasons: [...reasons.values()].sort((a, b) => b.recipients - a.recipients),
      })),
      elsewhere: this.#elsewhere,
    };
  }

  #newGroup(key: string, { destination }: QueueEntry): Group | undefined {
    if (this.#groups.size >= mostGroups) return undefined;
    const name = key.startsWith("@") ? key.slice(1) : key.slice(key.indexOf(":") + 1);
    const none = { messages: 0, recipients: 0, held: 0, oldest_ms: Number.POSITIVE_INFINITY, next_ms: undefined };
    const group: Group = { ...none, destination, name, reasons: new Map() };
    this.#groups.set(key, group);
    return group;
  }

  #count(group: Group, { queue, envelope, nextAttempt_ms }: QueueEntry, recipients: readonly Recipient[]): void {
    group.messages++;
    group.recipients += recipients.length;
    if (queue === "hold") group.held++;
    group.oldest_ms = Math.min(group.oldest_ms, envelope.arrival_ms);
    if (queue === "deferred") group.next_ms = Math.min(group.next_ms ?? nextAttempt_ms, nextAttempt_ms);
    for (const { reason, dsn } of recipients) if (reason) this.#reason(group, reason, dsn);
  }

  #reason({ reasons }: Group, reason: string, dsn: string | undefined): void {
    const { key, explanation } = this.#explanationOf(reason, dsn);
    const known = reasons.get(key);
    if (known) known.recipients++;
    else if (reasons.size < mostReasons) {
      reasons.set(key, { recipients: 1, reason: reason.slice(0, reason_chars), explanation });
    }
  }

  /** Texts that differ in numbers and ids only are explained once. */
  #explanationOf(reason: string, dsn: string | undefined) {
    const alike = reason.slice(0, reason_chars).replaceAll(/[0-9a-f]{6,}|\d+/gi, "#");
    const known = this.#explained.get(alike);
    if (known) return known;
    if (this.#explained.size >= mostExplained) this.#explained.clear();
    const explanation = explain(reason, dsn);
    const found = { key: explanation?.code ?? alike, explanation };
    this.#explained.set(alike, found);
    return found;
  }
}

interface Group {
  readonly destination: string;
  readonly name: string;
  messages: number;
  recipients: number;
  held: number;
  oldest_ms: number;
  next_ms: number | undefined;
  readonly reasons: Map<
    string,
    { recipients: number; readonly reason: string; readonly explanation: Explanation | undefined }
  >;
}

/** By what it waits for; where that is not known, or several, by the domains of its recipients. */
function grouped(destination: string, recipients: readonly Recipient[]): Map<string, readonly Recipient[]> {
  if (destination !== "") return new Map([[destination, recipients]]);
  const domains = new Map<string, Recipient[]>();
  for (const recipient of recipients) {
    const key = `@${recipient.address.slice(recipient.address.lastIndexOf("@") + 1).toLowerCase()}`;
    const known = domains.get(key);
    if (known) known.push(recipient);
    else if (domains.size < mostDomains) domains.set(key, [recipient]);
  }
  return domains;
}
