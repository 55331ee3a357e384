import type { Log } from "../log/log.ts";
import { isGone } from "../queue/owner-lock.ts";
import type { QueueStore } from "../queue/store.ts";
import type { Files } from "../runtime/files.ts";

/**
 * Takes back what relays had in work that have ended without giving it back. Ended is who no longer holds its
 * lock, which the kernel lets go of when a process dies; a lock that is not there was never held.
 */
export async function releaseGoneOwners(
  store: Pick<QueueStore, "owner" | "owners" | "release">,
  files: Files,
  queueDirectory: string,
  log: Log,
): Promise<void> {
  const lock = (owner: string) => `${queueDirectory}/lock/${owner}.lock`;
  for (const owner of await store.owners()) {
    if (owner === store.owner || !isGone(lock(owner))) continue;
    const count = await store.release(owner);
    if (count > 0) log.as("qmgr").info(`took back ${count} messages of a relay that has ended`);
  }
  for (const name of await files.list(`${queueDirectory}/lock`).catch(() => [])) {
    const owner = name.replace(/\.lock$/, "");
    if (owner !== store.owner && name.endsWith(".lock") && isGone(lock(owner))) await files.remove(lock(owner)).catch(() => {});
  }
}
