import type { SchedulerFigures } from "../qmgr/figures.ts";
import type { QueueCounts } from "../queue/store.ts";
import { askRelay, NotRunning } from "./control-client.ts";
import type { CommandIo } from "./io.ts";

interface Status {
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
      io.out(text(value as Status));
    }
  } catch (error) {
    if (!(error instanceof NotRunning)) throw error;
    io.out("the relay is starting, or restarting\n");
  }
}

function text({ counts, sessions, scheduler }: Status): string {
  const { active, deferred, hold, corrupt } = counts;
  const lines = [
    `queue: ${active} active, ${deferred} deferred, ${hold} held${corrupt > 0 ? `, ${corrupt} corrupt` : ""}`,
    `sessions in: ${sessions}; deliveries under way: ${scheduler.inHand}`,
  ];
  const suspended = scheduler.destinations.filter(({ suspension }) => suspension);
  for (const { nexthop, suspension } of suspended.slice(0, shown)) {
    const why = suspension?.kind === "refused" ? "refuses our login" : "suspended";
    lines.push(`destination ${nexthop}: ${why}, ${suspension?.reason}`);
  }
  for (const { nexthop, busy, concurrency, waiting } of scheduler.destinations
    .filter((each) => !each.suspension)
    .slice(0, shown)) {
    lines.push(`destination ${nexthop}: ${busy} of ${concurrency} deliveries under way, ${waiting} messages waiting`);
  }
  return `${lines.join("\n")}\n`;
}
