import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { memoryLog } from "../log/log.ts";
import { tryLock } from "../queue/owner-lock.ts";
import { realFiles } from "../runtime/files.ts";
import { ownerLock, releaseGoneOwners, removeGoneLocks } from "./gone-owners.ts";

const directory = mkdtempSync(join(tmpdir(), "postern-owners-"));
mkdirSync(join(directory, "lock"));
after(() => rmSync(directory, { recursive: true, force: true }));

/** A process that holds an owner's lock until it is killed. */
async function holder(owner: string) {
  const module = new URL("../queue/owner-lock.ts", import.meta.url).href;
  const script = `import { tryLock } from ${JSON.stringify(module)}; if (tryLock(${JSON.stringify(ownerLock(directory, owner))})) console.log("held"); setInterval(() => {}, 1000);`;
  const child = spawn(
    process.execPath,
    ["--disable-warning=ExperimentalWarning", "--input-type=module", "-e", script],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  await new Promise((resolve) => child.stdout.once("data", resolve));
  return async () => {
    const exited = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGKILL");
    await exited;
  };
}

function store(owners: string[]) {
  const released: [string, readonly number[] | undefined][] = [];
  return {
    released,
    owner: "own-3",
    owners: async () => owners,
    release: async (owner: string, refused?: readonly number[]) => {
      released.push([owner, refused]);
      return 2;
    },
  };
}

test("what a relay had is taken back when its process is gone, and not before, without what it refused", async () => {
  tryLock(ownerLock(directory, "own-3"));
  const kill = await holder("alive-1");
  const queue = store(["own-3", "alive-1", "never-2"]);
  const log = memoryLog();
  const refused = [
    { owner: "never-2", batch: 5 },
    { owner: "never-2", batch: 6 },
    { owner: "alive-1", batch: 9 },
  ];
  await releaseGoneOwners(queue, directory, log, refused);
  assert.deepEqual(queue.released, [["never-2", [5, 6]]]);
  assert.deepEqual(log.lines, ["qmgr: took back 2 messages of a relay that has ended"]);
  await kill();
  await releaseGoneOwners(queue, directory, log, refused);
  assert.deepEqual(queue.released.at(-1), ["never-2", [5, 6]]);
  assert.deepEqual(queue.released.at(-2), ["alive-1", [9]]);
});

test("locks of relays that are gone are removed, those that are held and other files stay", async () => {
  const kill = await holder("alive-7");
  writeFileSync(ownerLock(directory, "gone-6"), "");
  writeFileSync(join(directory, "lock", "note"), "");
  await removeGoneLocks(realFiles, directory, "own-3");
  const left = readdirSync(join(directory, "lock")).filter((name) => !name.endsWith("-journal"));
  assert.deepEqual(left.sort(), ["alive-7.lock", "note", "own-3.lock"]);
  await kill();
  await removeGoneLocks(realFiles, join(directory, "nonexistent"), "own-3");
});
