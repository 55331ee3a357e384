import assert from "node:assert/strict";
import { test } from "node:test";
import { type Clock, realClock } from "./clock.ts";
import { ManualClock } from "./manual-clock.ts";

test("timers fire in the order of their times, ties in the order set, on the way to the time asked for", () => {
  const clock = new ManualClock(1000);
  const fired: string[] = [];
  const note = (name: string) => () => fired.push(`${name}@${clock.now()}`);
  clock.after(20, note("b"));
  clock.after(10, () => {
    note("a")();
    clock.after(5, note("inner"));
  });
  clock.after(20, note("c"));
  clock.after(21, note("late"));
  clock.advance(20);
  assert.deepEqual(fired, ["a@1010", "inner@1015", "b@1020", "c@1020"]);
  assert.equal(clock.next_ms, 1);
});

test("a jump of the wall clock moves no timer", () => {
  const clock = new ManualClock(0);
  clock.after(10, () => {});
  clock.jump(-5000);
  assert.deepEqual([clock.now(), clock.monotonic(), clock.next_ms], [-5000, 0, 10]);
});

/** The two clocks keep the same promises. */
const clocks: Readonly<Record<string, () => { clock: Clock; wait: (ms: number) => Promise<void> }>> = {
  real: () => ({ clock: realClock, wait: (ms) => new Promise((resolve) => setTimeout(resolve, ms + 20)) }),
  manual() {
    const clock = new ManualClock();
    return { clock, wait: async (ms) => clock.advance(ms) };
  },
};

for (const [name, make] of Object.entries(clocks)) {
  test(`a ${name} timer fires once, again after a restart, and never after it was cancelled`, async () => {
    const { clock, wait } = make();
    let count = 0;
    const timer = clock.after(5, () => count++);
    await wait(5);
    await wait(5);
    assert.equal(count, 1);
    timer.restart();
    await wait(5);
    assert.equal(count, 2);
    timer.restart();
    timer.cancel();
    timer.restart();
    await wait(5);
    assert.equal(count, 2);
  });
}
