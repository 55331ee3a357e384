import assert from "node:assert/strict";
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import type { Files, OpenFile } from "../runtime/files.ts";
import { realRuntime } from "../runtime/real.ts";
import { BuildError, type BuildRuntime, IndexPlace } from "./build.ts";

const runtime = realRuntime();
const skip = process.getuid?.() === 0 ? false : "needs root";
const nobody = 65534;
const base = mkdtempSync(join(tmpdir(), "index-"));
chmodSync(base, 0o755);
after(() => rmSync(base, { recursive: true, force: true }));

let made = 0;

/** A directory with a source, and maybe an index, of these owners. */
function place(owners: { directory?: number; source?: number; mode?: number; index?: number }): string {
  const directory = join(base, String(made++));
  mkdirSync(directory);
  writeFileSync(join(directory, "t"), "a 1\n");
  if (owners.source) chownSync(join(directory, "t"), owners.source, owners.source);
  if (owners.index !== undefined) {
    writeFileSync(join(directory, "t.db"), "old");
    chownSync(join(directory, "t.db"), owners.index, owners.index);
  }
  if (owners.directory) chownSync(directory, owners.directory, owners.directory);
  chmodSync(directory, owners.mode ?? 0o755);
  return join(directory, "t");
}

async function build(path: string, options: { asOwner?: boolean; runtime?: BuildRuntime } = {}): Promise<string[]> {
  const warnings: string[] = [];
  const warn = (text: string) => warnings.push(text);
  const opened = await IndexPlace.open(options.runtime ?? runtime, path, { asOwner: options.asOwner ?? true, warn });
  try {
    await opened.lock();
    const source = await opened.source();
    const facts = await source.facts();
    await source.close();
    await opened.check(".db", facts);
    await opened.write(".db", Buffer.from("new"), { owner: facts, permissions: facts });
  } finally {
    await opened.close();
  }
  return warnings;
}

/** The real disk, on which syncing fails. */
function failing(): BuildRuntime {
  const open: Files["open"] = async (path, flags, mode) => {
    const file: OpenFile = await runtime.files.open(path, flags, mode);
    const sync = async () => {
      throw Object.assign(new Error("no space"), { code: "ENOSPC" });
    };
    return { ...file, sync };
  };
  return { ...runtime, files: { ...runtime.files, open } };
}

test("an index takes the place of the old one as a new file, and nothing else is left behind", async () => {
  const path = place({ index: 0 });
  const old = statSync(`${path}.db`).ino;
  await build(path);
  assert.equal(readFileSync(`${path}.db`, "latin1"), "new");
  assert.notEqual(statSync(`${path}.db`).ino, old);
  assert.deepEqual(readdirSync(join(path, "..")), ["t", "t.db"]);
});

test("when building fails, the old index stays and nothing else is left behind", async () => {
  const path = place({ index: 0 });
  await assert.rejects(build(path, { runtime: failing() }), (error) => {
    return error instanceof BuildError && error.message === `write ${path}.db: No space left on device`;
  });
  assert.equal(readFileSync(`${path}.db`, "latin1"), "old");
  assert.deepEqual(readdirSync(join(path, "..")), ["t", "t.db"]);
});

test("an index that is a link is replaced, not followed", async () => {
  const path = place({});
  const elsewhere = join(base, "elsewhere");
  writeFileSync(elsewhere, "untouched");
  symlinkSync(elsewhere, `${path}.db`);
  await build(path);
  assert.equal(readFileSync(elsewhere, "latin1"), "untouched");
  assert.equal(readFileSync(`${path}.db`, "latin1"), "new");
});

test("two builders of one index take turns", async () => {
  const path = place({});
  const options = { asOwner: true, warn: () => {} };
  const [first, second] = [
    await IndexPlace.open(runtime, path, options),
    await IndexPlace.open(runtime, path, options),
  ];
  const order: string[] = [];
  await first.lock();
  const waiting = second.lock().then(() => order.push("second"));
  order.push("first");
  await first.close();
  await waiting;
  await second.close();
  assert.deepEqual(order, ["first", "second"]);
});

test("root gives the index to the source's owner, where that user could have made it", { skip }, async () => {
  for (const owners of [{ directory: nobody }, { mode: 0o1777 }, { index: nobody }]) {
    const path = place({ source: nobody, ...owners });
    assert.deepEqual(await build(path), []);
    assert.equal(statSync(`${path}.db`).uid, nobody);
  }
});

test("root makes no index for a user who could not have made it", { skip }, async () => {
  for (const owners of [{}, { index: 0 }, { index: 0, mode: 0o1777 }, { directory: nobody, mode: 0o555 }]) {
    const path = place({ source: nobody, ...owners });
    await assert.rejects(build(path), (error) => {
      return error instanceof BuildError && error.message === `open database ${path}.db: Permission denied`;
    });
  }
});

test("a source of root's in somebody else's directory is reported", { skip }, async () => {
  const warnings = await build(place({ directory: nobody }));
  assert.match(warnings.join(), /^Creating root-owned database file\(s\) .* to avoid a privilege-escalation attack\.$/);
});

test("a directory that is exchanged for a link while the index is built does not get it", { skip }, async () => {
  const path = place({ directory: nobody, source: nobody });
  const [directory, target] = [join(path, ".."), join(base, "target")];
  mkdirSync(target);
  const opened = await IndexPlace.open(runtime, path, { asOwner: true, warn: () => {} });
  const source = await opened.source();
  const facts = await source.facts();
  await source.close();
  await runtime.files.rename(directory, `${directory}.moved`);
  symlinkSync(target, directory);
  await opened.check(".db", facts);
  await opened.write(".db", Buffer.from("new"), { owner: facts, permissions: facts });
  await opened.close();
  assert.deepEqual(readdirSync(target), []);
  assert.equal(readFileSync(`${directory}.moved/t.db`, "latin1"), "new");
});
