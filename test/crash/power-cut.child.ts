import { setTimeout as wait } from "node:timers/promises";
import { memoryLog } from "../../src/log/log.ts";
import { openSqliteStore, startSqliteWorker } from "../../src/queue/open.ts";
import type { RefusedBatch } from "../../src/queue/store.ts";
import { realRuntime } from "../../src/runtime/real.ts";
import { say, work } from "./store-load.ts";

/**
 * A store at work (store-load.ts) whose disk is recorded. When it fails it says `batch OWNER.NUMBER` for each batch that
 * it had refused, before any `refused`; a successor opens the queue and goes on. Arguments: directory, messages for each of 8 clients.
 */
const [directory = "", most = "0"] = process.argv.slice(2);

/** Each successor does half as much: strace counts syncs by thread, so that each may fail in its turn. */
async function serve(
  generation: number,
  messages: number,
  predecessor: string,
  refused: readonly RefusedBatch[],
): Promise<void> {
  const owner = `relay-${generation}`;
  const options = { directory, owner, generation, runtime: realRuntime(), log: memoryLog(), refused };
  const store = await openSqliteStore(await startSqliteWorker(), { ...options, checkpoint_bytes: 262_144 });
  const numbers = refused.map(({ batch }) => batch);
  await store.release(predecessor, numbers);
  const failed = store.failed.then(() => {
    for (const { owner: of, batch } of store.refusedBatches) say("batch", `${of}.${batch}`);
    return true;
  });
  const clients = Promise.allSettled(Array.from({ length: 8 }, () => work(store, messages)));
  // A client of a failed store may wait for a turn that does not come any more, as in a relay that is about to end.
  const broken = await Promise.race([failed, clients.then((all) => all.some(({ status }) => status === "rejected"))]);
  if (broken) {
    await failed;
    await wait(100);
    const batches = store.refusedBatches;
    await serve(generation + 1, messages >> 1, owner, batches);
  } else await store.close();
}

await serve(1, Number(most), "", []);
process.exit(0);
