import type { Destination, Suspension } from "./destination.ts";
import type { Lane } from "./lane.ts";
import type { RefusedLogin } from "./refused-logins.ts";

/** What a scheduler hands to its successor at a reload: plain data, so that it can cross a channel. */
export interface SchedulerState {
  readonly destinations: readonly DestinationState[];
  /** Transports that pause for their rate delay. A predecessor of an earlier version does not tell. */
  readonly transports?: readonly { readonly name: string; readonly pausedUntil_ms: number }[];
  /** Destinations that refuse our login. A predecessor of an earlier version does not tell when it was last so. */
  readonly refused: readonly (readonly [key: string, reason: string, seen_ms?: number])[];
}

export interface DestinationState {
  readonly key: string;
  readonly transport: string;
  readonly nexthop: string;
  readonly suspension: Suspension | undefined;
  /** End of a rate delay: milliseconds since the epoch, at the latest. */
  readonly pausedUntil_ms: number | undefined;
}

/** More than this is not handed over: it is found out again. */
export const maxHandedOver = 10_000;

export function stateOf(
  destinations: Iterable<Destination>,
  lanes: Iterable<Lane>,
  logins: readonly RefusedLogin[],
  now_ms: number,
): SchedulerState {
  const states: DestinationState[] = [];
  for (const { key, route, suspension, pausedUntil_ms: until_ms, busy, lane } of destinations) {
    const pausedUntil_ms = pauseEnd(until_ms, busy, lane.limits.rateDelay_ms, now_ms);
    if (!suspension && pausedUntil_ms === undefined) continue;
    states.push({ key, ...route, suspension, pausedUntil_ms });
    if (states.length >= maxHandedOver) break;
  }
  const transports = [];
  for (const { name, limits, busy, pausedUntil_ms: until_ms } of lanes) {
    const pausedUntil_ms = pauseEnd(until_ms, busy, limits.transportDelay_ms, now_ms);
    if (pausedUntil_ms !== undefined) transports.push({ name, pausedUntil_ms });
  }
  const refused = logins.map(({ key, reason, seen_ms }) => [key, reason, seen_ms] as const);
  return { destinations: states, transports, refused };
}

/** What is under way ends with us, and its pause would begin then: it is begun now, at the latest. */
function pauseEnd(until_ms: number | undefined, busy: number, delay_ms: number, now_ms: number): number | undefined {
  if (delay_ms === 0) return undefined;
  return busy > 0 ? now_ms + delay_ms : until_ms;
}
