import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { memoryLog } from "../log/log.ts";
import { realFiles } from "../runtime/files.ts";
import { ManualClock } from "../runtime/manual-clock.ts";
import { EngineError } from "./engine.ts";
import { MemoryEngine, MemoryQueue } from "./memory-engine.ts";
import { type OpenableEngine, openSqliteStore, QueueOpenError } from "./open.ts";

const directory = mkdtempSync(join(tmpdir(), "postern-open-"));
after(() => rmSync(directory, { recursive: true, force: true }));

test("a queue whose first write fails is not waited for, noted or not", { timeout: 20_000 }, async () => {
  const inner = new MemoryEngine(new MemoryQueue(), "a");
  const engine: OpenableEngine = {
    open: async () => 0,
    commit: async () => {
      throw new EngineError("failed", "the disk is gone");
    },
    read: (read) => inner.read(read),
    close: async () => {},
  };
  for (const noted of [true, false]) {
    const opened = openSqliteStore(engine, {
      directory,
      owner: "a",
      generation: 1,
      runtime: { clock: new ManualClock(), files: realFiles },
      log: memoryLog(),
      refused: [{ owner: "b", batch: 7 }],
      noteRefused: async () => noted,
    });
    await assert.rejects(opened, (error) => error instanceof QueueOpenError && /the disk is gone/.test(error.message));
  }
});
