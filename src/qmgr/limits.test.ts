import assert from "node:assert/strict";
import { test } from "node:test";
import { defaults } from "../conf/defaults.ts";
import { ParamError } from "../conf/param.ts";
import { transportLimits } from "./limits.ts";
import { qmgrParams } from "./params.ts";

const conf = defaults(qmgrParams);
const set = (values: Record<string, string>) => (transport: string, suffix: string) => values[`${transport}_${suffix}`];

test("a transport has its own limits, or else the common ones", () => {
  const value = set({
    relay_destination_recipient_limit: "10",
    relay_destination_concurrency_positive_feedback: "1/concurrency",
  });
  const relay = transportLimits("relay", conf, value);
  assert.equal(relay.recipients, 10);
  assert.deepEqual(relay.concurrency.positive, { base: 1, per: "concurrency" });
  assert.equal(transportLimits("smtp", conf, value).recipients, 50);
});

test("the initial concurrency never exceeds the limit, and a rate delay means one at a time", () => {
  const small = transportLimits("smtp", conf, set({ smtp_destination_concurrency_limit: "2" }));
  assert.deepEqual([small.concurrency.initial, small.concurrency.limit], [2, 2]);
  const slow = transportLimits("smtp", conf, set({ smtp_destination_rate_delay: "2m" }));
  assert.deepEqual([slow.concurrency.initial, slow.concurrency.limit, slow.rateDelay_ms], [1, 1, 120_000]);
});

test("a transport's own rate delay goes before the common one, 0 included", () => {
  const slow = defaults(qmgrParams, { default_transport_rate_delay: "5s" });
  const value = set({ smtp_transport_rate_delay: "0", relay_transport_rate_delay: "1m" });
  const delays = ["smtp", "relay", "other"].map((name) => transportLimits(name, slow, value).transportDelay_ms);
  assert.deepEqual(delays, [0, 60_000, 5000]);
});

test("0 is no limit", () => {
  const none = transportLimits(
    "smtp",
    conf,
    set({ smtp_destination_recipient_limit: "0", smtp_destination_concurrency_limit: "0" }),
  );
  assert.equal(none.recipients, Number.POSITIVE_INFINITY);
  assert.equal(none.concurrency.initial, 5);
});

test("feedback is a number from 0 to 1, a fraction, or by concurrency", () => {
  const { parse } = qmgrParams.default_destination_concurrency_negative_feedback;
  assert.deepEqual(parse("1/8"), { base: 0.125, per: "delivery" });
  assert.deepEqual(parse("0.5 / sqrt_concurrency"), { base: 0.5, per: "sqrt_concurrency" });
  for (const bad of ["", "2", "-1", "1/0", "1/x", "x"]) assert.throws(() => parse(bad), ParamError, bad);
});
