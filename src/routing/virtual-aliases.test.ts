import assert from "node:assert/strict";
import { test } from "node:test";
import { TableError } from "../table/table.ts";
import { testRouter } from "./test-router.ts";
import { ExpansionError } from "./virtual-aliases.ts";

function expand(entries: Record<string, string>, address: string, conf: Record<string, string> = {}) {
  const tables = { "hash:/v": entries };
  return testRouter({
    conf: { virtual_alias_maps: "hash:/v", recipient_delimiter: "+", ...conf },
    tables,
  }).virtualAliases.expand(address);
}

test("an address becomes what it stands for, as long as that stands for something", async () => {
  const entries = { "a@x.example": "b@x.example, c@x.example", "c@x.example": "d", "d@here.example": "e@y.example" };
  assert.deepEqual(await expand(entries, "a@x.example"), ["b@x.example", "e@y.example"]);
  assert.deepEqual(await expand(entries, "z@x.example"), ["z@x.example"]);
});

test("keys are tried from the whole address to @domain, the bare user for local domains alone", async () => {
  const entries = { "u+e@x.example": "1@y", "u@x.example": "2@y", root: "3@y", "@x.example": "4@y" };
  assert.deepEqual(await expand(entries, "u+e@x.example"), ["1@y"]);
  assert.deepEqual(await expand(entries, "u+f@x.example"), ["2+f@y"]);
  assert.deepEqual(await expand(entries, "root@here.example"), ["3@y"]);
  assert.deepEqual(await expand(entries, "root@x.example"), ["4@y"]);
});

test("@otherdomain keeps the user", async () => {
  assert.deepEqual(await expand({ "@x.example": "@y.example" }, "u+e@x.example"), ["u+e@y.example"]);
});

test("an address may stand for itself and others", async () => {
  assert.deepEqual(await expand({ "a@x": "a@x, b@x" }, "a@x"), ["a@x", "b@x"]);
});

test("circles and floods end at a limit", async () => {
  await assert.rejects(() => expand({ "a@x": "b@x", "b@x": "a@x" }, "a@x"), ExpansionError);
  await assert.rejects(
    () => expand({ "a@x": "b@x,c@x,d@x" }, "a@x", { virtual_alias_expansion_limit: "2" }),
    ExpansionError,
  );
  await assert.rejects(() => expand({ "a@x": `${"b".repeat(2000)}@x` }, "a@x"), ExpansionError);
});

test("an entry without an address in it is no answer", async () => {
  await assert.rejects(() => expand({ "a@x": "( )" }, "a@x"), TableError);
});
