import type { Destination, Suspension } from "./destination.ts";

/** What a scheduler hands to its successor at a reload: plain data, so that it can cross a channel. */
export interface SchedulerState {
  readonly destinations: readonly DestinationState[];
  /** Destinations that refuse our login: key and reason. */
  readonly refused: readonly (readonly [key: string, reason: string])[];
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
  refused: ReadonlyMap<string, string>,
  now_ms: number,
): SchedulerState {
  const states: DestinationState[] = [];
  for (const { key, route, suspension, paused, busy, lane } of destinations) {
    const rateDelay_ms = lane.limits.rateDelay_ms;
    const pausedUntil_ms = paused || (busy > 0 && rateDelay_ms > 0) ? now_ms + rateDelay_ms : undefined;
    if (!suspension && pausedUntil_ms === undefined) continue;
    states.push({ key, ...route, suspension, pausedUntil_ms });
    if (states.length >= maxHandedOver) break;
  }
  return { destinations: states, refused: [...refused].slice(0, maxHandedOver) };
}
