import assert from "node:assert/strict";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { realFiles } from "../runtime/files.ts";
import { TableError } from "../table/table.ts";
import { readInclude } from "./include.ts";

test("a file is read, one that everybody can write is refused, a missing one is no answer", async (t) => {
  const directory = await mkdtemp(join(tmpdir(), "include-"));
  t.after(() => rm(directory, { recursive: true }));
  const path = join(directory, "list");
  await writeFile(path, "a@x\n");
  assert.deepEqual(await readInclude(realFiles, path), { kind: "text", text: "a@x\n" });
  await chmod(path, 0o666);
  assert.equal((await readInclude(realFiles, path)).kind, "refused");
  assert.equal((await readInclude(realFiles, directory)).kind, "refused");
  await assert.rejects(() => readInclude(realFiles, join(directory, "none")), TableError);
});
