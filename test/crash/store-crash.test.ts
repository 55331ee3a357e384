import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as wait } from "node:timers/promises";
import { memoryLog } from "../../src/log/log.ts";
import { openSqliteStore, startSqliteWorker } from "../../src/queue/open.ts";
import type { QueueStore } from "../../src/queue/store.ts";
import { realRuntime } from "../../src/runtime/real.ts";
import { wholeBody } from "../conformance/queue-store.ts";
import { bodyOf } from "./store-load.ts";

/** Killing does not test power loss (the page cache survives it): power-cut.test.ts does. */
const rounds = Number(process.env.POSTERN_CRASH_ROUNDS ?? 20);

/** What the children said, over all rounds. */
class Ledger {
  readonly accepted = new Set<string>();
  readonly sending = new Set<string>();
  readonly gone = new Set<string>();

  take(output: string): void {
    // The last line may have been cut off by the kill.
    for (const line of output.split("\n").slice(0, -1)) {
      const [what, id = ""] = line.split(" ");
      if (what === "accepted") this.accepted.add(id);
      else if (what === "sending") this.sending.add(id);
      else if (what === "gone") this.gone.add(id);
    }
  }
}

async function runAndKill(args: readonly string[], after_ms: number): Promise<string> {
  const program = new URL("./store-crash.child.ts", import.meta.url).pathname;
  const child = spawn(process.execPath, [program, ...args], { stdio: ["ignore", "pipe", "inherit"] });
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output += text;
  });
  const closed = once(child, "close");
  await Promise.race([once(child.stdout, "data"), closed]);
  await wait(after_ms);
  child.kill("SIGKILL");
  await closed;
  return output;
}

async function check(store: QueueStore, ledger: Ledger): Promise<void> {
  const present = new Set<string>();
  for (let after: string | undefined; ; ) {
    const page = await store.list(after, 500);
    for (const { queue, envelope } of page) {
      assert.notEqual(queue, "corrupt", envelope.id);
      present.add(envelope.id);
    }
    after = page.at(-1)?.envelope.id;
    if (after === undefined) break;
  }
  const lost = [...ledger.accepted].filter((id) => !present.has(id) && !ledger.sending.has(id));
  assert.deepEqual(lost, [], "acknowledged, and lost");
  const revenants = [...ledger.gone].filter((id) => present.has(id));
  assert.deepEqual(revenants, [], "settled, and back again");
  for (const id of present) assert.ok(bodyOf(id).equals(await wholeBody(store, id)), `the body of ${id}`);
  const counts = await store.counts();
  assert.equal(counts.active + counts.deferred, present.size);
}

test(`kill -9 at ${rounds} random moments: nothing acknowledged is lost, nothing settled comes back`, async (context) => {
  const directory = await mkdtemp(join(tmpdir(), "postern-crash-"));
  context.after(() => rm(directory, { recursive: true }));
  const ledger = new Ledger();
  for (let round = 1; round <= rounds; round++) {
    const args = [directory, `relay-${round}`, String(round), `relay-${round - 1}`];
    ledger.take(await runAndKill(args, Math.random() * 250));
    const engine = await startSqliteWorker();
    const options = { directory, owner: "check", generation: round + 1, runtime: realRuntime(), log: memoryLog() };
    const store = await openSqliteStore(engine, options);
    await check(store, ledger);
    await store.close();
  }
  assert.ok(ledger.accepted.size > rounds, "the children did something");
  context.diagnostic(`${ledger.accepted.size} acknowledged, ${ledger.gone.size} settled`);
});
