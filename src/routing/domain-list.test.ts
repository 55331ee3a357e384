import assert from "node:assert/strict";
import { test } from "node:test";
import { Maps } from "../table/maps.ts";
import { TableError } from "../table/table.ts";
import { DomainList, type DomainListOptions } from "./domain-list.ts";

const files: Record<string, string> = {
  "/domains": "# ours\none.example, two.example\n  three.example\n",
  "/nested": "!bad.example\n/domains\n",
  "/loop": "/loop\n",
};
const tables: Record<string, Record<string, string>> = { "hash:/t": { "t.example": "x", ".sub.example": "x" } };

function list(items: string[], options: Partial<DomainListOptions> = {}): DomainList {
  return new DomainList(items, {
    parents: false,
    file: (path) => files[path],
    maps: (references) =>
      new Maps(
        references.map((reference) => {
          const entries = tables[reference];
          const current = entries
            ? { get: (key: string) => Promise.resolve(entries[key]), close: async () => {} }
            : new TableError("config", "broken");
          return { reference, patterns: false, current };
        }),
      ),
    ...options,
  });
}

test("names match in any case, and only as wholes", async () => {
  const names = list(["One.Example"], { exact: true });
  assert.equal(await names.match("ONE.example"), true);
  assert.equal(await names.match("a.one.example"), false);
});

test("subdomains match by .domain, or by domain where parents do", async () => {
  assert.equal(await list([".one.example"]).match("a.b.one.example"), true);
  assert.equal(await list([".one.example"]).match("one.example"), false);
  assert.equal(await list(["one.example"]).match("a.one.example"), false);
  assert.equal(await list(["one.example"], { parents: true }).match("a.one.example"), true);
  assert.equal(await list(["one.example"], { parents: true }).match("aone.example"), false);
});

test("the first pattern decides, so an exception stands before what it is taken from", async () => {
  const names = list(["!not.one.example", ".one.example"]);
  assert.equal(await names.match("not.one.example"), false);
  assert.equal(await names.match("yes.one.example"), true);
});

test("files are read in place, and an exclamation mark turns their items around", async () => {
  assert.equal(await list(["/domains"]).match("three.example"), true);
  assert.equal(await list(["!/nested", "bad.example"]).match("bad.example"), true);
  assert.equal(await list(["!/nested", "one.example"]).match("one.example"), false);
});

test("tables are asked for the name and, unless exact, for its parents", async () => {
  assert.equal(await list(["hash:/t"]).match("t.example"), true);
  assert.equal(await list(["hash:/t"]).match("a.sub.example"), true);
  assert.equal(await list(["hash:/t"], { exact: true }).match("a.sub.example"), false);
});

test("what cannot be read is no answer, but only where the search gets there", async () => {
  for (const broken of ["/missing", "hash:/broken", "/loop"]) {
    await assert.rejects(async () => list(["one.example", broken]).match("two.example"), TableError, broken);
    assert.equal(await list(["one.example", broken]).match("one.example"), true);
  }
});

test("an empty list matches nothing", () => {
  assert.equal(list([]).match("one.example"), false);
});
