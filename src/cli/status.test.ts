import assert from "node:assert/strict";
import { test } from "node:test";
import type { DestinationFigures, SchedulerFigures } from "../qmgr/figures.ts";
import { statusText } from "./status.ts";

function destination(nexthop: string, reason?: string, kind: "failed" | "refused" = "failed"): DestinationFigures {
  const suspension = reason === undefined ? undefined : { kind, dsn: "4.4.1", reason, until_ms: 0 };
  return { key: `smtp:${nexthop}`, transport: "smtp", nexthop, busy: 2, concurrency: 5, waiting: 7, suspension };
}

function text(scheduler: Partial<SchedulerFigures>): string[] {
  const none = { active: 0, inHand: 2, settling: 0, destinations: [], destinationCount: 0, suspendedCount: 0 };
  const counts = { active: 1, deferred: 2, hold: 3, corrupt: 0 };
  return statusText({ counts, sessions: 4, scheduler: { ...none, refusedLogins: [], ...scheduler } }).split("\n");
}

test("status names a destination that refuses our login once, and why, whether or not it is suspended now", () => {
  const refusing = { key: "smtp:[mail.example]:587", reason: "535 no", seen_ms: 1 };
  for (const suspension of ["535 no", undefined]) {
    const destinations = suspension ? [destination("[mail.example]:587", suspension, "refused")] : [];
    const lines = text({ destinations, suspendedCount: destinations.length, refusedLogins: [refusing] });
    assert.deepEqual(lines.slice(2), ["destination [mail.example]:587: refuses our login, 535 no", ""]);
  }
});

test("status shows suspended destinations and why before the busy ones", () => {
  const destinations = [destination("busy.example"), destination("dead.example", "Connection refused")];
  assert.deepEqual(text({ destinations, suspendedCount: 1 }), [
    "queue: 1 active, 2 deferred, 3 held",
    "sessions in: 4; deliveries under way: 2",
    "destination dead.example: suspended, Connection refused",
    "destination busy.example: 2 of 5 deliveries under way, 7 messages waiting",
    "",
  ]);
});

test("status says how many destinations it does not show", () => {
  const destinations = Array.from({ length: 25 }, (_, n) => destination(`d${n}.example`, "no"));
  const lines = text({ destinations, suspendedCount: 4000 });
  assert.equal(lines.length, 2 + 20 + 1 + 1);
  assert.equal(lines.at(-2), "4000 destinations are suspended in all");
});
