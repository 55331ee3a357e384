import assert from "node:assert/strict";
import { test } from "node:test";
import { Maps } from "../table/maps.ts";
import { TableError } from "../table/table.ts";
import { type CredentialsQuestion, findCredentials } from "./credentials.ts";
import { mapsOf } from "./testing/client.ts";

const question: CredentialsQuestion = {
  sender: "",
  host: "mx.test",
  nexthop: "[mx.test]:587",
  recipientDelimiter: "",
  resultDelimiter: ":",
};

test("the bare name of the host beats the next hop as configured", () => {
  const maps = mapsOf({ "mx.test": "host:1", "[mx.test]:587": "hop:2" });
  assert.deepEqual(findCredentials(maps, question), { username: "host", password: "1" });
});

test("the next hop has to match exactly, brackets and port included", () => {
  assert.equal(findCredentials(mapsOf({ "[mx.test]": "a:b" }), question), undefined);
  assert.equal(findCredentials(mapsOf({ "mx.test:587": "a:b" }), question), undefined);
  assert.deepEqual(findCredentials(mapsOf({ "[mx.test]:587": "a:b" }), question), { username: "a", password: "b" });
});

test("the value is split at the first delimiter, and without one the password is empty", () => {
  assert.deepEqual(findCredentials(mapsOf({ "mx.test": "u:p:q" }), question), { username: "u", password: "p:q" });
  assert.deepEqual(findCredentials(mapsOf({ "mx.test": "u" }), question), { username: "u", password: "" });
  const other = { ...question, resultDelimiter: "|" };
  assert.deepEqual(findCredentials(mapsOf({ "mx.test": "u:x|p" }), other), { username: "u:x", password: "p" });
});

test("the sender comes first: whole, without extension, by domain; the null sender is not looked up", () => {
  const maps = mapsOf({ "joe+x@a.test": "1:", "joe@a.test": "2:", "@a.test": "3:", "mx.test": "4:" });
  const login = (sender: string, recipientDelimiter = ""): unknown =>
    (findCredentials(maps, { ...question, sender, recipientDelimiter }) as { username: string }).username;
  assert.equal(login("joe+x@a.test"), "1");
  assert.equal(login("joe+y@a.test", "+"), "2");
  assert.equal(login("joe+y@a.test"), "3");
  assert.equal(login("ann@b.test"), "4");
  assert.equal(login(""), "4");
});

test("shortened keys are not asked of tables of patterns", () => {
  const asked: string[] = [];
  const current = { get: (key: string) => void asked.push(key), close: async () => {} };
  const maps = new Maps([{ reference: "regexp:x", patterns: true, current: current as never }]);
  findCredentials(maps, { ...question, sender: "joe+x@a.test", recipientDelimiter: "+" });
  assert.deepEqual(asked, ["joe+x@a.test", "mx.test", "[mx.test]:587"]);
});

test("a table that cannot tell is an error, and never no entry", () => {
  const maps = mapsOf(new TableError("retry", "busy"));
  assert.throws(() => findCredentials(maps, question), TableError);
});
