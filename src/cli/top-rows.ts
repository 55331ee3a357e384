import type { DestinationTraffic } from "../qmgr/traffic.ts";
import { nextHopOf, type RelayStatus } from "./status-text.ts";

/** A destination, as `postern top` shows it. */
export interface TopRow {
  readonly key: string;
  readonly nexthop: string;
  readonly busy: number;
  readonly concurrency: number;
  readonly waiting: number;
  readonly sentPerSecond: number;
  readonly latency_ms: number | undefined;
  readonly state: string;
  readonly refused: boolean;
  readonly until_ms: number | undefined;
  readonly lastError: DestinationTraffic["lastError"];
}

/** Those that refuse our login, then those that are left alone, then the busiest, then those that were at work lately. */
export function topRows({ scheduler }: RelayStatus, before: RelayStatus | undefined, seconds: number): TopRow[] {
  const traffic = new Map((scheduler.traffic?.destinations ?? []).map((each) => [each.key, each]));
  const earlier = new Map((before?.scheduler.traffic?.destinations ?? []).map((each) => [each.key, each]));
  const refused = new Map(
    scheduler.refusedLogins.map(({ key, reason, seen_ms }) => [key, { dsn: "", reason, seen_ms }]),
  );
  const working = new Map(scheduler.destinations.map((each) => [each.key, each]));
  const keys = new Set([...working.keys(), ...refused.keys(), ...traffic.keys()]);
  const rows = [...keys].map((key): TopRow => {
    const seen = traffic.get(key);
    const was = earlier.get(key);
    const { busy = 0, concurrency = 0, waiting = 0, suspension } = working.get(key) ?? {};
    const sent = seen && was && seconds > 0 ? Math.max(0, seen.sent - was.sent) / seconds : 0;
    const isRefused = refused.has(key);
    const idle = busy + waiting === 0;
    return {
      ...{
        key,
        nexthop: nextHopOf(key),
        busy,
        concurrency,
        waiting,
        sentPerSecond: sent,
        latency_ms: seen?.latency_ms,
      },
      state: isRefused ? "login refused" : suspension ? "suspended" : idle ? "idle" : "working",
      refused: isRefused,
      until_ms: suspension?.until_ms,
      lastError: seen?.lastError ?? refused.get(key),
    };
  });
  const rank = (row: TopRow): number =>
    row.refused ? 0 : row.state === "suspended" ? 1 : row.state === "working" ? 2 : 3;
  return rows.sort(
    (a, b) => rank(a) - rank(b) || b.busy + b.waiting - (a.busy + a.waiting) || (a.key < b.key ? -1 : 1),
  );
}
