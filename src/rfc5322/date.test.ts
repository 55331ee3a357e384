import assert from "node:assert/strict";
import { test } from "node:test";
import { DateText, formatDate } from "./date.ts";

const moment = Date.UTC(2026, 0, 5, 9, 3, 7, 999);

test("a date has a padded day, and names UTC", () => {
  assert.equal(formatDate(moment, 0), "Mon,  5 Jan 2026 09:03:07 +0000 (UTC)");
});

test("zones east and west move the clock and the day", () => {
  assert.equal(formatDate(moment, 330), "Mon,  5 Jan 2026 14:33:07 +0530");
  assert.equal(formatDate(moment, -600), "Sun,  4 Jan 2026 23:03:07 -1000");
});

test("a kept text is not used for another second or zone", () => {
  const dates = new DateText();
  for (const [time, zone] of [
    [moment, 0],
    [moment + 1, 0],
    [moment, 60],
    [moment + 5000, 60],
  ] as const) {
    assert.equal(dates.of(time, zone), formatDate(time, zone));
  }
});
