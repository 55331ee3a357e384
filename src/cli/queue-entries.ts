import type { QueueEntry } from "../queue/store.ts";
import { askRelay, NotRunning } from "./control-client.ts";
import type { CommandIo } from "./io.ts";
import { becomeQueueOwner, isThere, mayOperate, type QueuePlace } from "./queue-place.ts";

/** Who may not read the queue's file and finds no relay to ask. */
export class QueueUnreadable extends Error {}

/**
 * Every message of the queue, for commands that look at all of it: from the file where we may read it, so that a running relay has
 * no work with it; else from the relay. As root, this gives up what root may (becomeQueueOwner): ask others before. Throws
 * QueueUnreadable.
 */
export async function* queueEntries(io: CommandIo, place: QueuePlace): AsyncGenerator<QueueEntry> {
  if (await mayOperate(io, place)) {
    yield* fromFile(io, place);
    return;
  }
  try {
    const asked = askRelay(io.runtime, `${place.paths.public}/control`, { command: "list" });
    for await (const value of asked) yield value as QueueEntry;
  } catch (error) {
    if (error instanceof NotRunning) throw new QueueUnreadable("only root can read the queue while no relay runs");
    throw error;
  }
}

const pageSize = 500;

async function* fromFile(io: CommandIo, place: QueuePlace): AsyncGenerator<QueueEntry> {
  const { openQueueReader } = await import("../queue/sqlite/reader.ts");
  const { preloadLocks } = await import("../queue/owner-lock.ts");
  const { queueFile } = await import("../queue/open.ts");
  preloadLocks();
  const path = queueFile(place.paths.queue);
  if (!(await isThere(io, path))) return;
  await becomeQueueOwner(io, place);
  const reader = openQueueReader(path);
  try {
    for (let after: string | undefined; ; ) {
      const page = reader.list(after, pageSize);
      yield* page;
      after = page.at(-1)?.envelope.id;
      if (after === undefined) return;
    }
  } finally {
    reader.close();
  }
}
