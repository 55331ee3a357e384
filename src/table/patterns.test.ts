import assert from "node:assert/strict";
import { test } from "node:test";
import { type FileSnapshot, TableError } from "./table.ts";
import { TableSet } from "./table-set.ts";

function tables(files: Record<string, string>, warnings: string[] = []): TableSet {
  return new TableSet({
    defaultType: "hash",
    read: async (path): Promise<FileSnapshot> => ({ bytes: Buffer.from(files[path] ?? ""), mtime_ms: 0 }),
    modified: async () => undefined,
    warn: (text) => warnings.push(text),
  });
}

const maps = (type: string, rules: string) => tables({ "/t": rules }).maps([`${type}:/t`], { foldCase: true });

test("keys are not folded, and case is ignored unless a flag says otherwise", async () => {
  for (const type of ["regexp", "pcre"]) {
    const found = await maps(type, "/^(B)$/i upper $1\n/^(b)$/ any $1\n");
    assert.equal(found.find("B"), "upper B");
    assert.equal(found.find("b"), "any b");
  }
});

test("shortened keys are never asked", async () => {
  for (const type of ["regexp", "pcre"]) {
    const found = await maps(type, "/./ x\n");
    assert.equal(found.find("@example.com", true), undefined);
    assert.equal(found.find("@example.com"), "x");
  }
});

test("regexp: takes the longest match, pcre: the first", async () => {
  const rule = "/^(a|ab)(b?)/ $1-$2\n";
  assert.equal((await maps("regexp", "/(a|ab)/ $1\n")).find("ab"), "ab");
  assert.equal((await maps("pcre", rule)).find("ab"), "a-b");
});

test("rules may stand in the configuration", async () => {
  const found = await tables({}).maps(["pcre:{{/^a(\\d{2})$/ x$1}, {/b/ two words}}"], { foldCase: true });
  assert.equal(found.find("a12"), "x12");
  assert.equal(found.find("b"), "two words");
});

test("a long key and a pattern that nests repeats have an answer", async () => {
  const found = await maps("pcre", "/^(a+)+$/ x\n/^(?:a|a)*b/ y\n");
  assert.equal(found.find(`${"a".repeat(50_000)}!`), undefined);
});

test("a key that a backtracking pattern is not done with in time cannot be told", async () => {
  const found = await maps("pcre", "/^(?!b)(a+)+$/ x\n");
  assert.throws(() => found.find(`${"a".repeat(60)}!`), TableError);
  assert.equal(found.find("aaa"), "x");
});

test("what cannot be translated makes the table unusable, with file and line", async () => {
  for (const pattern of ["/(?R)/", "/(*ACCEPT)/", "/(?|a|b)/", "/\\p{L}/", "/a\\K/", "/(?(1)a)/"]) {
    const set = tables({ "/t": `/ok/ x\n\n${pattern} y\n` });
    await set.maps(["pcre:/t"], { foldCase: true });
    const [problem] = set.problems();
    assert.match(problem?.error.message ?? "", /^pcre map \/t, line 3: .* is not supported$/, pattern);
    assert.equal(problem?.error.kind, "config");
  }
});

test("changed rules are in use, and ones that cannot be used are not", async () => {
  const warnings: string[] = [];
  const set = tables({ "/t": "/a/ 1\n" }, warnings);
  const found = await set.maps(["regexp:/t"], { foldCase: true });
  assert.deepEqual(set.contents(), ["/t"]);
  assert.equal(await set.replace("/t", { bytes: Buffer.from("/a/ 2\n"), mtime_ms: 1 }), true);
  assert.equal(found.find("a"), "2");
  assert.equal(await set.replace("/t", { bytes: Buffer.from("/\\<-/ 3\n"), mtime_ms: 2 }), false);
  assert.equal(found.find("a"), "2");
  assert.match(warnings[0] ?? "", /new contents are not used/);
});

test("bytes beyond ASCII are matched one by one, and come back whole", async () => {
  const found = await maps("pcre", "/^(.{2})x/ <$1>\n");
  assert.equal(found.find("éx"), "<é>");
  assert.equal((await maps("regexp", "/^(.)/ $1\n")).find("x"), "x");
});
