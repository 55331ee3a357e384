import assert from "node:assert/strict";
import { test } from "node:test";
import { formatDelay, formatDelays } from "./delays.ts";

test("times have two significant digits, no more decimals than asked for, and no trailing zeros", () => {
  const cases: [number, number, string][] = [
    [0, 2, "0"],
    [0.004, 2, "0"],
    [0.006, 2, "0.01"],
    [0.1, 2, "0.1"],
    [0.26, 2, "0.26"],
    [0.996, 2, "1"],
    [1.04, 2, "1"],
    [1.06, 2, "1.1"],
    [9.96, 2, "10"],
    [12.4, 2, "12"],
    [86400, 2, "86400"],
    [0.0123456, 6, "0.012"],
    [0.0123456, 4, "0.012"],
    [5.4, 0, "5"],
    [-3, 2, "0"],
  ];
  for (const [seconds, decimals, text] of cases)
    assert.equal(formatDelay(seconds, decimals), text, `${seconds}/${decimals}`);
});

test("a station that was not reached costs nothing", () => {
  const stations = { queued_ms: 50, active_ms: 1000, started_ms: 1010, connected_ms: undefined, done_ms: 1260 };
  assert.equal(formatDelays(stations, 2), "delay=0.31, delays=0.05/0.01/0/0.25");
});
