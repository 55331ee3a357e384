import { explain } from "../advice/explain.ts";
import type { Explanation } from "../advice/explanation.ts";
import { nextHopOf, type StatusState } from "./status-text.ts";

/** `postern status --json`; docs/status.md describes it. Times are ISO 8601, or null. Fields may be added, and none changes its meaning. */
export function statusReport({ running, master, relay, survey, now_ms }: StatusState): object {
  const scheduler = relay?.scheduler;
  return {
    time: iso(now_ms),
    running,
    master: master ?? null,
    counts: relay?.counts ?? survey?.counts ?? null,
    relay: scheduler
      ? {
          sessions: relay.sessions,
          deliveries: scheduler.inHand,
          since: iso(scheduler.traffic?.since_ms),
          accepted: scheduler.traffic?.accepted ?? null,
          sent: scheduler.traffic?.sent ?? null,
          deferred: scheduler.traffic?.deferred ?? null,
          bounced: scheduler.traffic?.bounced ?? null,
        }
      : null,
    refusedLogins: (scheduler?.refusedLogins ?? []).map(({ key, reason, seen_ms }) => ({
      destination: key,
      nexthop: nextHopOf(key),
      ...because(reason, undefined),
      seen: iso(seen_ms),
      until: iso(scheduler?.destinations.find((each) => each.key === key)?.suspension?.until_ms),
    })),
    suspended: (scheduler?.destinations ?? []).flatMap(({ key, nexthop, suspension }) =>
      suspension
        ? [
            {
              destination: key,
              nexthop,
              ...because(suspension.reason, suspension.dsn),
              until: iso(suspension.until_ms),
            },
          ]
        : [],
    ),
    suspendedCount: scheduler?.suspendedCount ?? 0,
    busy: (scheduler?.destinations ?? [])
      .filter(({ suspension }) => !suspension)
      .map(({ key, nexthop, busy, concurrency, waiting }) => ({
        destination: key,
        nexthop,
        deliveries: busy,
        concurrency,
        waiting,
      })),
    queue: survey
      ? survey.groups.map(({ destination, name, messages, recipients, held, oldest_ms, next_ms, reasons }) => ({
          destination: destination === "" ? null : destination,
          name,
          messages,
          recipients,
          held,
          oldest: iso(oldest_ms),
          next: iso(next_ms),
          reasons: reasons.map((each) => ({ recipients: each.recipients, ...said(each.reason, each.explanation) })),
        }))
      : null,
    elsewhere: survey?.elsewhere ?? 0,
  };
}

const iso = (time_ms: number | undefined): string | null =>
  time_ms === undefined ? null : new Date(time_ms).toISOString();

const because = (reason: string, dsn: string | undefined): object => said(reason, explain(reason, dsn));

/** A reason with what it means, as every command's JSON has it. */
export function said(reason: string, explanation: Explanation | undefined): object {
  const { code = null, meaning = null, remedy = null, act = null } = explanation ?? {};
  return { reason, code, meaning, remedy, act };
}
