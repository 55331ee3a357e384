import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { memoryLog } from "../log/log.ts";
import { plainEnvelope } from "../queue/message.fixture.ts";
import { openSqliteStore, startSqliteWorker } from "../queue/open.ts";
import type { BodyWriter, QueueStore } from "../queue/store.ts";
import { realRuntime } from "../runtime/real.ts";
import { BodyAssembly } from "./body-assembly.ts";

const envelope = (size_bytes: number) => plainEnvelope("s@c.example", ["a@b.example"], size_bytes);

async function wholeBody(store: QueueStore, id: string): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for (let chunk = await store.body(id).chunk(0); chunk; chunk = await store.body(id).chunk(chunks.length))
    chunks.push(chunk);
  return Buffer.concat(chunks);
}

for (const cache_bytes of [0, 1_000_000, 32_000_000]) {
  test(`a large text that becomes several messages is whole in each of them (cache of ${cache_bytes} bytes)`, async (context) => {
    const directory = await mkdtemp(join(tmpdir(), "postern-assembly-"));
    const options = { directory, owner: "a", generation: 0, runtime: realRuntime(), log: memoryLog(), cache_bytes };
    const store = await openSqliteStore(await startSqliteWorker(), options);
    context.after(async () => {
      await store.close();
      await rm(directory, { recursive: true });
    });
    const text = Buffer.from(Array.from({ length: 30_000 }, (_, line) => `line ${line}\r\n`).join(""));
    const assembly = new BodyAssembly(() => [store.beginBody(), store.beginBody(), store.beginBody()]);
    for (let at = 0; at < text.length; at += 10_000) {
      assembly.add(text.subarray(at, at + 10_000));
      await assembly.drain();
    }
    const bodies = (await assembly.finish()) as readonly BodyWriter[];
    const messages = bodies.map((body) => ({
      envelope: envelope(text.length),
      body,
      id: store.nextId(),
      arrival_ms: 1,
    }));
    const stored = await store.acceptAll(messages);
    assert.equal(stored.length, 3);
    for (const { id } of stored) assert.ok(text.equals(await wholeBody(store, id)), id);
  });
}
