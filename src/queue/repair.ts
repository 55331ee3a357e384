import type { Log } from "../log/log.ts";
import type { Clock } from "../runtime/clock.ts";
import { errorCode, type Files, openFlags } from "../runtime/files.ts";
import { damageNote, keptPrefix, queueFile, repaired, repairing } from "./queue-files.ts";
import { Pages } from "./sqlite/pages.ts";
import { type Fate, type SalvageCounts, salvage } from "./sqlite/salvage.ts";

/**
 * A damaged queue file is replaced by one that has all that can be read of it (sqlite/salvage.ts); the damaged one is kept.
 * Only while nobody else has the file open, which its caller knows.
 *
 *   damaged   -> repairing   the new file is written beside it
 *   repairing -> repaired    it is synced, the old files have a second name, and the new one's name says that it counts
 *   repaired  -> whole       the old log goes, and the new file takes the place of the old one
 *
 * A crash before "repaired" changes nothing, and after it finishRepair() goes on: at no moment is there a log beside a file that it
 * does not belong to, or no file.
 */
export interface Repaired {
  readonly counts: SalvageCounts;
  /** Where the damaged file is now; undefined where there was none, but only its log. */
  readonly kept: string | undefined;
}

export interface RepairParts {
  readonly files: Files;
  readonly clock: Clock;
  readonly directory: string;
  readonly log: Pick<Log, "warning">;
}

/** It could not be done; the damaged file is as it was. */
export class RepairError extends Error {}

/** `why`: what is wrong with the file. Everything that was not saved as it was is logged. Throws RepairError. */
export async function repairQueue(parts: RepairParts, why: string): Promise<Repaired> {
  const { files, directory, log } = parts;
  const path = queueFile(directory);
  log.warning(`mail queue: ${path} is damaged: ${why}; what can be read is put into a new file`);
  const pages = await Pages.open(files, path);
  try {
    await makeRoom(files, directory, pages.count * pages.pageSize_bytes);
    await removeIfThere(files, repairing(directory));
    await create(files, repairing(directory));
    const fates = new FateLines(log);
    const { counts, problems } = await salvage(pages, repairing(directory), (...fate) => fates.tell(...fate));
    fates.end();
    for (const problem of problems) log.warning(`mail queue: ${problem}`);
    await sync(files, repairing(directory));
    const kept = await keep(parts);
    await files.rename(repairing(directory), repaired(directory));
    await finishRepair(files, directory);
    log.warning(`mail queue: ${describeRepair({ counts, kept })}`);
    return { counts, kept };
  } catch (error) {
    await files.remove(repairing(directory)).catch(() => {});
    throw new RepairError(await inWords(files, directory, pages, error), { cause: error });
  } finally {
    await pages.close();
  }
}

/** What came of it, in one line. */
export function describeRepair({ counts, kept }: Repaired): string {
  const { saved, held, setAside, lost } = counts;
  const messages = (count: number): string => `${count} message${count === 1 ? "" : "s"}`;
  const parts = [`${messages(saved)} saved`];
  if (held > 0) parts.push(`${messages(held)} put on hold, since they may have been delivered before`);
  if (setAside > 0) parts.push(`${messages(setAside)} set aside as corrupt`);
  parts.push(`${messages(lost)} known to be lost`);
  return `${parts.join(", ")}; ${kept ? `the damaged file is kept as ${kept}` : "there was no file to keep"}`;
}

/** Goes on with a repair that a crash had interrupted after its new file was complete. Nobody else may have the queue open. */
export async function finishRepair(files: Files, directory: string): Promise<boolean> {
  if (!(await isThere(files, repaired(directory)))) return false;
  await files.syncDirectory(directory);
  for (const suffix of ["-wal", "-shm"]) await removeIfThere(files, queueFile(directory) + suffix);
  // The new file is the proof that the damage is dealt with: a note that outlived it would have it repaired again.
  await removeIfThere(files, damageNote(directory));
  await files.syncDirectory(directory);
  await files.rename(repaired(directory), queueFile(directory));
  await files.syncDirectory(directory);
  return true;
}

/** Lines about single messages, as far as anybody reads them. */
class FateLines {
  readonly #log: RepairParts["log"];
  #told = 0;

  constructor(log: RepairParts["log"]) {
    this.#log = log;
  }

  tell(id: string, fate: Fate, why: string): void {
    if (this.#told++ < mostLines) this.#log.warning(`${id}: ${words[fate]}: ${why}`);
  }

  end(): void {
    if (this.#told > mostLines)
      this.#log.warning(`mail queue: the same is true of ${this.#told - mostLines} more messages`);
  }
}

const mostLines = 10_000;

const words: Readonly<Record<Fate, string>> = {
  held: "message put on hold by the repair of the queue",
  setAside: "message set aside as corrupt and kept in the queue",
  lost: "message lost",
};

/** The new file may need as much again. The room that is kept for bad days is given away for it. */
async function makeRoom(files: Files, directory: string, needed_bytes: number): Promise<void> {
  const { free_bytes } = await files.space(directory);
  if (free_bytes < needed_bytes) await removeIfThere(files, `${directory}/reserve`);
}

async function create(files: Files, path: string): Promise<void> {
  const { readWrite, create, exclusive, noFollow } = openFlags;
  await (await files.open(path, readWrite | create | exclusive | noFollow, 0o600)).close();
}

async function sync(files: Files, path: string): Promise<void> {
  const file = await files.open(path, openFlags.readWrite | openFlags.noFollow);
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

/** A second name for the damaged file and its log, as SQLite would look for it. */
async function keep({ files, clock, directory }: RepairParts): Promise<string | undefined> {
  const path = queueFile(directory);
  const stamp = new Date(clock.now()).toISOString().replaceAll(/[-:]|\.\d+/g, "");
  let kept = `${directory}/${keptPrefix}${stamp}`;
  for (let count = 2; (await isThere(files, kept)) || (await isThere(files, `${kept}-wal`)); count++)
    kept = `${directory}/${keptPrefix}${stamp}-${count}`;
  const found = [];
  for (const suffix of ["", "-wal"]) {
    if (!(await isThere(files, path + suffix))) continue;
    await files.link(path + suffix, kept + suffix);
    found.push(suffix);
  }
  return found.length > 0 ? kept : undefined;
}

async function inWords(files: Files, directory: string, pages: Pages, error: unknown): Promise<string> {
  const reason = error instanceof Error ? error.message : String(error);
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  if (code !== "SQLITE_FULL" && !["ENOSPC", "EDQUOT"].includes(errorCode(error)))
    return `the damaged mail queue ${queueFile(directory)} cannot be repaired: ${reason}`;
  const mebi = (bytes: number): number => Math.ceil(bytes / 1024 / 1024);
  const { free_bytes } = await files.space(directory);
  return (
    `there is no room to repair the damaged mail queue ${queueFile(directory)}: it takes up to ` +
    `${mebi(pages.count * pages.pageSize_bytes)} MiB, and ${mebi(free_bytes)} MiB are free: make room there`
  );
}

export async function isThere(files: Files, path: string): Promise<boolean> {
  try {
    await files.linkFacts(path);
    return true;
  } catch (error) {
    if (errorCode(error) === "ENOENT") return false;
    throw error;
  }
}

async function removeIfThere(files: Files, path: string): Promise<void> {
  await files.remove(path).catch((error: unknown) => {
    if (errorCode(error) !== "ENOENT") throw error;
  });
}
