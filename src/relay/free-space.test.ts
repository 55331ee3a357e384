import assert from "node:assert/strict";
import { test } from "node:test";
import { memoryLog } from "../log/log.ts";
import { type FileSystemFacts, type Files, realFiles } from "../runtime/files.ts";
import { ManualClock } from "../runtime/manual-clock.ts";
import { FreeSpace } from "./free-space.ts";

const conf = { message_size_limit: 1000, queue_minfree: 0 };

function setUp(first: Partial<FileSystemFacts> | Error, more: { reusable?: number; conf?: typeof conf } = {}) {
  const clock = new ManualClock();
  const log = memoryLog();
  const disk = { now: first };
  const files: Files = {
    ...realFiles,
    space: async () => {
      if (disk.now instanceof Error) throw disk.now;
      return { free_bytes: 0, free_inodes: 1000, type: 0, ...disk.now };
    },
  };
  const space = new FreeSpace({ files, clock, log }, "/q", async () => more.reusable ?? 0, more.conf ?? conf);
  const look = async (next: Partial<FileSystemFacts> | Error) => {
    disk.now = next;
    clock.advance(2000);
    space.refresh();
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { space, clock, log, disk, look };
}

test("mail is refused under half again the largest message, and taken again above it; both are said once", async () => {
  const { space, log, look } = setUp({ free_bytes: 1500 });
  await space.start();
  assert.equal(space.enough, true);
  await look({ free_bytes: 1499 });
  assert.equal(space.enough, false);
  await look({ free_bytes: 1000 });
  await look({ free_bytes: 2000 });
  assert.equal(space.enough, true);
  assert.equal(log.lines.length, 2);
  assert.match(log.lines[0] ?? "", /not enough free space in mail queue: 1499 bytes free in \/q, 1500 needed/);
  space.close();
});

test("queue_minfree counts where it is more, and what the queue can use again counts as free", async () => {
  const larger = setUp({ free_bytes: 1600 }, { conf: { ...conf, queue_minfree: 1700 } });
  await larger.space.start();
  assert.equal(larger.space.enough, false);
  larger.space.close();
  const reusable = setUp({ free_bytes: 100 }, { reusable: 5000 });
  await reusable.space.start();
  assert.equal(reusable.space.enough, true);
  reusable.space.close();
});

test("few inodes are no room; none told at all is a file system that does not count them", async () => {
  const { space, look } = setUp({ free_bytes: 9999, free_inodes: 3 });
  await space.start();
  assert.equal(space.enough, false);
  await look({ free_bytes: 9999, free_inodes: 0 });
  assert.equal(space.enough, true);
  space.close();
});

test("where it cannot be told, what was known stays, and that is said once", async () => {
  const { space, log, look } = setUp({ free_bytes: 9999 });
  await space.start();
  for (let count = 0; count < 3; count++) await look(Object.assign(new Error("no"), { code: "EIO" }));
  assert.equal(space.enough, true);
  assert.deepEqual(log.lines, ["test: warning: cannot tell the free space of /q: EIO"]);
  await look({ free_bytes: 1 });
  assert.equal(space.enough, false);
  space.close();
});

test("nothing wakes while there is room; while there is none, it is looked for", async () => {
  const { space, clock, look } = setUp({ free_bytes: 9999 });
  await space.start();
  assert.equal(clock.next_ms, undefined);
  await look({ free_bytes: 1 });
  assert.notEqual(clock.next_ms, undefined);
  await look({ free_bytes: 9999 });
  assert.equal(clock.next_ms, undefined);
  space.close();
});

test("a figure that is not fresh is renewed by the question", async () => {
  const { space, clock, disk } = setUp({ free_bytes: 9999 });
  await space.start();
  disk.now = { free_bytes: 1 };
  assert.equal(space.enough, true);
  clock.advance(2000);
  assert.equal(space.enough, true);
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(space.enough, false);
  space.close();
});

test("closing leaves no timer", async () => {
  const { space, clock } = setUp({ free_bytes: 1 });
  await space.start();
  space.close();
  assert.equal(clock.next_ms, undefined);
});
