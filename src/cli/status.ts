import type { SchedulerFigures } from "../qmgr/figures.ts";
import type { QueueCounts } from "../queue/store.ts";
import { askRelay, NotRunning } from "./control-client.ts";
import type { CommandIo } from "./io.ts";

export interface Status {
  readonly counts: QueueCounts;
  readonly sessions: number;
  readonly scheduler: SchedulerFigures;
}

/** How many destinations are shown. */
const shown = 20;

/** What the running relay is doing, for `postern status`. */
export async function printStatus(io: CommandIo, publicDirectory: string): Promise<void> {
  try {
    for await (const value of askRelay(io.runtime, `${publicDirectory}/control`, { command: "status" })) {
      io.out(statusText(value as Status));
    }
  } catch (error) {
    if (!(error instanceof NotRunning)) throw error;
    io.out("the relay is starting, or restarting\n");
  }
}

/** Destinations that need an administrator come first, then those that are suspended, then the busy ones. */
export function statusText({ counts, sessions, scheduler }: Status): string {
  const { active, deferred, hold, corrupt } = counts;
  const lines = [
    `queue: ${active} active, ${deferred} deferred, ${hold} held${corrupt > 0 ? `, ${corrupt} corrupt` : ""}`,
    `sessions in: ${sessions}; deliveries under way: ${scheduler.inHand}`,
  ];
  const { refusedLogins = [], destinations, suspendedCount } = scheduler;
  const refusing = new Set(refusedLogins.map(({ key }) => key));
  for (const { key, reason } of refusedLogins.slice(0, shown)) {
    lines.push(`destination ${key.slice(key.indexOf(":") + 1)}: refuses our login, ${reason}`);
  }
  if (refusedLogins.length > shown) lines.push(`and ${refusedLogins.length - shown} more that refuse our login`);
  const suspended = destinations.filter(({ key, suspension }) => suspension && !refusing.has(key));
  for (const { nexthop, suspension } of suspended.slice(0, shown)) {
    lines.push(`destination ${nexthop}: suspended, ${suspension?.reason}`);
  }
  if (suspended.length > shown) lines.push(`${suspendedCount} destinations are suspended in all`);
  const open = destinations.filter(({ suspension }) => !suspension);
  for (const { nexthop, busy, concurrency, waiting } of open.slice(0, shown)) {
    lines.push(`destination ${nexthop}: ${busy} of ${concurrency} deliveries under way, ${waiting} messages waiting`);
  }
  return `${lines.join("\n")}\n`;
}
