import { dirname } from "node:path";
import type { QueuePaths } from "../conf/queue-paths.ts";
import type { Account } from "../runtime/accounts.ts";
import { errorCode, type Files, openFlags } from "../runtime/files.ts";

export class QueueDirectoryError extends Error {}

/** uid and gid undefined: whose it is stays as it is. */
interface Wanted {
  readonly uid: number | undefined;
  readonly gid: number | undefined;
  readonly mode: number;
}

/**
 * Makes the directories of the queue where they are missing and gives each the owner and
 * mode that the safety of the whole rests on. With `owner` undefined (not started as root)
 * everything belongs to whoever runs this.
 *
 * As root, the directory above must be root's alone: whoever could write there could put a link in the
 * place of what is about to be made. What is made is opened without following links, and changed by descriptor.
 */
export async function prepareQueueDirectory(
  files: Files,
  paths: QueuePaths,
  owner: Account | undefined,
  maildropGroup: number | undefined,
): Promise<void> {
  const above = dirname(paths.base);
  assertShort(above, [paths.masterSocket, `${paths.public}/control`, paths.operatorSocket]);
  const uid = owner?.uid;
  const gid = owner?.gid;
  const root = owner ? 0 : undefined;
  await step(above, () => makeAbove(files, above));
  if (owner) await step(above, () => assertRoots(files, above));
  const wanted: readonly (readonly [string, Wanted])[] = [
    [paths.base, { uid: root, gid: root, mode: 0o755 }],
    [paths.maildrop, { uid, gid: maildropGroup ?? gid, mode: 0o3733 }],
    [paths.public, { uid, gid, mode: 0o755 }],
    [paths.queue, { uid, gid, mode: 0o700 }],
  ];
  for (const [path, as] of wanted) await step(path, () => prepare(files, path, as));
}

/** The kernel's limit for a Unix socket's name (unix(7)). */
const socketNameLimit_bytes = 107;

function assertShort(queueDirectory: string, sockets: readonly string[]): void {
  const longest = Math.max(...sockets.map((path) => Buffer.byteLength(path)));
  if (longest <= socketNameLimit_bytes) return;
  const limit = socketNameLimit_bytes - (longest - Buffer.byteLength(queueDirectory));
  throw new QueueDirectoryError(
    `queue_directory = ${queueDirectory} is too long for the sockets in it: at most ${limit} bytes`,
  );
}

async function step(path: string, take: () => Promise<void>): Promise<void> {
  try {
    await take();
  } catch (error) {
    if (error instanceof QueueDirectoryError) throw error;
    const code = errorCode(error);
    if (code === "EACCES" || code === "EPERM") {
      throw new QueueDirectoryError(
        `cannot prepare ${path}: it belongs to another user: start Postern as that user, or as root`,
      );
    }
    throw new QueueDirectoryError(`cannot prepare ${path}: ${code || String(error)}`);
  }
}

async function assertRoots(files: Files, path: string): Promise<void> {
  const { uid, mode } = await files.facts(path);
  if (uid !== 0)
    throw new QueueDirectoryError(`${path} does not belong to root, but to user ${uid}: chown root ${path}`);
  if ((mode & 0o022) !== 0)
    throw new QueueDirectoryError(`${path} can be written by others than root: chmod go-w ${path}`);
}

async function prepare(files: Files, path: string, { uid, gid, mode }: Wanted): Promise<void> {
  await make(files, path);
  const { read, noFollow, nonBlocking } = openFlags;
  const directory = await files.open(path, read | noFollow | nonBlocking).catch((error: unknown) => {
    if (errorCode(error) === "ELOOP") throw new QueueDirectoryError(`${path} is a symbolic link: remove it`);
    throw error;
  });
  try {
    const facts = await directory.facts();
    if (facts.kind !== "directory") throw new QueueDirectoryError(`${path} is not a directory: remove it`);
    const given = uid === undefined || gid === undefined ? undefined : { uid, gid };
    if (given && (facts.uid !== given.uid || facts.gid !== given.gid)) await directory.chown(given.uid, given.gid);
    // A change of owner may take bits away.
    if ((await directory.facts()).mode % 0o10000 !== mode) await directory.chmod(mode);
  } finally {
    await directory.close();
  }
}

async function make(files: Files, path: string): Promise<void> {
  await files.makeDirectory(path, 0o700).catch((error: unknown) => {
    if (errorCode(error) !== "EEXIST") throw error;
  });
}

/** The queue's directory and those above it: for everybody to pass through. Those that are there stay as they are. */
async function makeAbove(files: Files, path: string): Promise<void> {
  try {
    await files.makeDirectory(path, 0o755);
  } catch (error) {
    const code = errorCode(error);
    if (code === "EEXIST") return;
    if (code !== "ENOENT" || dirname(path) === path) throw error;
    await makeAbove(files, dirname(path));
    await files.makeDirectory(path, 0o755);
  }
  await files.chmod(path, 0o755);
}
