import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "../runtime/random.ts";
import { type FileSnapshot, TableError } from "./table.ts";
import { TableSet } from "./table-set.ts";

function tables(files: Record<string, string> = {}): TableSet {
  return new TableSet({
    defaultType: "hash",
    async read(path): Promise<FileSnapshot> {
      const text = files[path];
      if (text === undefined) throw new TableError("config", `open database ${path}: No such file or directory`);
      return { bytes: Buffer.from(text), mtime_ms: 0 };
    },
    modified: async () => undefined,
    warn: () => {},
    world: { env: { home: "/root", UPPER: "x" }, random: seededRandom(1) },
  });
}

const maps = (reference: string, files: Record<string, string> = {}) =>
  tables(files).maps([reference], { foldCase: true });

test("unionmap: has what all its tables have, and each folds its keys", async () => {
  const union = await maps("unionmap:{inline:{a=1}, static:s, inline:{b=2, a=3}}");
  assert.equal(union.find("A"), "1,s,3");
  assert.equal(union.find("b"), "s,2");
  assert.equal((await maps("unionmap:{inline:{a=1}}")).find("z"), undefined);
});

test("pipemap: asks each table for what the one before said, and ends where one has nothing", async () => {
  const pipe = await maps("pipemap:{inline:{a=192.0.2.7, b=c}, cidr:{{192.0.2.0/24 inside}}}");
  assert.equal(pipe.find("A"), "inside");
  assert.equal(pipe.find("b"), undefined);
});

test("a part that cannot tell makes the whole unable to tell", async () => {
  for (const reference of ["unionmap:{static:a, fail:x}", "pipemap:{static:a, fail:x}", "proxy:fail:x"]) {
    const found = await maps(reference);
    assert.throws(() => found.find("k"), TableError, reference);
  }
});

test("proxy: is the table behind it, patterns or not", async () => {
  assert.equal((await maps("proxy:inline:{a=b}")).find("A"), "b");
  assert.equal((await maps("proxy:static:b")).find("a", true), "b");
  assert.equal((await maps("proxy:cidr:{{1.2.3.4 x}}")).find("1.2.3.4", true), undefined);
});

test("the file of a part is followed, and its new contents are in use", async () => {
  const set = tables({ "/t": "a 1\n", "/c": "1.2.3.4 x\n" });
  const found = await set.maps(["unionmap:{texthash:/t, cidr:/c}"], { foldCase: true });
  assert.deepEqual(set.contents(), ["/t", "/c"]);
  assert.equal(await set.replace("/t", { bytes: Buffer.from("a 2\n"), mtime_ms: 1 }), true);
  assert.equal(found.find("a"), "2");
  assert.equal(await set.replace("/c", { bytes: Buffer.from("1.2.3.4 y\n"), mtime_ms: 1 }), true);
  assert.equal(found.find("1.2.3.4"), "y");
});

test("a part that cannot be opened makes the whole a problem", async () => {
  const set = tables();
  await set.maps(["unionmap:{static:a, texthash:/nosuch}"], { foldCase: true });
  assert.deepEqual(
    set.problems().map(({ reference }) => reference),
    ["texthash:/nosuch", "unionmap:{static:a, texthash:/nosuch}"],
  );
});

test("environ: answers from the environment, under folded keys", async () => {
  const environ = await maps("environ:anything");
  assert.equal(environ.find("HOME"), "/root");
  assert.equal(environ.find("UPPER"), undefined);
  assert.equal(environ.find("constructor"), undefined);
});

test("randmap: draws each of its values", async () => {
  const random = await maps("randmap:{one, two, three}");
  const drawn = new Set(Array.from({ length: 200 }, () => random.find("k")));
  assert.deepEqual([...drawn].sort(), ["one", "three", "two"]);
});
