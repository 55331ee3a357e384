import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { attachStrace, syncCalls } from "../../test/crash/strace.ts";
import { checkSyncs, readTrace, type Verdict } from "../../test/crash/sync-oracle.ts";
import { send } from "./measure.ts";
import { family } from "./processes.ts";
import type { System } from "./systems.ts";

/** Does it sync before it says 250? By strace, over a few messages that come one after the other. */
export async function checkDurability(system: System): Promise<Verdict> {
  const directory = mkdtempSync(join(tmpdir(), "postern-strace-"));
  const file = join(directory, "trace");
  try {
    const strace = await attachStrace({ pids: family(system.pid), calls: syncCalls, file });
    await send(system.port, { messages: 50, sessions: 1, size_bytes: 4096, kept: true });
    await strace.detach();
    return checkSyncs(await readTrace(file));
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
