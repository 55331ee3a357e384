/** Index files of every format, written and read again. What Debian's tools make of them is in test/differential/. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { seeded } from "./damage.ts";
import { Entries } from "./entries.ts";
import { inKeyOrder } from "./key-order.ts";
import { openTable, parseReference } from "./open.ts";
import { TableError } from "./table.ts";
import { tableTypes } from "./types.ts";

type Pairs = ReadonlyMap<string, string>;

function entriesOf(pairs: Pairs): Entries {
  const entries = new Entries();
  for (const [key, value] of pairs) entries.add(Buffer.from(key, "latin1"), Buffer.from(value, "latin1"), false, true);
  return entries;
}

/** Keys of up to `longest` bytes, few of which differ early; values of all lengths. */
function randomPairs(seed: number, count: number, longest: number): Pairs {
  const random = seeded(seed);
  const bytes = (length: number) =>
    Buffer.from(Array.from({ length }, () => (random(3) === 0 ? random(256) : 97))).toString("latin1");
  return new Map(
    Array.from({ length: count }, () => [
      bytes(1 + random(longest)),
      bytes(random(20) === 0 ? random(9000) : random(60)),
    ]),
  );
}

const sets: readonly (readonly [name: string, pairs: Pairs])[] = [
  ["nothing", new Map()],
  ["one entry", new Map([["a", "1"]])],
  ["short keys", randomPairs(1, 400, 4)],
  ["long keys", randomPairs(2, 900, 511)],
  ["20,000 entries", new Map(Array.from({ length: 20_000 }, (_, n) => [`user${n}@example.com`, `value ${n}`]))],
];

for (const { name, index } of tableTypes) {
  if (!index) continue;
  for (const [what, pairs] of sets) {
    test(`${name}: ${what} written is found again, and nothing else`, () => {
      const file = index.open(index.image(entriesOf(pairs), (count) => Buffer.alloc(count, 7)));
      for (const [key, value] of pairs) {
        assert.equal(file.find(Buffer.from(key, "latin1"))?.toString("latin1"), value);
        const [longer, shorter] = [`${key}a`, key.slice(0, -1)];
        for (const other of [longer, shorter])
          if (!pairs.has(other)) assert.equal(file.find(Buffer.from(other, "latin1")), undefined);
      }
      const listed = [...file.entries()].map(
        ([key, value]) => [key.toString("latin1"), value.toString("latin1")] as const,
      );
      assert.equal(listed.length, pairs.size);
      assert.deepEqual(new Map(listed), pairs);
    });
  }

  test(`${name}: a file that was cut short is to be tried again when it is opened or used`, () => {
    const [, pairs] = sets[4] as (typeof sets)[number];
    const whole = index.image(entriesOf(pairs), (count) => Buffer.alloc(count, 7));
    for (const length of [1, 100, 2047, 4096, 8192, whole.length - 5000].filter((each) => each < whole.length)) {
      assert.throws(
        () => [...index.open(whole.subarray(0, length)).entries()],
        (error) => error instanceof TableError && error.kind === "retry",
      );
    }
  });

  test(`${name}: a damaged index is named when it is opened`, async () => {
    const context = {
      foldCase: true,
      warn: () => {},
      read: async () => ({ bytes: Buffer.from("rubbish"), mtime_ms: 0 }),
    };
    const text = `open database /t${index.suffix}: `;
    await assert.rejects(
      openTable(parseReference(`${name}:/t`, "hash"), context),
      (error) => error instanceof TableError && error.kind === "retry" && error.message.startsWith(text),
    );
  });
}

test("keys are ordered by their bytes, and the shorter first of two of which one begins the other", () => {
  for (const [, pairs] of sets) {
    const entries = entriesOf(pairs);
    const keys = Array.from(inKeyOrder(entries), (entry) => entries.key(entry));
    assert.deepEqual(keys, [...keys].sort(Buffer.compare));
    assert.equal(keys.length, pairs.size);
  }
});
