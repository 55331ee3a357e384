import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { realFiles } from "../runtime/files.ts";
import { forgetNoted, notedRefused, noteRefused } from "./refused-notes.ts";

const directory = mkdtempSync(join(tmpdir(), "postern-refused-"));
mkdirSync(join(directory, "lock"));
after(() => rmSync(directory, { recursive: true, force: true }));

test("what was refused is known to whoever looks, until it has been removed", async () => {
  const batches = [
    { owner: "5c421f50d123-1", batch: 7 },
    { owner: "5c421f50d123-1", batch: 9007199254740 },
  ];
  writeFileSync(join(directory, "lock", "5c421f50d123-1.lock"), "");
  writeFileSync(join(directory, "lock", "x.y.refused"), "");
  assert.deepEqual(await noteRefused(realFiles, directory, batches), []);
  assert.deepEqual(await noteRefused(realFiles, directory, batches.slice(1)), []);
  assert.deepEqual(
    (await notedRefused(realFiles, directory)).sort((a, b) => a.batch - b.batch),
    batches,
  );
  await forgetNoted(realFiles, directory, batches.slice(0, 1));
  assert.deepEqual(await notedRefused(realFiles, directory), batches.slice(1));
  await forgetNoted(realFiles, directory, batches);
  assert.deepEqual(readdirSync(join(directory, "lock")).sort(), ["5c421f50d123-1.lock", "x.y.refused"]);
});

test("a note that is not synced counts for nothing", async () => {
  const batches = [{ owner: "b-1", batch: 1 }];
  const files = { ...realFiles, syncDirectory: () => Promise.reject(new Error("EIO")) };
  assert.deepEqual(await noteRefused(files, directory, batches), batches);
  await forgetNoted(realFiles, directory, batches);
});

test("where nothing can be noted, that is told and nothing else happens", async () => {
  const batches = [{ owner: "a-1", batch: 1 }];
  assert.deepEqual(await noteRefused(realFiles, join(directory, "nowhere"), batches), batches);
});
