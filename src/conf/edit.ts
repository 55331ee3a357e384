import { errorCode, type Files, openFlags, readWhole } from "../runtime/files.ts";
import type { Random } from "../runtime/random.ts";
import { file_limit, splitNameValue, trimSpace } from "./text.ts";

/** Why an edit was refused, in Postfix's words where it has any. */
export class EditError extends Error {}

/** What -e, -X and -# do to what they name: set it, take it out, or make a comment of it. */
export type EditMode = "set" | "remove" | "comment";

/**
 * The assignments of a `postconf -e` command line, or the names of one of -X
 * or -#, with "" for a value; the last of a name counts. Throws EditError.
 */
export function parseEdits(
  args: readonly string[],
  warn: (text: string) => void,
  mode: EditMode = "set",
): Map<string, string> {
  const edits = new Map<string, string>();
  for (const arg of args) {
    if (arg.includes("\n")) throw new EditError("-e, -X, or -# accepts no multi-line input");
    const text = arg.replace(/^[ \t\r\v\f]+/, "");
    if (text.startsWith("#")) throw new EditError("-e, -X, or -# accepts no comment input");
    const { name, value } = mode === "set" ? assignment(text) : { name: bareName(text), value: "" };
    const earlier = edits.get(name);
    if (mode === "set" && earlier !== undefined) warn(`ignoring earlier request: '${name} = ${earlier}'`);
    edits.set(name, value);
  }
  return edits;
}

function assignment(text: string): { readonly name: string; readonly value: string } {
  const parsed = splitNameValue(text);
  if (parsed.error !== undefined) throw new EditError(`${parsed.error}: "${text}"`);
  return parsed;
}

function bareName(text: string): string {
  if (text === "") throw new EditError("-X or -# requires non-blank parameter names");
  if (text.includes("=")) throw new EditError("-X or -# requires parameter names without value");
  return trimSpace(text);
}

/**
 * The text of a main.cf with the edits made: each definition of a name is
 * replaced where it stands, its continuation lines dropped, and what is not
 * there yet is appended, sorted; or each is dropped, or made a comment, with
 * its continuation lines. Comments and everything else stay as they are.
 * `repeated` is called once for a name with several definitions.
 */
export function editText(
  text: string,
  edits: ReadonlyMap<string, string>,
  repeated: (name: string) => void,
  mode: EditMode = "set",
): string {
  const found = new Map<string, number>();
  const kept: string[] = [];
  let editing = false;
  for (const { line, kind } of physicalLines(text)) {
    if (kind === "start") {
      const name = /^[^ \t\r\n=]*/.exec(line)?.[0] ?? "";
      const value = edits.get(name);
      editing = value !== undefined;
      if (editing) {
        const count = (found.get(name) ?? 0) + 1;
        found.set(name, count);
        if (count === 2) repeated(name);
        if (mode === "set") kept.push(`${name} = ${value}\n`);
      }
    }
    if (kind === "other" || !editing) kept.push(line);
    else if (mode === "comment") kept.push(`#${line}`);
  }
  if (mode === "set") {
    for (const name of [...edits.keys()].sort()) {
      if (!found.has(name)) kept.push(`${name} = ${edits.get(name)}\n`);
    }
  }
  return kept.join("");
}

/** A line as it stands in a file, and whether it starts a logical line, goes on with one, or is neither (empty, a comment). */
export interface PhysicalLine {
  /** With its newline. */
  readonly line: string;
  readonly kind: "start" | "continued" | "other";
}

/** The lines of main.cf or master.cf. The last gets a newline where it has none. */
export function physicalLines(text: string): PhysicalLine[] {
  return (text.match(/[^\n]*\n|[^\n]+$/g) ?? []).map((each) => {
    const line = each.endsWith("\n") ? each : `${each}\n`;
    const visible = line.search(/[^ \t\r\n\v\f]/);
    if (visible < 0 || line[visible] === "#") return { line, kind: "other" };
    return { line, kind: visible > 0 ? "continued" : "start" };
  });
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
