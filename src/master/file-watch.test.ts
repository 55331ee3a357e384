import assert from "node:assert/strict";
import {
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { countedFiles } from "../../test/lab/counted-files.ts";
import { type Files, realFiles } from "../runtime/files.ts";
import { ManualClock } from "../runtime/manual-clock.ts";
import { type FileChange, FileWatch } from "./file-watch.ts";

let directory = "";
let watch: FileWatch;
let clock: ManualClock;
let changes: FileChange[] = [];
/** What the kernel would say; undefined: it says nothing, and only looking helps. */
let notices: ((name: string | undefined) => void)[] = [];

const quiet: Files = {
  ...realFiles,
  watch: (_directory, changed) => {
    notices.push(changed);
    return { close() {} };
  },
};
const { files, settled } = countedFiles(quiet);

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "postern-watch-"));
  clock = new ManualClock();
  changes = [];
  notices = [];
  watch = new FileWatch(files, clock, (change) => changes.push(change));
});
afterEach(() => {
  watch.close();
  rmSync(directory, { recursive: true, force: true });
});

const path = (name: string): string => join(directory, name);
const index = (name: string, limit_bytes = 1000) => ({ path: path(name), role: "index" as const, limit_bytes });
const text = (change: FileChange | undefined): string => Buffer.from(change?.bytes ?? []).toString();

/** Goes on for so long, looking as often as it likes. */
async function pass(by_ms: number): Promise<void> {
  for (let left = by_ms; left > 0; left -= 50) {
    clock.advance(50);
    await settled();
  }
}

test("what is there when it begins is known, and reported only when it changes", async () => {
  writeFileSync(path("t.db"), "one");
  await watch.follow([index("t.db")]);
  await pass(5000);
  assert.deepEqual(changes, []);
});

test("a file that changed between the relay's reading it and the first look is reported", async () => {
  writeFileSync(path("t.db"), "one");
  const read_ms = statSync(path("t.db")).mtimeMs;
  utimesSync(path("t.db"), 1_700_000_000, 1_700_000_000);
  await watch.follow([{ ...index("t.db"), read_ms }]);
  await pass(5000);
  assert.equal(changes.length, 1);
  await watch.follow([{ ...index("t.db"), read_ms: 1_700_000_000_000 }]);
  await pass(5000);
  assert.equal(changes.length, 1, "one that is as it was read is known");
});

test("a file that is renamed over the old one is reported once, with its bytes and time", async () => {
  writeFileSync(path("t.db"), "one");
  await watch.follow([index("t.db")]);
  writeFileSync(path("new"), "two");
  utimesSync(path("new"), 1_700_000_000, 1_700_000_000);
  renameSync(path("new"), path("t.db"));
  await pass(6000);
  assert.deepEqual(
    changes.map((each) => [text(each), each.mtime_ms, each.problem]),
    [["two", 1_700_000_000_000, undefined]],
  );
});

test("a rewrite in place is reported once it has settled, and not while it goes on", async () => {
  writeFileSync(path("t.db"), "one");
  await watch.follow([index("t.db")]);
  for (const each of ["", "half", "half and more"]) {
    writeFileSync(path("t.db"), each);
    for (const notice of notices) notice("t.db");
    await pass(150);
    assert.deepEqual(changes, []);
  }
  writeFileSync(path("t.db"), "whole text");
  await pass(3000);
  assert.deepEqual(changes.map(text), ["whole text"]);
});

test("a notice of the kernel makes it quick", async () => {
  writeFileSync(path("t.db"), "one");
  await watch.follow([index("t.db")]);
  writeFileSync(path("t.db"), "two!");
  for (const notice of notices) notice("t.db");
  await pass(500);
  assert.equal(changes.length, 1);
});

test("a directory where something happens all the time does not keep it from looking", async () => {
  writeFileSync(path("t.db"), "one");
  await watch.follow([index("t.db")]);
  writeFileSync(path("t.db"), "two!");
  for (let count = 0; count < 40; count++) {
    for (const notice of notices) notice("mail.log");
    await pass(50);
  }
  assert.equal(changes.length, 1);
});

test("a symbolic link that is swapped, at the file or above it, is a change", async () => {
  for (const version of ["1", "2", "3"]) {
    mkdirSync(path(`v${version}`));
    writeFileSync(path(`v${version}/t.db`), `version ${version}`);
  }
  symlinkSync("v1", path("current"));
  await watch.follow([index("current/t.db")]);
  symlinkSync("v2", path("next"));
  renameSync(path("next"), path("current"));
  await pass(5000);
  assert.deepEqual(changes.map(text), ["version 2"]);
  unlinkSync(path("v2/t.db"));
  symlinkSync("../v3/t.db", path("v2/t.db"));
  await pass(5000);
  assert.deepEqual(changes.map(text), ["version 2", "version 3"]);
});

test("a file that goes away and comes back is told each time", async () => {
  writeFileSync(path("t.db"), "one");
  await watch.follow([index("t.db")]);
  unlinkSync(path("t.db"));
  await pass(5000);
  assert.deepEqual([changes[0]?.bytes, changes[0]?.mtime_ms], [undefined, 0]);
  assert.match(changes[0]?.problem ?? "", /no such file|ENOENT/i);
  writeFileSync(path("t.db"), "two");
  await pass(5000);
  assert.deepEqual([changes.length, text(changes[1])], [2, "two"]);
});

test("of a source only the time is told", async () => {
  writeFileSync(path("t"), "one");
  await watch.follow([{ path: path("t"), role: "source", limit_bytes: 0 }]);
  writeFileSync(path("t"), "two, and longer");
  await pass(5000);
  const [change] = changes;
  assert.deepEqual([changes.length, change?.bytes, change?.mtime_ms], [1, undefined, statSync(path("t")).mtimeMs]);
});

test("a file that is larger than it may be is a problem, and not read", async () => {
  writeFileSync(path("t.db"), "one");
  await watch.follow([index("t.db", 10)]);
  writeFileSync(path("t.db"), "x".repeat(100));
  await pass(5000);
  assert.equal(changes[0]?.bytes, undefined);
  assert.match(changes[0]?.problem ?? "", /larger|too large/i);
});

test("bytes that were no good are read again, changed or not", async () => {
  writeFileSync(path("t.db"), "one");
  await watch.follow([index("t.db")]);
  watch.again(path("t.db"));
  watch.again("/not/followed");
  await pass(3000);
  assert.equal(changes.length, 1);
});

test("following others forgets the first, and closing ends it", async () => {
  writeFileSync(path("a.db"), "a");
  writeFileSync(path("b.db"), "b");
  await watch.follow([index("a.db")]);
  await watch.follow([index("b.db")]);
  writeFileSync(path("a.db"), "aa");
  writeFileSync(path("b.db"), "bb");
  await pass(5000);
  assert.deepEqual(changes.map(text), ["bb"]);
  watch.close();
  writeFileSync(path("b.db"), "bbb");
  await pass(5000);
  assert.equal(changes.length, 1);
  assert.equal(clock.next_ms, undefined);
});
