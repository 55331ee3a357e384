import type { Destination, Suspension } from "./destination.ts";
import type { RefusedLogin } from "./refused-logins.ts";
import type { TrafficFigures } from "./traffic.ts";

/** What the scheduler is doing, for status and the dashboard. */
export interface SchedulerFigures {
  /** Messages in the active set. */
  readonly active: number;
  /** Deliveries that transports are working on. */
  readonly inHand: number;
  /** Outcomes on their way to the store. */
  readonly settling: number;
  /** The busiest, and those that are suspended: at most maxShown. */
  readonly destinations: readonly DestinationFigures[];
  readonly destinationCount: number;
  readonly suspendedCount: number;
  /** Destinations that refuse our login, suspended at the moment or not: at most maxShown. */
  readonly refusedLogins: readonly RefusedLogin[];
  readonly traffic: TrafficFigures;
}

export interface DestinationFigures {
  readonly key: string;
  readonly transport: string;
  readonly nexthop: string;
  readonly busy: number;
  /** How many deliveries it is thought to bear at once: 0 while suspended. */
  readonly concurrency: number;
  /** Messages that wait for it in memory. */
  readonly waiting: number;
  readonly suspension: Suspension | undefined;
}

const maxShown = 1000;

export function describe(scheduler: {
  readonly active: number;
  readonly inHand: number;
  readonly settling: number;
  readonly destinations: Iterable<Destination>;
  readonly refusedLogins: readonly RefusedLogin[];
  readonly traffic: TrafficFigures;
}): SchedulerFigures {
  const all = [...scheduler.destinations];
  const isSuspended = ({ suspension }: Destination) => (suspension ? 1 : 0);
  const suspendedCount = all.filter(isSuspended).length;
  if (all.length > maxShown) all.sort((a, b) => isSuspended(b) - isSuspended(a) || b.load - a.load);
  const destinations = all
    .slice(0, maxShown)
    .map(({ key, route, busy, tickets, waiting, concurrency, suspension }) => ({
      key,
      ...route,
      busy,
      concurrency: concurrency.window,
      waiting: tickets + waiting.length,
      suspension,
    }));
  const { active, inHand, settling, traffic } = scheduler;
  const refusedLogins = scheduler.refusedLogins.slice(0, maxShown);
  const destinationCount = all.length;
  return { active, inHand, settling, destinations, destinationCount, suspendedCount, refusedLogins, traffic };
}
