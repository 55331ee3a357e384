import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { isGone, tryLock } from "./owner-lock.ts";

test("a lock is held once, in this process too, and can be had again when it was released", async (context) => {
  const directory = await mkdtemp(join(tmpdir(), "postern-lock-"));
  context.after(() => rm(directory, { recursive: true }));
  const path = join(directory, "a.lock");
  const lock = tryLock(path);
  assert.ok(lock);
  assert.equal(tryLock(path), undefined);
  assert.equal(isGone(path), false);
  assert.equal(isGone(join(directory, "b.lock")), true);
  lock.release();
  lock.release();
  assert.equal(isGone(path), true);
  tryLock(path)?.release();
});

test("a lock is held until it is released, whether anything refers to it or not", async (context) => {
  const directory = await mkdtemp(join(tmpdir(), "postern-lock-"));
  context.after(() => rm(directory, { recursive: true }));
  const path = join(directory, "a.lock");
  const program = `import { tryLock } from ${JSON.stringify(new URL("./owner-lock.ts", import.meta.url))};
    tryLock(process.argv[1]);
    for (let left = 5; left > 0; left--) await new Promise((resolve) => { gc(); setImmediate(resolve); });
    console.log("collected"); setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ["--expose-gc", "--input-type=module-typescript", "-e", program, path], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  context.after(() => child.kill("SIGKILL"));
  await once(child.stdout, "data");
  assert.equal(isGone(path), false);
});

test("a lock dies with the process that held it, however it ends", async (context) => {
  const directory = await mkdtemp(join(tmpdir(), "postern-lock-"));
  context.after(() => rm(directory, { recursive: true }));
  const path = join(directory, "a.lock");
  const program = `import { tryLock } from ${JSON.stringify(new URL("./owner-lock.ts", import.meta.url))};
    globalThis.lock = tryLock(process.argv[1]); console.log("held"); setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ["--input-type=module-typescript", "-e", program, path], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await once(child.stdout, "data");
  assert.equal(tryLock(path), undefined);
  const exited = once(child, "exit");
  child.kill("SIGKILL");
  await exited;
  assert.equal(isGone(path), true);
});

test("after preloadLocks() a lock needs no code from disk: privileges may be gone by then", async (context) => {
  const directory = await mkdtemp(join(tmpdir(), "postern-lock-"));
  context.after(() => rm(directory, { recursive: true }));
  const run = (first: string) => {
    const program = `import { preloadLocks, tryLock } from ${JSON.stringify(new URL("./owner-lock.ts", import.meta.url))};
      ${first}
      process.dlopen = () => { throw new Error("too late"); };
      process.exit(tryLock(${JSON.stringify(join(directory, "a.lock"))}) ? 0 : 3);`;
    return spawnSync(process.execPath, ["--input-type=module-typescript", "--eval", program], { stdio: "ignore" })
      .status;
  };
  assert.equal(run("preloadLocks();"), 0);
  assert.notEqual(run(""), 0);
});
