import assert from "node:assert/strict";
import { test } from "node:test";
import { backoff_ms, isExpired, isWarningDue } from "./backoff.ts";

const conf = {
  minimal_backoff_time: 300,
  maximal_backoff_time: 4000,
  maximal_queue_lifetime: 3600,
  bounce_queue_lifetime: 60,
  delay_warning_time: 600,
};

test("the next attempt is as far away as the message is old, within the limits", () => {
  for (const [age_s, wait_s] of [
    [0, 300],
    [299, 300],
    [1000, 1000],
    [5000, 4000],
    [-1000, 300],
  ] as const) {
    assert.equal(backoff_ms(1e9, 1e9 + age_s * 1000, conf), wait_s * 1000);
  }
});

test("notifications have a lifetime of their own", () => {
  assert.equal(isExpired({ sender: "a@b", arrival_ms: 0 }, 60_000, conf), false);
  assert.equal(isExpired({ sender: "", arrival_ms: 0 }, 60_000, conf), true);
  assert.equal(isExpired({ sender: "a@b", arrival_ms: 0 }, 3_600_000, conf), true);
});

test("a warning is due once, when the time is over and there is one", () => {
  assert.equal(isWarningDue({ arrival_ms: 0, warned: false }, 599_999, conf), false);
  assert.equal(isWarningDue({ arrival_ms: 0, warned: false }, 600_000, conf), true);
  assert.equal(isWarningDue({ arrival_ms: 0, warned: true }, 600_000, conf), false);
  assert.equal(isWarningDue({ arrival_ms: 0, warned: false }, 600_000, { delay_warning_time: 0 }), false);
});
