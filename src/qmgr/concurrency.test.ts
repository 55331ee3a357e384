import assert from "node:assert/strict";
import { test } from "node:test";
import { Concurrency, type ConcurrencyLimits } from "./concurrency.ts";

const one = { base: 1, per: "delivery" } as const;
const limits: ConcurrencyLimits = { initial: 5, limit: 20, failedCohorts: 1, positive: one, negative: one };

test("it begins with the initial concurrency and grows by one with each success, up to the limit", () => {
  const concurrency = new Concurrency(limits);
  const seen = Array.from({ length: 20 }, () => {
    concurrency.succeeded(concurrency.window);
    return concurrency.window;
  });
  assert.deepEqual(seen.slice(0, 3), [6, 7, 8]);
  assert.equal(seen.at(-1), 20);
});

test("it does not grow far beyond what is in use", () => {
  const concurrency = new Concurrency(limits);
  for (let n = 0; n < 20; n++) concurrency.succeeded(1);
  assert.equal(concurrency.window, 6);
});

test("without a limit it goes on growing", () => {
  const concurrency = new Concurrency({ ...limits, limit: 0 });
  for (let n = 0; n < 100; n++) concurrency.succeeded(concurrency.window);
  assert.equal(concurrency.window, 105);
});

test("with 1/concurrency, it takes a round of successes to grow by one", () => {
  const concurrency = new Concurrency({ ...limits, positive: { base: 1, per: "concurrency" } });
  for (let n = 0; n < 4; n++) concurrency.succeeded(5);
  assert.equal(concurrency.window, 5);
  concurrency.succeeded(5);
  assert.equal(concurrency.window, 6);
});

test("one failed cohort makes it dead; the first failure shrinks it at once by two", () => {
  const concurrency = new Concurrency(limits);
  assert.equal(concurrency.failed(), false);
  assert.equal(concurrency.window, 3);
  assert.equal(concurrency.failed(), false);
  assert.equal(concurrency.window, 2);
  assert.equal(concurrency.failed(), true, "1/5 + 1/3 + 1/2 of a cohort");
  assert.equal(concurrency.window, 0);
});

test("a success starts the count of failures over", () => {
  const concurrency = new Concurrency({ ...limits, initial: 1 });
  const lonely = new Concurrency({ ...limits, initial: 2 });
  assert.equal(concurrency.failed(), true);
  assert.equal(lonely.failed(), false);
  lonely.succeeded(1);
  assert.equal(lonely.failed(), false);
});

test("without a cohort limit it shrinks to one and is never dead", () => {
  const concurrency = new Concurrency({ ...limits, failedCohorts: 0 });
  for (let n = 0; n < 50; n++) assert.equal(concurrency.failed(), false);
  assert.equal(concurrency.window, 1);
});

test("no feedback leaves it where it is", () => {
  const none = { base: 0, per: "delivery" } as const;
  const concurrency = new Concurrency({ ...limits, failedCohorts: 0, positive: none, negative: none });
  for (let n = 0; n < 50; n++) {
    concurrency.failed();
    concurrency.succeeded(5);
  }
  assert.equal(concurrency.window, 5);
});

test("back from the dead it goes on with what is under way, or with the initial concurrency", () => {
  for (const [busy, window] of [
    [0, 5],
    [2, 2],
  ] as const) {
    const concurrency = new Concurrency(limits);
    concurrency.kill();
    concurrency.resume(busy);
    assert.equal(concurrency.window, window);
  }
});
