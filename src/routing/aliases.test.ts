import assert from "node:assert/strict";
import { test } from "node:test";
import { TableError } from "../table/table.ts";
import { testRouter } from "./test-router.ts";

function aliases(
  entries: Record<string, string>,
  includes: Record<string, string> = {},
  conf: Record<string, string> = {},
) {
  return testRouter({ conf: { alias_maps: "hash:/a", ...conf }, tables: { "hash:/a": entries }, includes }).aliases;
}

test("an alias gives its addresses, completed, in order", async () => {
  const found = await aliases({ list: 'alice, Bob <bob@x.example>, "two words", carol@host' }).find("LIST");
  assert.deepEqual(found?.addresses, [
    ...["alice@here.example", "bob@x.example", '"two words"@here.example', "carol@host"],
  ]);
  assert.equal(found?.refused, undefined);
});

test("commands and files are refused, and the addresses beside them stay", async () => {
  for (const value of ['alice, "|/bin/x -a"', "alice, |/bin/x", "/var/mail/x, alice", "~/x, alice", 'alice, "/a b"']) {
    const found = await aliases({ list: value }).find("list");
    assert.ok(found?.addresses.includes("alice@here.example"), value);
    assert.equal(found?.refused?.dsn, "5.7.1", value);
  }
});

test("included files give their lines' addresses, comments left out, each file once", async () => {
  const includes = { "/list": "# people\na@x, b@x\n\n:include:/list\n:include:/more\n", "/more": "c\n" };
  const found = await aliases({ list: ":include:/list, :include:/more" }, includes).find("list");
  assert.deepEqual(found?.addresses, ["a@x", "b@x", "c@here.example"]);
});

test("an included file that cannot be read is no answer, and one that must not be read is refused", async () => {
  await assert.rejects(async () => aliases({ list: ":include:/missing" }).find("list"), TableError);
  assert.equal((await aliases({ list: ":include:relative" }).find("list"))?.refused?.dsn, "5.3.5");
  assert.equal((await aliases({ l: ":include:/r" }, { "/r": "(refused)" }).find("l"))?.refused?.dsn, "5.3.5");
});

test("an extension is left off to find an alias, and stays off", async () => {
  const conf = { recipient_delimiter: "+" };
  const found = await aliases({ list: "a@x" }, {}, conf).find("list+ext");
  assert.deepEqual([found?.name, found?.addresses], ["list", ["a@x"]]);
  const told = { ...conf, propagate_unmatched_extensions: "alias" };
  assert.deepEqual((await aliases({ list: "a@x" }, {}, told).find("list+ext"))?.addresses, ["a+ext@x"]);
  assert.equal(await aliases({ list: "a@x" }).find("list+ext"), undefined);
});

test("a list with an owner- alias names the sender of its mail", async () => {
  const entries = { list: "a@x", "owner-list": "boss@x, second@x" };
  assert.equal((await aliases(entries).find("list"))?.owner, "owner-list@here.example");
  assert.equal((await aliases(entries, {}, { expand_owner_alias: "yes" }).find("list"))?.owner, "boss@x");
  assert.equal((await aliases(entries, {}, { owner_request_special: "no" }).find("list"))?.owner, undefined);
});
