import { readdirSync, readFileSync } from "node:fs";
import { join, relative, resolve } from "node:path";

export const root: string = resolve(import.meta.dirname, "../..");

/** How a source names another one that is started by its file: a process, or a thread. */
export const startedFile: RegExp = /new URL\("([^"]+)", import\.meta\.url\)/g;
/** How it names one that is loaded only when it is needed. */
export const importedLater: RegExp = /\bimport\("([^"]+)"\)/g;

/** The sources of commands of which each process needs one: those that these import later. */
const commandLine = ["src/cli/commands.ts", "src/cli/sendmail.ts"];

/**
 * The programs of a build, each with classes of its own, by their names there: the command line, the commands, and
 * what is started by its file.
 */
export const programs: Readonly<Record<string, string>> = findPrograms();

function findPrograms(): Readonly<Record<string, string>> {
  const sources = (readdirSync(join(root, "src"), { recursive: true }) as string[])
    .filter((path) => path.endsWith(".ts") && !path.endsWith(".test.ts"))
    .map((path) => `src/${path}`);
  const started = sources.flatMap((path) => named(path, startedFile));
  const commands = commandLine.flatMap((path) => named(path, importedLater)).filter((to) => to.startsWith("src/cli/"));
  const found = new Set(["src/cli/main.ts", ...commands, ...started]);
  return Object.fromEntries([...found].toSorted().map((path) => [path.slice(4, -3).replaceAll("/", "-"), path]));
}

function named(path: string, pattern: RegExp): string[] {
  const found = readFileSync(join(root, path), "utf8").matchAll(pattern);
  return [...found].map(([, to = ""]) => sourceAt(path, to));
}

/** The path, from the root, of what `from` names by `to`. */
function sourceAt(from: string, to: string): string {
  return relative(root, resolve(root, from, "..", to));
}

/** The program that a source means with `to`; undefined where it is none. */
export function programAt(from: string, to: string): string | undefined {
  const source = sourceAt(from, to);
  return Object.keys(programs).find((name) => programs[name] === source);
}

/** Code that loads a program from the directory that it stands in; `$require` is what `require` is at its beginning. */
export const loading = (name: string): string =>
  `$require("../bin/programs.cjs").load(__dirname, "${name}", "${programs[name]}")`;
