import { type Files, readWhole } from "../runtime/files.ts";
import { damageNote, queueFile } from "./queue-files.ts";
import { isThere } from "./repair.ts";
import { Pages } from "./sqlite/pages.ts";

/**
 * What can be told of a queue's files before SQLite opens them, while nobody has them open. SQLite takes an empty file for a new
 * one, and forgets without a word what follows a damaged page of its log: both would be lost mail that nobody hears of.
 */
export interface FirstLook {
  /** Why the file has to be repaired before it is used. */
  readonly damage: string | undefined;
  /** What an administrator should know; nothing can be done about it. */
  readonly warning: string | undefined;
}

export async function firstLook(files: Files, directory: string): Promise<FirstLook> {
  const path = queueFile(directory);
  const noted = await noteOf(files, directory);
  const size = await sizeOf(files, path);
  const pages = await Pages.open(files, path);
  const { log } = pages;
  await pages.close();
  if (log.verdict === "damaged") return { damage: log.what, warning: undefined };
  if (noted !== undefined) return { damage: noted, warning: undefined };
  if (size > 0) return { damage: undefined, warning: log.verdict === "torn" ? tornText(log.what) : undefined };
  const empty = size === 0 ? "is empty" : "is not there";
  if (log.pages.size > 0) return { damage: `it ${empty}, and its log is not`, warning: undefined };
  // Made right after the first queue file was, and left alone ever since.
  const before = await isThere(files, `${directory}/reserve`);
  const warning = before
    ? `${path} ${empty}, and there has been a queue here: if nobody removed it, its mail is lost`
    : undefined;
  return { damage: undefined, warning };
}

const tornText = (what: string): string =>
  `${what}. After a crash or a power failure that is as it should be: nobody was told that such mail was taken. Else the disk has damaged it`;

/** What was noted when the file was found damaged. */
export async function noteOf(files: Files, directory: string): Promise<string | undefined> {
  const path = damageNote(directory);
  if (!(await isThere(files, path))) return undefined;
  const text = await readWhole(files, path, 64 * 1024).then(
    ({ bytes }) => bytes.toString().trim(),
    () => "",
  );
  return text === "" ? "it was found damaged" : text;
}

/** -1: it is not there. */
async function sizeOf(files: Files, path: string): Promise<number> {
  return (await isThere(files, path)) ? (await files.facts(path)).size : -1;
}
