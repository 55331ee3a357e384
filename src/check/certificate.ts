import type { TlsFacts } from "../runtime/net.ts";

const day_ms = 24 * 60 * 60 * 1000;

/** How long a server's certificate is still valid, in days; negative when it has expired, infinite where there is none. */
export function certificateDaysLeft(facts: TlsFacts | undefined, now_ms: number): number {
  const until_ms = facts?.certificate?.validTo_ms;
  return until_ms === undefined || Number.isNaN(until_ms) ? Number.POSITIVE_INFINITY : (until_ms - now_ms) / day_ms;
}
