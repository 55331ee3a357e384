import assert from "node:assert/strict";
import { test } from "node:test";
import { Traffic } from "./traffic.ts";

const result = (status: "sent" | "deferred" | "bounced", reason = "") => ({
  index: 0,
  status,
  dsn: "4.0.0",
  reason,
  remoteHost: "",
  remoteReply: undefined,
});

test("what came and went is counted in all, and for the last minute", () => {
  const traffic = new Traffic(7);
  for (let at_ms = 0; at_ms < 100_000; at_ms += 1000) {
    traffic.accepted(at_ms);
    traffic.result("sent", at_ms);
  }
  traffic.result("deferred", 99_999);
  const now = traffic.figures(99_999);
  assert.deepEqual(
    [now.since_ms, now.accepted, now.sent],
    [7, { total: 100, lastMinute: 60 }, { total: 100, lastMinute: 60 }],
  );
  assert.deepEqual(traffic.figures(130_000).accepted, { total: 100, lastMinute: 29 });
  assert.deepEqual(traffic.figures(1e9).deferred, { total: 1, lastMinute: 0 });
});

test("a destination is known by how long it takes and by its last error, and only so many are", () => {
  const traffic = new Traffic(0);
  traffic.delivered("smtp:old", [result("sent")], 10, 1);
  for (let n = 0; n < 1000; n++) traffic.delivered(`smtp:d${n}`, [result("sent")], 10, 2);
  traffic.delivered("smtp:d5", [result("sent"), result("deferred", "no")], 60, 3);
  const { destinations } = traffic.figures(0);
  assert.equal(destinations.length, 100);
  assert.deepEqual(destinations[0], {
    key: "smtp:d5",
    sent: 2,
    deferred: 1,
    bounced: 0,
    latency_ms: 20,
    lastError: { dsn: "4.0.0", reason: "no", seen_ms: 3 },
    seen_ms: 3,
  });
  assert.equal(
    destinations.some(({ key }) => key === "smtp:old"),
    false,
  );
});
