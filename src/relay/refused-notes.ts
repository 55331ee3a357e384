import { errorCode, type Files, openFlags } from "../runtime/files.ts";
import { ownerLocks } from "./gone-owners.ts";
import type { RefusedBatch } from "./protocol.ts";

/**
 * Batches that were refused after a failed sync, noted beside the queue: the master knows them too, but may be stopped
 * before a successor is up. A note is an empty file whose name says it all, so it is there whole or not at all.
 * On a disk that fails there may be no note: then nobody is told of a refusal, and the master's word has to do.
 */
const ending = ".refused";

const noteOf = (queueDirectory: string, { owner, batch }: RefusedBatch): string =>
  `${ownerLocks(queueDirectory)}/${owner}.${batch}${ending}`;

/** Never rejects; the batches of which there may be no note after a loss of power. */
export async function noteRefused(
  files: Files,
  queueDirectory: string,
  batches: readonly RefusedBatch[],
): Promise<RefusedBatch[]> {
  const missing: RefusedBatch[] = [];
  const { write, create, noFollow } = openFlags;
  for (const batch of batches) {
    try {
      const file = await files.open(noteOf(queueDirectory, batch), write | create | noFollow, 0o600);
      await file.close();
    } catch {
      missing.push(batch);
    }
  }
  const synced = files.syncDirectory(ownerLocks(queueDirectory)).then(
    () => true,
    () => false,
  );
  return (await synced) ? missing : [...batches];
}

/** What predecessors have noted. Throws Node's error where that cannot be told. */
export async function notedRefused(files: Files, queueDirectory: string): Promise<RefusedBatch[]> {
  const names = await files.list(ownerLocks(queueDirectory));
  return names.flatMap((name) => {
    const [, owner, batch] = /^([0-9A-Za-z-]+)\.(\d{1,15})\.refused$/.exec(name) ?? [];
    return owner === undefined ? [] : [{ owner, batch: Number(batch) }];
  });
}

/** They have been removed from the queue. */
export async function forgetNoted(
  files: Files,
  queueDirectory: string,
  batches: readonly RefusedBatch[],
): Promise<void> {
  for (const batch of batches) {
    await files.remove(noteOf(queueDirectory, batch)).catch((error: unknown) => {
      if (errorCode(error) !== "ENOENT") throw error;
    });
  }
}
