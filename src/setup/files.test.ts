import assert from "node:assert/strict";
import {
  chmodSync,
  existsSync,
  lstatSync,
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
import { type TestContext, test } from "node:test";
import { realFiles } from "../runtime/files.ts";
import { seededRandom } from "../runtime/random.ts";
import { undo, type World, writeAll } from "./files.ts";

const world: World = { files: realFiles, random: seededRandom(7) };

function place(t: TestContext): { directory: string; main: string; table: string } {
  const directory = mkdtempSync(join(tmpdir(), "setup-files-"));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const main = join(directory, "main.cf");
  writeFileSync(main, "a = 1\n");
  chmodSync(main, 0o640);
  return { directory, main, table: join(directory, "sasl_passwd") };
}

const now = (path: string): string | undefined => (existsSync(path) ? readFileSync(path, "latin1") : undefined);

const texts = (main: string, table: string, round: number) => [
  { path: table, before: now(table), text: `key user:${round}\n`, secret: true },
  { path: main, before: now(main), text: `a = ${round}\n`, secret: false },
];

test("a secret is for its owner alone from its first byte on, and other files keep their mode", async (t) => {
  const { directory, main, table } = place(t);
  const modes: number[] = [];
  const watched: World = {
    ...world,
    files: {
      ...realFiles,
      async open(path, flags, mode) {
        if (path.startsWith(table)) modes.push(mode ?? -1);
        return realFiles.open(path, flags, mode);
      },
    },
  };
  await writeAll(watched, directory, texts(main, table, 2), 0);
  assert.equal(statSync(table).mode & 0o777, 0o600);
  assert.equal(statSync(main).mode & 0o777, 0o640);
  assert.ok(modes.includes(0o600));
  assert.equal(statSync(join(directory, "postern-setup.json")).mode & 0o777, 0o600);
});

test("runs are taken back one by one, the last one first, until everything is as it was", async (t) => {
  const { directory, main, table } = place(t);
  await writeAll(world, directory, texts(main, table, 2), 0);
  await writeAll(world, directory, texts(main, table, 3), 0);
  assert.equal(readFileSync(table, "utf8"), "key user:3\n");
  assert.deepEqual([...(await undo(world, directory)).restored].sort(), [main, table]);
  assert.equal(readFileSync(table, "utf8"), "key user:2\n");
  assert.equal(statSync(table).mode & 0o777, 0o600);
  assert.deepEqual(await undo(world, directory), { restored: [main], removed: [table] });
  assert.equal(readFileSync(main, "utf8"), "a = 1\n");
  assert.equal(statSync(main).mode & 0o777, 0o640);
  assert.deepEqual(readdirSync(directory), ["main.cf"]);
  await assert.rejects(undo(world, directory), /nothing to undo/);
});

test("what somebody changed since is not thrown away, and nothing else is undone either", async (t) => {
  const { directory, main, table } = place(t);
  await writeAll(world, directory, texts(main, table, 2), 0);
  writeFileSync(main, "a = theirs\n");
  await assert.rejects(undo(world, directory), /main\.cf was changed after setup wrote it/);
  assert.equal(readFileSync(main, "utf8"), "a = theirs\n");
  assert.equal(readFileSync(table, "utf8"), "key user:2\n");
});

test("a full disk leaves everything as it was, but for a copy", async (t) => {
  const { directory, main, table } = place(t);
  const full: World = {
    ...world,
    files: {
      ...realFiles,
      async open(path, flags, mode) {
        const file = await realFiles.open(path, flags, mode);
        if (!path.startsWith(table)) return file;
        return { ...file, write: () => Promise.reject(Object.assign(new Error("full"), { code: "ENOSPC" })) };
      },
    },
  };
  await assert.rejects(writeAll(full, directory, texts(main, table, 2), 0), /sasl_passwd.* cannot be written: ENOSPC/);
  assert.equal(readFileSync(main, "utf8"), "a = 1\n");
  assert.deepEqual(
    readdirSync(directory).filter((name) => name.startsWith("sasl_passwd")),
    [],
  );
});

test("what somebody changed between the look and the writing is not overwritten", async (t) => {
  const { directory, main, table } = place(t);
  const planned = texts(main, table, 2);
  writeFileSync(main, "a = theirs\n");
  await assert.rejects(writeAll(world, directory, planned, 0), /main\.cf was changed by somebody else meanwhile/);
  assert.equal(readFileSync(main, "utf8"), "a = theirs\n");
  assert.ok(!existsSync(table));
});

test("a copy of passwords is for its owner alone, whoever could read them before", async (t) => {
  const { directory, main, table } = place(t);
  writeFileSync(table, "old user:old\n", { mode: 0o644 });
  await writeAll(world, directory, texts(main, table, 2), 0);
  assert.equal(statSync(`${table}.before-setup.1`).mode & 0o777, 0o600);
});

test("a symbolic link stays one, and what it leads to is put back", async (t) => {
  const { directory, main, table } = place(t);
  writeFileSync(join(directory, "real"), "old user:old\n", { mode: 0o600 });
  symlinkSync("real", table);
  await writeAll(world, directory, texts(main, table, 2), 0);
  assert.equal(readFileSync(join(directory, "real"), "utf8"), "key user:2\n");
  await undo(world, directory);
  assert.ok(lstatSync(table).isSymbolicLink());
  assert.equal(readFileSync(join(directory, "real"), "utf8"), "old user:old\n");
});
