import { dirname } from "node:path";
import { errorCode, type Files } from "../runtime/files.ts";
import type { QueuePaths } from "../conf/queue-paths.ts";
import type { Account } from "../runtime/accounts.ts";

export class QueueDirectoryError extends Error {}

/**
 * Makes the directories of the queue where they are missing and gives each the owner and
 * mode that the safety of the whole rests on. With `owner` undefined (not started as root)
 * everything belongs to whoever runs this.
 */
export async function prepareQueueDirectory(
  files: Files,
  paths: QueuePaths,
  owner: Account | undefined,
  maildropGroup: number | undefined,
): Promise<void> {
  const ours = owner?.uid;
  const own = owner?.gid;
  await prepare(files, dirname(paths.base), undefined, undefined, 0o755, { keep: true });
  await prepare(files, paths.base, owner ? 0 : undefined, owner ? 0 : undefined, 0o755);
  await prepare(files, paths.maildrop, ours, maildropGroup ?? own, 0o3733);
  await prepare(files, paths.public, ours, own, 0o755);
  await prepare(files, paths.queue, ours, own, 0o700);
}

async function prepare(
  files: Files,
  path: string,
  uid: number | undefined,
  gid: number | undefined,
  mode: number,
  { keep = false } = {},
): Promise<void> {
  try {
    const made = await make(files, path);
    const facts = await files.linkFacts(path);
    if (facts.kind === "link" && !keep) throw new QueueDirectoryError(`${path} is a symbolic link: remove it`);
    if (keep && !made) return;
    if (uid !== undefined && gid !== undefined && (facts.uid !== uid || facts.gid !== gid)) {
      await files.chown(path, uid, gid);
    }
    if (made || (facts.mode & 0o7777) !== mode || uid !== undefined) await files.chmod(path, mode);
  } catch (error) {
    if (error instanceof QueueDirectoryError) throw error;
    throw new QueueDirectoryError(`cannot prepare ${path}: ${errorCode(error) || String(error)}`);
  }
}

async function make(files: Files, path: string): Promise<boolean> {
  try {
    await files.makeDirectory(path, 0o700);
    return true;
  } catch (error) {
    if (errorCode(error) === "EEXIST") return false;
    if (errorCode(error) !== "ENOENT") throw error;
    await make(files, dirname(path));
    await files.chmod(dirname(path), 0o755);
    await files.makeDirectory(path, 0o700);
    return true;
  }
}
