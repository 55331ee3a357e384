import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Entries } from "../entries.ts";
import { TableError } from "../table.ts";
import { HashFile } from "./hash-reader.ts";
import { hashFile } from "./hash-writer.ts";
import { header, meta } from "./pages.ts";

const uid = Buffer.alloc(20, 7);

function fileOf(pairs: Iterable<readonly [string | Buffer, string | Buffer]>, nul = true): Buffer {
  const entries = new Entries();
  for (const [key, value] of pairs) entries.add(Buffer.from(key), Buffer.from(value), nul, true);
  return hashFile(entries, uid);
}

const isTableError = (error: unknown): boolean => error instanceof TableError;

/** Reads everything there is; how a damaged file fails. */
function readAll(bytes: Buffer, keys: readonly Buffer[]): void {
  try {
    const file = new HashFile(bytes);
    for (const key of keys) file.find(key);
    for (const [key] of file.entries()) assert.ok(key.length <= bytes.length);
  } catch (error) {
    if (!isTableError(error)) throw error;
  }
}

test("a file of one entry is 12288 bytes, as Debian's is", () => {
  assert.equal(fileOf([["mail.my-isp.org", "test:testpass"]]).length, 12288);
  assert.equal(fileOf([]).length, 12288);
});

test("whatever is written is found again, and nothing else", () => {
  const bytes = fc.uint8Array({ maxLength: 40 }).map((array) => Buffer.from(array));
  const large = fc.integer({ min: 1000, max: 13_000 }).map((length) => Buffer.alloc(length, length));
  const either = fc.oneof({ weight: 9, arbitrary: bytes }, { weight: 1, arbitrary: large });
  fc.assert(
    fc.property(fc.array(fc.tuple(either, either), { maxLength: 300 }), (pairs) => {
      const wanted = new Map(pairs.map(([key, value]) => [key.toString("latin1"), value]));
      const file = new HashFile(fileOf(pairs, false));
      for (const [key, value] of wanted) assert.deepEqual(file.find(Buffer.from(key, "latin1")), value);
      const listed = [...file.entries()].map(([key, value]) => [key.toString("latin1"), value] as const);
      assert.equal(listed.length, wanted.size);
      assert.deepEqual(new Map(listed), wanted);
      assert.equal(file.find(Buffer.from("a key that is not there")), undefined);
    }),
    { numRuns: 60 },
  );
});

test("100,000 entries are found, each under its key", () => {
  const pairs = Array.from({ length: 100_000 }, (_, n) => [`user${n}@example.com`, `value ${n}`] as const);
  const file = new HashFile(fileOf(pairs));
  for (const [key, value] of pairs) assert.equal(file.find(Buffer.from(`${key}\0`))?.toString(), `${value}\0`);
  let count = 0;
  for (const _ of file.entries()) count++;
  assert.equal(count, 100_000);
});

test("keys of one bucket that fill more than a page are chained and found", () => {
  const pairs = Array.from({ length: 40 }, (_, n) => [`${n}`.padStart(900, "k"), "v".repeat(900)] as const);
  const file = new HashFile(fileOf(pairs));
  for (const [key] of pairs) assert.ok(file.find(Buffer.from(`${key}\0`)));
});

test("items just below and above a quarter of a page survive", () => {
  for (const length of [1022, 1023, 1024, 1025, 4069, 4070, 4071, 8140, 8141]) {
    const [key, value] = ["k".repeat(length), "v".repeat(length)];
    assert.equal(new HashFile(fileOf([[key, value]], false)).find(Buffer.from(key))?.toString(), value);
  }
});

test("a damaged file gives a TableError or a wrong answer, never anything else, and ends", () => {
  const keys = Array.from({ length: 120 }, (_, n) => Buffer.from(`user${n}@example.com\0`));
  const pairs = keys.map((key) => [key, "some value\0"] as const);
  const whole = fileOf([...pairs, ["large\0", "x".repeat(9000)], ["y".repeat(2000), "z"]], false);
  const damage = fc.tuple(fc.nat(whole.length - 1), fc.nat(255));
  fc.assert(
    fc.property(fc.array(damage, { minLength: 1, maxLength: 8 }), (changes) => {
      const bytes = Buffer.from(whole);
      for (const [at, byte] of changes) bytes[at] = byte;
      readAll(bytes, keys);
    }),
    { numRuns: 300 },
  );
});

test("damage to page headers and to the meta page gives a TableError or a wrong answer, and ends", () => {
  const keys = Array.from({ length: 300 }, (_, n) => Buffer.from(`user${n}@example.com\0`));
  const whole = fileOf([...keys.map((key) => [key, "some value\0"] as const), ["large\0", "x".repeat(9000)]], false);
  const at = fc
    .tuple(fc.nat(whole.length / 4096 - 1), fc.nat(header.size + 100))
    .map(([page, byte]) => page * 4096 + byte);
  const damage = fc.tuple(fc.oneof(at, fc.nat(meta.spares + 128)), fc.oneof(fc.nat(255), fc.nat(8)));
  fc.assert(
    fc.property(fc.array(damage, { minLength: 1, maxLength: 4 }), (changes) => {
      const bytes = Buffer.from(whole);
      for (const [place, byte] of changes) bytes[place] = byte;
      readAll(bytes, keys);
    }),
    { numRuns: 1000 },
  );
});

test("a chain of pages that leads back to itself is noticed when the file is opened", () => {
  const bytes = fileOf([["a", "1"]]);
  bytes.writeUInt32LE(2, 1 * 4096 + header.next);
  assert.throws(() => new HashFile(bytes), isTableError);
});

test("an overflow chain that leads back to itself ends with the item's length", () => {
  const bytes = fileOf([["a", "x".repeat(9000)]], false);
  bytes.writeUInt32LE(3, 3 * 4096 + header.next);
  assert.throws(() => [...new HashFile(bytes).entries()], isTableError);
});

test("a file that is being written is to be tried again: empty, cut short, grown, or without its pages", () => {
  const whole = fileOf(Array.from({ length: 500 }, (_, n) => [`key ${n}`, "value"] as const));
  const blank = Buffer.from(whole);
  blank.fill(0, 2 * 4096, 3 * 4096);
  const partial = [
    Buffer.alloc(0),
    Buffer.alloc(8192),
    whole.subarray(0, 100),
    whole.subarray(0, 4096),
    whole.subarray(0, whole.length - 1),
    whole.subarray(0, whole.length - 4096),
    Buffer.concat([whole, Buffer.alloc(4096)]),
    blank,
  ];
  for (const bytes of partial) {
    assert.throws(
      () => new HashFile(bytes),
      (error) => error instanceof TableError && error.kind === "retry",
    );
  }
});

test("a kind of file that cannot be read is a matter of configuration", () => {
  const unsupported: [number, number][] = [
    [meta.version, 10],
    [meta.encryption, 1],
    [meta.flags, 1],
    [meta.charKey, 0],
  ];
  for (const [at, byte] of unsupported) {
    const bytes = fileOf([["a", "1"]]);
    bytes[at] = byte;
    assert.throws(
      () => new HashFile(bytes),
      (error) => error instanceof TableError && error.kind === "config",
    );
  }
});
