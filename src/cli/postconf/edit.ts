import { file_limit, space, splitNameValue } from "../../conf/text.ts";
import { errorCode, type Files, openFlags, readWhole } from "../../runtime/files.ts";
import type { Random } from "../../runtime/random.ts";

/** Why an edit was refused, in Postfix's words where it has any. */
export class EditError extends Error {}

/**
 * The assignments of a `postconf -e` command line; the last of a name counts.
 * Throws EditError.
 */
export function parseEdits(args: readonly string[], warn: (text: string) => void): Map<string, string> {
  const edits = new Map<string, string>();
  for (const arg of args) {
    if (arg.includes("\n")) throw new EditError("-e, -X, or -# accepts no multi-line input");
    const text = arg.replace(/^[ \t\r\v\f]+/, "");
    if (text.startsWith("#")) throw new EditError("-e, -X, or -# accepts no comment input");
    const parsed = splitNameValue(text);
    if (parsed.error !== undefined) throw new EditError(`${parsed.error}: "${text}"`);
    const earlier = edits.get(parsed.name);
    if (earlier !== undefined) warn(`ignoring earlier request: '${parsed.name} = ${earlier}'`);
    edits.set(parsed.name, parsed.value);
  }
  return edits;
}

/**
 * The text of a main.cf with the edits made: each definition of a name is
 * replaced where it stands, its continuation lines dropped; what is not there
 * yet is appended, sorted. Comments and everything else stay as they are.
 * `repeated` is called once for a name with several definitions.
 */
export function editText(text: string, edits: ReadonlyMap<string, string>, repeated: (name: string) => void): string {
  const found = new Map<string, number>();
  const kept: string[] = [];
  let replacing = false;
  for (const line of text.match(/[^\n]*\n|[^\n]+$/g) ?? []) {
    const whole = line.endsWith("\n") ? line : `${line}\n`;
    const visible = whole.search(/[^ \t\r\n\v\f]/);
    if (visible < 0 || whole[visible] === "#") {
      kept.push(whole);
    } else if (visible > 0 || space.test(whole[0] ?? "")) {
      if (!replacing) kept.push(whole);
    } else {
      const name = /^[^ \t\r\n=]*/.exec(whole)?.[0] ?? "";
      const value = edits.get(name);
      replacing = value !== undefined;
      kept.push(value === undefined ? whole : `${name} = ${value}\n`);
      if (value === undefined) continue;
      const count = (found.get(name) ?? 0) + 1;
      found.set(name, count);
      if (count === 2) repeated(name);
    }
  }
  for (const name of [...edits.keys()].sort()) {
    if (!found.has(name)) kept.push(`${name} = ${edits.get(name)}\n`);
  }
  return kept.join("");
}

interface EditWorld {
  readonly files: Files;
  readonly random: Random;
}

/**
 * Replaces a file by what `change` makes of its text (a character a byte). The
 * new file is complete and on disk before it takes the old one's name, with
 * the old one's owner and mode; a symbolic link stays one. Where somebody else
 * changed the file meanwhile, `change` is called again with the new text.
 * Throws EditError.
 */
export async function rewriteFile(world: EditWorld, path: string, change: (text: string) => string): Promise<void> {
  for (let attempt = 0; attempt < 5; attempt++) {
    if (await tryRewrite(world, path, change)) return;
  }
  throw new EditError(`${path} is being changed by somebody else: try again`);
}

async function tryRewrite(
  { files, random }: EditWorld,
  path: string,
  change: (text: string) => string,
): Promise<boolean> {
  const target = await attempt(`open ${path} for reading`, () => files.realPath(path));
  const { bytes, facts } = await attempt(`open ${path} for reading`, () => readWhole(files, target, file_limit));
  const changed = Buffer.from(change(bytes.toString("latin1")), "latin1");
  const temporary = `${target}.${random.bytes(6).toString("hex")}.tmp`;
  const file = await attempt(`open ${temporary}`, () =>
    files.open(temporary, openFlags.write | openFlags.create | openFlags.exclusive | openFlags.noFollow, 0o600),
  );
  try {
    try {
      await attempt(`write ${temporary}`, () => file.write(changed));
      const made = await file.facts();
      if (made.uid !== facts.uid || made.gid !== facts.gid) {
        await attempt(`keep the owner of ${path}`, () => file.chown(facts.uid, facts.gid));
      }
      await attempt(`keep the permissions of ${path}`, () => file.chmod(facts.mode & 0o7777));
      await attempt(`write ${temporary}`, () => file.sync());
    } finally {
      await file.close();
    }
    const now = await files.facts(target);
    if (now.ino !== facts.ino || now.mtime_ms !== facts.mtime_ms || now.size !== facts.size) {
      await files.remove(temporary);
      return false;
    }
    await attempt(`rename ${temporary} to ${target}`, () => files.rename(temporary, target));
  } catch (error) {
    await files.remove(temporary).catch(() => {});
    throw error;
  }
  await files.syncDirectory(target.replace(/\/[^/]*$/, "") || "/");
  return true;
}

async function attempt<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw new EditError(`${what}: ${systemText(error)}`);
  }
}

const texts: Readonly<Record<string, string>> = {
  ENOENT: "No such file or directory",
  EACCES: "Permission denied",
  EPERM: "Operation not permitted",
  ENOSPC: "No space left on device",
  EROFS: "Read-only file system",
  EISDIR: "Is a directory",
  ENOTDIR: "Not a directory",
};

/** What strerror(3) says of a system error. */
export function systemText(error: unknown): string {
  return texts[errorCode(error)] ?? (error instanceof Error ? error.message : String(error));
}
