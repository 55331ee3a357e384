import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "../runtime/manual-clock.ts";
import { formatId, IdSequence, parseId } from "./id.ts";

test("ids grow, also when the clock goes back or stands still", () => {
  const clock = new ManualClock();
  const ids = new IdSequence(clock, 0);
  let last = 0;
  for (let i = 0; i < 5_000; i++) {
    if (i === 1_000) clock.jump(-86_400_000);
    if (i === 2_000) clock.advance(5);
    const next = ids.next();
    assert.ok(next > last);
    last = next;
  }
});

test("an id is larger than what the queue holds, and of its generation's parity", () => {
  for (const generation of [0, 1, 2, 3]) {
    for (const least of [0, 2 ** 52, 2 ** 52 + 1]) {
      const next = new IdSequence(new ManualClock(), generation, least).next();
      assert.ok(next > least);
      assert.equal(next % 2, generation % 2);
    }
  }
});

test("ids are upper-case hexadecimal, and read back in either case", () => {
  const id = new IdSequence(new ManualClock(), 1).next();
  assert.match(formatId(id), /^[0-9A-F]{13}$/);
  assert.equal(parseId(formatId(id)), id);
  assert.equal(parseId(formatId(id).toLowerCase()), id);
});

test("what is no id is told from one", () => {
  for (const text of ["", "xyz", "-1", "0x12", "1 ", "ALL", "FFFFFFFFFFFFFF", "FFFFFFFFFFFFFFFFF"])
    assert.equal(parseId(text), undefined, text);
});
