import type { Log } from "../log/log.ts";
import { isGone, preloadLocks, tryLock } from "../queue/owner-lock.ts";
import type { QueueStore } from "../queue/store.ts";
import type { Files } from "../runtime/files.ts";
import type { RefusedBatch } from "./protocol.ts";

/** Locks that die with their process (src/queue/owner-lock.ts). */
export interface OwnerLocking {
  preload(): void;
  /** Something, held until the process ends; undefined when another holds it. */
  tryLock(path: string): unknown;
  isGone(path: string): boolean;
}

export const realLocking: OwnerLocking = { preload: preloadLocks, tryLock, isGone };

/** Where each relay that works on the queue holds a lock of its own. */
export const ownerLocks = (queueDirectory: string): string => `${queueDirectory}/lock`;
export const ownerLock = (queueDirectory: string, owner: string): string =>
  `${ownerLocks(queueDirectory)}/${owner}.lock`;

/**
 * Takes back what relays had in work that have ended without giving it back, except for the batches that they
 * `refused`. Ended is who no longer holds its lock, which the kernel lets go of when a process dies; a lock
 * that is not there was never held.
 */
export async function releaseGoneOwners(
  store: Pick<QueueStore, "owner" | "owners" | "release">,
  queueDirectory: string,
  log: Log,
  refused: readonly RefusedBatch[],
  locks: Pick<OwnerLocking, "isGone"> = realLocking,
): Promise<void> {
  for (const owner of await store.owners()) {
    if (owner === store.owner || !locks.isGone(ownerLock(queueDirectory, owner))) continue;
    const batches = refused.filter((each) => each.owner === owner).map(({ batch }) => batch);
    const count = await store.release(owner, batches);
    if (count > 0) log.as("qmgr").info(`took back ${count} messages of a relay that has ended`);
  }
}

/** Whether no other relay works on the queue. While a master runs, none can come up but at its orders. */
export async function isAlone(
  files: Files,
  queueDirectory: string,
  own: string,
  locks: Pick<OwnerLocking, "isGone"> = realLocking,
): Promise<boolean> {
  const names = await files.list(ownerLocks(queueDirectory));
  const others = names.filter((name) => name.endsWith(".lock") && name !== `${own}.lock`);
  return others.every((name) => locks.isGone(`${ownerLocks(queueDirectory)}/${name}`));
}

/**
 * Removes the locks of relays that have ended. Only while no other relay is coming up: one that has made
 * its lock's file, and not locked it yet, would seem to have ended.
 */
export async function removeGoneLocks(
  files: Files,
  queueDirectory: string,
  own: string,
  locks: Pick<OwnerLocking, "isGone"> = realLocking,
): Promise<void> {
  for (const name of await files.list(ownerLocks(queueDirectory)).catch(() => [])) {
    const owner = name.replace(/\.lock$/, "");
    if (owner === own || !name.endsWith(".lock") || !locks.isGone(ownerLock(queueDirectory, owner))) continue;
    await files.remove(ownerLock(queueDirectory, owner)).catch(() => {});
  }
}
