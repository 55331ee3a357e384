import type { Files } from "../runtime/files.ts";
import { noteOf } from "./damage.ts";
import { keptPrefix, queueFile, repaired } from "./queue-files.ts";
import { isThere } from "./repair.ts";
import { inspectFile } from "./sqlite/inspect-file.ts";
import { Pages } from "./sqlite/pages.ts";

/**
 * What is wrong with a queue's files. Only reads, in pages; memory does not grow with the queue.
 *
 * damage   the queue has to be repaired, or part of a message is wrong
 * note     for an administrator to know: what was set aside, what an earlier repair has kept, a log that ends in an unfinished batch
 */
export interface QueueFinding {
  readonly kind: "damage" | "note";
  readonly text: string;
  /** The message that it is about. */
  readonly id: string | undefined;
}

/**
 * All that can be found. `running`: a relay works on it, so its log, which changes all the time, is left out. Throws
 * SQLite's error where the file may not be read at all.
 */
export async function* inspectQueue(
  files: Files,
  directory: string,
  running: boolean,
): AsyncGenerator<QueueFinding, void> {
  const damage = (text: string): QueueFinding => ({ kind: "damage", text, id: undefined });
  const note = (text: string): QueueFinding => ({ kind: "note", text, id: undefined });
  const noted = await noteOf(files, directory);
  if (noted !== undefined) yield damage(`it was found damaged, and waits for a repair: ${noted}`);
  if (await isThere(files, repaired(directory))) yield damage("a repair was interrupted, and waits for the next start");
  for (const name of await files.list(directory)) {
    if (name.startsWith(keptPrefix) && !name.endsWith("-wal"))
      yield note(`${directory}/${name} is what a repair has replaced; remove it when nobody needs it any more`);
  }
  if (!running) {
    const pages = await Pages.open(files, queueFile(directory));
    await pages.close();
    if (pages.log.verdict === "damaged") yield damage(pages.log.what);
    if (pages.log.verdict === "torn") yield note(pages.log.what);
  }
  // Before the first start there is none.
  if (await isThere(files, queueFile(directory))) yield* inspectFile(queueFile(directory), running);
}
