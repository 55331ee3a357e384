import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { TableError } from "../table.ts";
import { unquotedIn } from "./sql.ts";
import { Templates } from "./templates.ts";

function expanded(text: string, key: string): string | undefined {
  const templates = new Templates();
  return templates.query(templates.add(text, "query", "t"), key, (piece) => `<${piece}>`);
}

test("a query holds the pieces of its key, each of them quoted", () => {
  assert.equal(expanded("%s|%u|%d|%S|%U|%D", "a@b@c.d"), "<a@b@c.d>|<a@b>|<c.d>|<a@b@c.d>|<a@b>|<c.d>");
  assert.equal(expanded("%1-%2 100%%", "x@b.c.d"), "<d>-<c> 100%");
});

test("keys that lack what a template needs are not asked for", () => {
  assert.equal(expanded("%u", "@d"), undefined);
  assert.equal(expanded("%u", "user"), "<user>");
  for (const key of ["user", "user@", "@"]) assert.equal(expanded("%d", key), undefined);
  assert.equal(expanded("%3", "x@a.b"), undefined);
  assert.equal(expanded("%s", ""), undefined);
});

test("a result's format can need something of what was found, and of the key", () => {
  const templates = new Templates();
  templates.add("%s", "query", "t");
  const format = templates.add("%u at %d for %U", "result", "t");
  assert.equal(templates.result(format, "me@there", "key@dom"), "me at there for key");
  assert.equal(templates.result(format, "me", "key@dom"), undefined);
  assert.equal(templates.result(format, "@there", "key@dom"), undefined);
});

test("what is no escape is refused, with the table's name", () => {
  for (const text of ["%", "%x", "%0", "a%"]) {
    assert.throws(
      () => new Templates().add(text, "query", "t.cf"),
      (error) => error instanceof TableError && error.kind === "config",
    );
  }
});

test("whatever the key, nothing but its quoted pieces goes into a query", () => {
  fc.assert(
    fc.property(fc.string(), (key) => {
      const text = expanded("a='%s' b='%u' c='%d'", key);
      if (text === undefined) return;
      const at = key.lastIndexOf("@");
      assert.equal(text, `a='<${key}>' b='<${key.slice(0, at)}>' c='<${key.slice(at + 1)}>'`);
    }),
  );
});

test("escapes outside single quotes are told", () => {
  assert.deepEqual(unquotedIn("SELECT '%s', \"%u\", %d, '%%', %%s, 'x'' %U'"), ["%u", "%d"]);
  assert.deepEqual(unquotedIn("SELECT E'%s', e'%u', type'%d'"), ["%s", "%u"]);
});
