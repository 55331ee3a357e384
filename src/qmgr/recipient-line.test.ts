import assert from "node:assert/strict";
import { test } from "node:test";
import { formatSeconds } from "./recipient-line.ts";

test("times have two significant digits, and no more behind the point than configured", () => {
  const cases: readonly (readonly [ms: number, digits: number, text: string])[] = [
    [0, 2, "0"],
    [4, 2, "0"],
    [6, 2, "0.01"],
    [34, 2, "0.03"],
    [456, 2, "0.46"],
    [996, 2, "1"],
    [1234, 2, "1.2"],
    [1960, 2, "2"],
    [9949, 2, "9.9"],
    [15_600, 2, "16"],
    [299_700, 2, "300"],
    [432_000_000, 2, "432000"],
    [456, 1, "0.5"],
    [456, 0, "0"],
    [1600, 0, "2"],
    [123.456, 6, "0.12"],
    [1.2, 6, "0.0012"],
  ];
  for (const [ms, digits, text] of cases) assert.equal(formatSeconds(ms, digits), text, `${ms} ms, ${digits} digits`);
});
