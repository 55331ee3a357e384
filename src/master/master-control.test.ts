import assert from "node:assert/strict";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { realRuntime } from "../runtime/real.ts";
import { type MasterCommand, startMasterControl } from "./master-control.ts";

const runtime = realRuntime();
const directory = mkdtempSync(join(tmpdir(), "postern-control-"));
after(() => rmSync(directory, { recursive: true, force: true }));
let count = 0;

async function control(run: MasterCommand) {
  const path = join(directory, `s${count++}`);
  const listener = await startMasterControl(runtime, path, run);
  return { path, listener };
}

/** All that comes back until the other side closes. */
function ask(path: string, ...pieces: readonly string[]): Promise<string> {
  return new Promise((resolve) => {
    let text = "";
    const socket: Socket = connect(path, () => {
      for (const piece of pieces) socket.write(piece);
    });
    socket.on("data", (bytes) => (text += bytes.toString()));
    socket.on("error", () => {});
    socket.on("close", () => resolve(text));
  });
}

test("only its owner may give orders, whatever the creation mask, which stays as it was", async () => {
  const before = process.umask(0);
  try {
    const { path, listener } = await control(async () => ({ text: "", status: 0 }));
    assert.equal(statSync(path).mode & 0o777, 0o600);
    assert.equal(process.umask(0), 0);
    await listener.close();
  } finally {
    process.umask(before);
  }
});

test("an order is carried out once, and answered when it is done", async () => {
  const orders: string[] = [];
  const { path, listener } = await control(async (command) => {
    orders.push(command);
    await new Promise((resolve) => setImmediate(resolve));
    return { text: "done", status: 3 };
  });
  assert.deepEqual(JSON.parse(await ask(path, "rel", "oad\n", "stop\n")), { text: "done", status: 3 });
  assert.deepEqual(orders, ["reload"]);
  await listener.close();
});

test("an order that fails unexpectedly is answered, too", async () => {
  const { path, listener } = await control(() => Promise.reject(new Error("a bug")));
  assert.deepEqual(JSON.parse(await ask(path, "reload\n")), { text: "Error: a bug", status: 70 });
  await listener.close();
});

test("an endless order is cut off", async () => {
  const { path, listener } = await control(() => assert.fail("it was carried out"));
  assert.equal(await ask(path, "x".repeat(1000)), "");
  await listener.close();
});

test("closing waits for answers, and for nobody who has not asked", { timeout: 10_000 }, async () => {
  const going = Promise.withResolvers<void>();
  const asked = Promise.withResolvers<void>();
  const { path, listener } = await control(async () => {
    asked.resolve();
    await going.promise;
    return { text: "stopped", status: 0 };
  });
  const idle = ask(path);
  const answer = ask(path, "stop\n");
  await asked.promise;
  const closed = listener.close();
  assert.equal(await idle, "");
  going.resolve();
  assert.deepEqual(JSON.parse(await answer), { text: "stopped", status: 0 });
  await closed;
});
