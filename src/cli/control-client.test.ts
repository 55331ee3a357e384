import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { realClock } from "../runtime/clock.ts";
import { ManualClock } from "../runtime/manual-clock.ts";
import { realNet } from "../runtime/net.ts";
import { askRelay, NotRunning } from "./control-client.ts";

const directory = mkdtempSync(join(tmpdir(), "postern-client-"));
after(() => rmSync(directory, { recursive: true, force: true }));
let count = 0;
const world = { net: realNet, clock: realClock };

/** A relay that answers as told. */
async function relay(answer: (socket: Socket) => void): Promise<{ path: string; close(): void }> {
  const path = join(directory, `s${count++}`);
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.once("data", () => answer(socket));
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  return { path, close: () => server.close() };
}

async function all(answers: AsyncGenerator<object>): Promise<object[]> {
  const found: object[] = [];
  for await (const each of answers) found.push(each);
  return found;
}

test("lines arrive whole, wherever they were cut, in characters too", async () => {
  const bytes = Buffer.from('{"a":"grüße 日本"}\n{"b":1}\n{"end":true}\n');
  for (let cut = 1; cut < bytes.length; cut++) {
    const { path, close } = await relay((socket) => {
      socket.write(bytes.subarray(0, cut));
      setImmediate(() => socket.end(bytes.subarray(cut)));
    });
    assert.deepEqual(
      await all(askRelay(world, path, { command: "status" })),
      [{ a: "grüße 日本" }, { b: 1 }],
      `cut at ${cut}`,
    );
    close();
  }
});

test("no relay, an error it tells, and an end in the middle are told apart", async () => {
  await assert.rejects(all(askRelay(world, join(directory, "none"), { command: "list" })), NotRunning);
  const told = await relay((socket) => socket.end('{"error":"no such command"}\n'));
  await assert.rejects(all(askRelay(world, told.path, { command: "list" })), /^Error: no such command$/);
  told.close();
  const cut = await relay((socket) => socket.end('{"a":1}\n{"b"'));
  await assert.rejects(all(askRelay(world, cut.path, { command: "list" })), /ended before it had answered/);
  cut.close();
});

test("a relay that says nothing is not waited for without end", async () => {
  const clock = new ManualClock();
  const { path, close } = await relay(() => {});
  const asked = all(askRelay({ net: realNet, clock }, path, { command: "list" }));
  while (clock.next_ms === undefined) await new Promise((resolve) => setImmediate(resolve));
  clock.advance(60_000);
  await assert.rejects(asked, /ended before it had answered/);
  close();
});

test("whoever stops listening leaves nothing open", async () => {
  const ended = Promise.withResolvers<void>();
  const { path, close } = await relay((socket) => {
    socket.on("close", () => ended.resolve());
    socket.write('{"a":1}\n'.repeat(10));
  });
  for await (const _ of askRelay(world, path, { command: "list" })) break;
  await ended.promise;
  close();
});
