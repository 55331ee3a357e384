import assert from "node:assert/strict";
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { queuePaths } from "../conf/queue-paths.ts";
import { realFiles } from "../runtime/files.ts";
import { prepareQueueDirectory, QueueDirectoryError } from "./queue-directory.ts";

const skip = process.getuid?.() === 0 ? false : "needs root";
const owner = { name: "postfix", uid: 12_345, gid: 12_346, groups: [] };
const maildropGroup = 12_347;

let base = "";
beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), "postern-queue-"));
});
afterEach(() => rmSync(base, { recursive: true, force: true }));

const facts = (path: string): [number, number, string] => {
  const { uid, gid, mode } = statSync(path);
  return [uid, gid, (mode & 0o7777).toString(8)];
};

const prepare = (directory: string) => prepareQueueDirectory(realFiles, queuePaths(directory), owner, maildropGroup);
const refusal = (text: RegExp) => (error: unknown) => error instanceof QueueDirectoryError && text.test(error.message);

function assertPrepared(directory: string): void {
  const { base: own, maildrop, public: open, queue } = queuePaths(directory);
  assert.deepEqual(facts(own), [0, 0, "755"]);
  assert.deepEqual(facts(maildrop), [12_345, 12_347, "3733"]);
  assert.deepEqual(facts(open), [12_345, 12_346, "755"]);
  assert.deepEqual(facts(queue), [12_345, 12_346, "700"]);
}

test("what is missing is made, with the directories above it, whatever the creation mask", { skip }, async () => {
  const directory = join(base, "var", "spool");
  const before = process.umask(0o077);
  try {
    await prepare(directory);
  } finally {
    process.umask(before);
  }
  assertPrepared(directory);
  assert.deepEqual(
    [facts(directory), facts(join(base, "var"))],
    [
      [0, 0, "755"],
      [0, 0, "755"],
    ],
  );
});

test("wrong owners and modes are mended, and nothing else is touched", { skip }, async () => {
  await prepare(base);
  const { maildrop, queue, public: open } = queuePaths(base);
  for (const path of [maildrop, queue, open]) {
    chownSync(path, 7, 7);
    chmodSync(path, 0o777);
  }
  writeFileSync(join(queue, "queue.db"), "");
  chownSync(join(queue, "queue.db"), 7, 7);
  await prepare(base);
  assertPrepared(base);
  assert.deepEqual(facts(join(queue, "queue.db"))[0], 7);
  await prepare(base);
  assertPrepared(base);
});

test("a link in the place of a directory is refused, and what it points to is not touched", { skip }, async () => {
  const victim = join(base, "victim");
  mkdirSync(victim, { mode: 0o750 });
  chownSync(victim, 9, 9);
  for (const name of ["", "maildrop", "queue", "public"]) {
    const directory = join(base, `q${name}`);
    mkdirSync(name === "" ? directory : join(directory, "postern"), { recursive: true });
    symlinkSync(victim, join(directory, "postern", name).replace(/\/$/, ""));
    await assert.rejects(prepare(directory), refusal(/is a symbolic link: remove it$/), name);
    assert.deepEqual(facts(victim), [9, 9, "750"]);
  }
});

test("a file or a FIFO in the place of a directory is refused", { skip }, async () => {
  mkdirSync(join(base, "postern"));
  writeFileSync(join(base, "postern", "queue"), "");
  await assert.rejects(prepare(base), refusal(/queue is not a directory: remove it$/));
});

test("as root, a queue directory in which others may write is refused", { skip }, async () => {
  chmodSync(base, 0o775);
  await assert.rejects(prepare(base), refusal(/can be written by others than root: chmod go-w/));
  chmodSync(base, 0o755);
  chownSync(base, 12_345, 0);
  await assert.rejects(prepare(base), refusal(/does not belong to root, but to user 12345: chown root/));
});

test("without root everything is ours, with the same modes", async () => {
  await prepareQueueDirectory(realFiles, queuePaths(base), undefined, undefined);
  const { base: own, maildrop, public: open, queue } = queuePaths(base);
  assert.deepEqual(
    [own, maildrop, open, queue].map((path) => facts(path)[2]),
    ["755", "3733", "755", "700"],
  );
  assert.equal(facts(queue)[0], process.getuid?.());
});

test("a name too long for its sockets is told with how long it may be", async () => {
  const directory = `/${"x".repeat(100)}`;
  await assert.rejects(
    prepareQueueDirectory(realFiles, queuePaths(directory), undefined, undefined),
    refusal(/at most 84 bytes$/),
  );
});
