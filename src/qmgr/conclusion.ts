import type { RecipientResult } from "../queue/delivery.ts";
import type { Envelope } from "../queue/message.ts";
import type { RecipientOutcome } from "../queue/store.ts";
import { backoff_ms, isExpired, isWarningDue } from "./backoff.ts";
import type { QmgrConf } from "./params.ts";

/** What an attempt's results mean for a message. */
export interface Conclusion {
  readonly outcomes: readonly RecipientOutcome[];
  readonly nextAttempt_ms: number;
  /** It has been tried long enough, or somebody asked for its return: what was deferred is given up. */
  readonly expired: "expired" | "force-expired" | undefined;
  /** Results to notify of, before NOTIFY and the kind of sender are looked at. */
  readonly failures: readonly RecipientResult[];
  readonly delays: readonly RecipientResult[];
  readonly successes: readonly RecipientResult[];
}

/**
 * Pure. `partial`: not every pending recipient was tried, because we are being
 * replaced; the rest is due at once, and nothing is given up for its age.
 */
export function conclude(
  envelope: Envelope,
  results: readonly RecipientResult[],
  now_ms: number,
  conf: QmgrConf,
  partial: boolean,
): Conclusion {
  const outcomes = results.map(outcomeOf);
  const successes = results.filter((result) => wantsSuccess(envelope, result, conf));
  const refused = results.filter(({ status }) => status === "bounced");
  const deferred = results.filter(({ status }) => status === "deferred");
  const common = { outcomes, successes, failures: refused, delays: none, expired: undefined };
  if (partial || deferred.length === 0) return { ...common, nextAttempt_ms: now_ms };
  const expired = envelope.expired ? "force-expired" : isExpired(envelope, now_ms, conf) ? "expired" : undefined;
  if (expired) {
    const given = outcomes.map((each) => (each.status === "pending" ? { ...each, status: "bounced" as const } : each));
    return { ...common, expired, outcomes: given, failures: [...refused, ...deferred], nextAttempt_ms: now_ms };
  }
  const delays = isWarningDue(envelope, now_ms, conf) ? deferred : none;
  return { ...common, delays, nextAttempt_ms: now_ms + backoff_ms(envelope.arrival_ms, now_ms, conf) };
}

const none: readonly RecipientResult[] = [];

export function outcomeOf({ index, status, reason, dsn }: RecipientResult): RecipientOutcome {
  return { index, status: status === "deferred" ? "pending" : status, reason, dsn };
}

/** SUCCESS was asked for and the next server will not report it; or a delay warning is to be taken back. */
export function wantsSuccess(envelope: Envelope, { index, status, reports }: RecipientResult, conf: QmgrConf): boolean {
  if (status !== "sent") return false;
  const notify = envelope.recipients[index]?.notify;
  if (notify?.includes("SUCCESS")) return reports !== undefined;
  return conf.confirm_delay_cleared && envelope.warned && (notify === undefined || notify.includes("DELAY"));
}
