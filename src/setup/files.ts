/**
 * Writing what setup changes so that it can be taken back: each file is copied before, and a record beside main.cf
 * says what was written, so that --undo does not throw away what somebody changed since.
 *
 *   setup   copies, then writes; the record has one entry a run, the last one is undone first
 *   undo    puts the copies back where the files are still as setup wrote them; refuses otherwise
 */
import { createHash } from "node:crypto";
import { errorCode, type Files, openFlags, readWhole } from "../runtime/files.ts";
import type { Random } from "../runtime/random.ts";
import { SetupError } from "./changes.ts";

export interface World {
  readonly files: Files;
  readonly random: Random;
}

export interface NewText {
  readonly path: string;
  /** What the change was worked out from; undefined: no file was there. */
  readonly before: string | undefined;
  readonly text: string;
  /** Readable for its owner alone, from its first byte on; otherwise as the file there is, or 0644. */
  readonly secret: boolean;
}

interface Written {
  readonly path: string;
  /** Where it really is, should the path be a symbolic link. */
  readonly target: string;
  /** undefined: the file was not there before. */
  readonly copy: string | undefined;
  /** SHA-256 of what was written. */
  readonly digest: string;
}

interface Run {
  readonly time: string;
  readonly files: readonly Written[];
}

const limit_bytes = 16 * 1024 * 1024;

/** The text as latin1, one character a byte; undefined where there is no such file. */
export async function readText({ files }: World, path: string): Promise<string | undefined> {
  try {
    return (await readWhole(files, path, limit_bytes)).bytes.toString("latin1");
  } catch (error) {
    if (errorCode(error) === "ENOENT") return undefined;
    throw new SetupError(`${path} cannot be read: ${errorCode(error) || String(error)}`);
  }
}

/** Copies what is there, writes the record, then the texts (latin1). Each file is there whole, old or new, whenever the machine stops. */
export async function writeAll(
  world: World,
  directory: string,
  texts: readonly NewText[],
  now_ms: number,
): Promise<void> {
  const runs = await readRecord(world, directory);
  const files: Written[] = [];
  for (const { path, text, before, secret } of texts) {
    if ((await readText(world, path)) !== before) {
      throw new SetupError(`${path} was changed by somebody else meanwhile; nothing was written: run this again`);
    }
    const target = await world.files.realPath(path).catch(() => path);
    const copy = before === undefined ? undefined : await copyOf(world, target, before, secret);
    files.push({ path, target, copy, digest: digest(text) });
  }
  const run: Run = { time: new Date(now_ms).toISOString(), files };
  await writeRecord(world, directory, [...runs, run]);
  for (const { path, text, secret } of texts) await replaceFile(world, path, text, secret ? 0o600 : undefined);
}

/** Takes the last run back. Gives the paths that are as they were before; throws SetupError where one has been changed since. */
export async function undo(
  world: World,
  directory: string,
): Promise<{ readonly restored: readonly string[]; readonly removed: readonly string[] }> {
  const runs = await readRecord(world, directory);
  const last = runs.at(-1);
  if (!last) throw new SetupError(`nothing to undo: ${recordOf(directory)} does not name any change`);
  for (const { path, digest: wanted } of last.files) {
    const text = await readText(world, path);
    if (text !== undefined && digest(text) !== wanted) {
      throw new SetupError(
        `${path} was changed after setup wrote it (${last.time}); nothing is undone. What was there before: ${last.files
          .map(({ copy }) => copy ?? "")
          .filter(Boolean)
          .join(", ")}`,
      );
    }
  }
  const restored: string[] = [];
  const removed: string[] = [];
  for (const { path, target, copy } of last.files) {
    if (copy === undefined) {
      await world.files.remove(target).catch(ignoreMissing);
      removed.push(path);
      continue;
    }
    await world.files.rename(copy, target).catch((error: unknown) => {
      throw new SetupError(`${copy} cannot be put back as ${path}: ${errorCode(error) || String(error)}`);
    });
    restored.push(path);
  }
  await world.files.syncDirectory(directory);
  await writeRecord(world, directory, runs.slice(0, -1));
  return { restored, removed };
}

const digest = (text: string): string => createHash("sha256").update(text, "latin1").digest("hex");

const recordOf = (directory: string): string => `${directory}/postern-setup.json`;

async function readRecord(world: World, directory: string): Promise<readonly Run[]> {
  const text = await readText(world, recordOf(directory));
  if (text === undefined) return [];
  try {
    const { runs } = JSON.parse(text) as { runs: readonly Run[] };
    if (Array.isArray(runs)) return runs;
  } catch {
    // Said below.
  }
  throw new SetupError(`${recordOf(directory)} cannot be read; remove it if nothing of it shall be undone`);
}

async function writeRecord(world: World, directory: string, runs: readonly Run[]): Promise<void> {
  if (runs.length > 0)
    return replaceFile(world, recordOf(directory), `${JSON.stringify({ runs }, undefined, 2)}\n`, 0o600);
  await world.files.remove(recordOf(directory)).catch(ignoreMissing);
}

/** A copy beside the file, with its owner and permissions; of a secret, for its owner alone, whoever could read the file. */
async function copyOf(world: World, path: string, text: string, secret: boolean): Promise<string> {
  for (let number = 1; ; number++) {
    const copy = `${path}.before-setup.${number}`;
    if ((await world.files.facts(copy).catch(() => undefined)) !== undefined) continue;
    await writeLike(world, copy, text, await world.files.facts(path), secret ? 0o600 : undefined);
    return copy;
  }
}

/** Written beside, synced, and renamed over it. A symbolic link stays one. */
async function replaceFile(world: World, path: string, text: string, mode: number | undefined): Promise<void> {
  const { files, random } = world;
  const target = await files.realPath(path).catch(() => path);
  const like = await files.facts(target).catch(() => undefined);
  const temporary = `${target}.${random.bytes(6).toString("hex")}.tmp`;
  await writeLike(world, temporary, text, like, mode);
  try {
    await files.rename(temporary, target);
  } catch (error) {
    await files.remove(temporary).catch(() => {});
    throw new SetupError(`${path} cannot be written: ${errorCode(error) || String(error)}`);
  }
  await files.syncDirectory(target.replace(/\/[^/]*$/, "") || "/");
}

async function writeLike(
  { files }: World,
  path: string,
  text: string,
  like: { readonly uid: number; readonly gid: number; readonly mode: number } | undefined,
  mode: number | undefined,
): Promise<void> {
  try {
    const { write, create, exclusive, noFollow } = openFlags;
    const file = await files.open(path, write | create | exclusive | noFollow, 0o600);
    try {
      const made = await file.facts();
      if (like && (made.uid !== like.uid || made.gid !== like.gid)) await file.chown(like.uid, like.gid);
      await file.write(Buffer.from(text, "latin1"));
      await file.chmod(mode ?? (like ? like.mode & 0o7777 : 0o644));
      await file.sync();
    } finally {
      await file.close();
    }
  } catch (error) {
    if (errorCode(error) !== "EEXIST") await files.remove(path).catch(() => {});
    throw new SetupError(`${path} cannot be written: ${errorCode(error) || String(error)}`);
  }
}

function ignoreMissing(error: unknown): void {
  if (errorCode(error) !== "ENOENT") throw error;
}
