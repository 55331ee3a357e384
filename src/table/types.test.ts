import assert from "node:assert/strict";
import { test } from "node:test";
import { hashFile } from "./berkeley/hash-writer.ts";
import { Entries } from "./entries.ts";
import { openTable, parseReference } from "./open.ts";
import { type Table, type TableContext, TableError } from "./table.ts";

type Files = Record<string, string | Buffer>;

function contextOf(files: Files, foldCase = true): TableContext & { readonly warnings: string[] } {
  const warnings: string[] = [];
  return {
    foldCase,
    warnings,
    warn: (text) => warnings.push(text),
    async read(path) {
      const found = files[path];
      if (found === undefined) throw new TableError("config", `open database ${path}: No such file or directory`);
      return { bytes: Buffer.from(found), mtime_ms: 0 };
    },
  };
}

const open = (reference: string, files: Files = {}, foldCase = true): Promise<Table> =>
  openTable(parseReference(reference, "hash"), contextOf(files, foldCase));

function index(pairs: Record<string, string>, nul: boolean): Buffer {
  const entries = new Entries();
  for (const [key, value] of Object.entries(pairs)) entries.add(Buffer.from(key), Buffer.from(value), nul, false);
  return hashFile(entries, Buffer.alloc(20));
}

const configError = (text: string) => (error: unknown) =>
  error instanceof TableError && error.kind === "config" && error.message === text;

test("hash: answers from name.db, whether keys carry a NUL or not", async () => {
  for (const nul of [true, false]) {
    const table = await open("hash:/t", { "/t.db": index({ "user@example.com": "v:w" }, nul) });
    assert.equal(table.get("User@Example.COM"), "v:w");
    assert.equal(table.get("nobody"), undefined);
    assert.deepEqual([...(table.entries?.() ?? [])], [["user@example.com", "v:w"]]);
  }
});

test("hash: keys are taken as they are where folding is off", async () => {
  const table = await open("hash:/t", { "/t.db": index({ Key: "v" }, true) }, false);
  assert.equal(table.get("Key"), "v");
  assert.equal(table.get("key"), undefined);
});

test("hash: a damaged index is named and is to be tried again", async () => {
  await assert.rejects(open("hash:/t", { "/t.db": "rubbish" }), (error) => {
    return error instanceof TableError && error.kind === "retry" && error.message.startsWith("open database /t.db: ");
  });
});

test("a value that is not UTF-8 cannot be told, rather than changed", async () => {
  const entries = new Entries();
  entries.add(Buffer.from("k"), Buffer.from([0xe9]), true, false);
  const table = await open("hash:/t", { "/t.db": hashFile(entries, Buffer.alloc(20)) });
  assert.throws(() => table.get("k"), TableError);
});

test("texthash: answers from its source", async () => {
  const table = await open("texthash:/t", { "/t": "A 1\n# c\nb two\n  words\n" });
  assert.equal(table.get("a"), "1");
  assert.equal(table.get("B"), "two  words");
});

test("texthash: a key that comes twice makes the table unusable, with its line", async () => {
  await assert.rejects(open("texthash:/t", { "/t": "a 1\nA 2\n" }), configError('/t, line 2: duplicate entry: "A"'));
});

test("inline: takes words and braced pairs, and the last of a key", async () => {
  const table = await open("inline:{ a=1, {Bc = two, words}, {b = {x} y}, a=3 }");
  assert.equal(table.get("a"), "3");
  assert.equal(table.get("bc"), "two, words");
  assert.equal(table.get("B"), "{x} y");
});

test("inline: what is wrong is said in Postfix's words", async () => {
  const need = (name: string) => `"inline:${name}"; need "inline:{name=value...}"`;
  await assert.rejects(open("inline:{k}"), configError(`missing '=' after attribute name: ${need("{k}")}`));
  await assert.rejects(open("inline:k=v"), configError(`bad syntax: ${need("k=v")}`));
  await assert.rejects(open("inline:{}"), configError(`bad syntax: ${need("{}")}`));
  await assert.rejects(open("inline:{ }"), configError(`empty table: ${need("{ }")}`));
});

test("static: every key has the value, and it cannot be listed", async () => {
  const table = await open("static:{ hello world }");
  assert.equal(table.get("anything"), "hello world");
  assert.equal(table.entries, undefined);
  assert.equal((await open("static:x:y")).get(""), "x:y");
});

test("a reference without a type is of the default type, and one of an unknown type names those there are", async () => {
  assert.deepEqual(parseReference("/etc/x", "hash"), { text: "hash:/etc/x", type: "hash", name: "/etc/x" });
  assert.throws(() => parseReference("hash:", "hash"), TableError);
  await assert.rejects(open("nis:x"), /unsupported dictionary type: nis \(supported here: [a-z ]+\)/);
});
