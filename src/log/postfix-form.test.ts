import assert from "node:assert/strict";
import { test } from "node:test";
import type { LogRecord } from "./log.ts";
import { PostfixForm, printable } from "./postfix-form.ts";

const record: LogRecord = {
  time_ms: Date.UTC(2026, 10, 3, 4, 26, 31, 999),
  service: "smtp",
  slot: 12,
  tag: "postfix/out",
  level: "info",
  text: "4F: to=<a@b>",
};

test("a line is as Postfix writes it, the day padded with a space", () => {
  const form = new PostfixForm("mx", () => 0);
  assert.equal(form.line(record), "Nov  3 04:26:31 mx postfix/out/smtp[12]: 4F: to=<a@b>\n");
  for (const level of ["warning", "error", "fatal", "panic"] as const) {
    assert.match(form.line({ ...record, level }), new RegExp(`: ${level}: 4F`));
  }
  assert.doesNotMatch(form.line({ ...record, level: "debug" }), /debug/);
});

test("times are local, and go on over a change of the zone", () => {
  let offset = 60;
  const form = new PostfixForm("mx", () => offset);
  assert.equal(form.stamp(Date.UTC(2026, 11, 31, 23, 30)), "Jan  1 00:30:00");
  offset = -120;
  assert.equal(form.stamp(Date.UTC(2026, 11, 31, 23, 30, 1)), "Dec 31 21:30:01");
});

test("nothing that came over the network begins a line of its own or steers a terminal", () => {
  const hostile = "a\r\nNov  3 04:26:31 mx postfix/smtpd[1]: fake\u001b[2J\u0000\u007f\u0085\u009b\u2028\u2029b";
  const text = printable(hostile);
  assert.doesNotMatch(text, /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/);
  assert.equal(text.length, hostile.length);
  assert.equal(new PostfixForm("mx", () => 0).line({ ...record, text: hostile }).split("\n").length, 2);
  assert.equal(printable("grüße, 日本 \ud800"), "grüße, 日本 \ud800");
});
