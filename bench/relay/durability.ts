import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { attachStrace, syncCalls } from "../../test/crash/strace.ts";
import { checkSyncs, readTrace, type Verdict } from "../../test/crash/sync-oracle.ts";
import { allArrived, send } from "./measure.ts";
import { family } from "./processes.ts";
import type { Sink } from "./sinks.ts";
import type { System } from "./systems.ts";

const messages = 50;

/** Does it sync before it says 250? By strace, over a few messages that come one after the other. */
export async function checkDurability(system: System, sink: Sink): Promise<Verdict> {
  const directory = mkdtempSync(join(tmpdir(), "postern-strace-"));
  const file = join(directory, "trace");
  try {
    const strace = await attachStrace({ pids: family(system.pid), calls: syncCalls, file });
    const wanted = sink.arrived() + messages;
    await send(system.port, { messages, sessions: 1, size_bytes: 4096, kept: true });
    await strace.detach();
    // What arrives later would be counted with the next round's.
    await allArrived(sink, wanted);
    return checkSyncs(await readTrace(file));
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
