import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { test } from "node:test";
import { floors } from "./floors.ts";

const source = resolve(import.meta.dirname, "../../src");

interface Import {
  readonly from: string;
  readonly to: string;
}

function files(directory: string): string[] {
  return readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
    const path = join(directory, entry.name);
    return entry.isDirectory() ? files(path) : path.endsWith(".ts") ? [path] : [];
  });
}

/** Type imports, re-exports, dynamic imports and worker files included. */
const importPattern = /(?:\bfrom\s*|\bimport\s*\(?\s*|new URL\(\s*)["'](\.[^"']+)["']/g;

function imports(): Import[] {
  return files(source).flatMap((from) => {
    const found = readFileSync(from, "utf8").matchAll(importPattern);
    return [...found].map(([, to = ""]) => ({ from, to: resolve(dirname(from), to) }));
  });
}

const roomOf = (path: string): string => relative(source, path).split("/")[0] ?? "";
const shown = (path: string): string => relative(source, path);
const isTest = (path: string): boolean => path.endsWith(".test.ts");

test("every room stands on a floor", () => {
  const rooms = readdirSync(source, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  for (const { name } of rooms) assert.ok(floors[name] !== undefined, `src/${name} is on no floor`);
});

test("a room imports from lower floors only", () => {
  const wrong = imports().filter(({ from, to }) => {
    const [here, there] = [roomOf(from), roomOf(to)];
    if (here === there || isTest(from)) return false;
    return (floors[there] ?? Number.POSITIVE_INFINITY) >= (floors[here] ?? 0);
  });
  assert.deepEqual(
    wrong.map(({ from, to }) => `${shown(from)} -> ${shown(to)}`),
    [],
  );
});

test("no file imports itself by way of others", () => {
  const next = new Map<string, string[]>();
  for (const { from, to } of imports()) next.set(from, [...(next.get(from) ?? []), to]);
  const done = new Set<string>();
  const visit = (path: string, trail: readonly string[]): void => {
    assert.ok(!trail.includes(path), `a circle: ${[...trail, path].map(shown).join(" -> ")}`);
    if (done.has(path)) return;
    for (const to of next.get(path) ?? []) visit(to, [...trail, path]);
    done.add(path);
  };
  for (const path of next.keys()) visit(path, []);
});

/** Only runtime/ touches the world; the commands stand at its edge and may ask for their own environment. */
const worldly =
  /\b(?:Date\.now|Math\.random|setTimeout|setInterval|process\.(?:exit|env|kill|on))\b|node:(?:net|tls|fs|fs\/promises|dns|dns\/promises|child_process|worker_threads)["']/;

/** Where the world is touched outside runtime/, and why. */
const allowed: Readonly<Record<string, string>> = {
  "cli/io.ts": "a command's own standard streams, environment and exit",
  "queue/sqlite/worker.ts": "the far side of the SQLite thread",
  "table/test-servers.ts": "servers that tables are tested with",
  "table/sqlite/worker.ts": "the far side of the sqlite tables' thread",
  "table/sqlite/thread.ts": "starts that thread",
  "queue/sqlite/sqlite-engine.ts": "starts the SQLite thread; the simulated engine takes its place",
};

test("nothing but runtime touches clock, disk, network or processes", () => {
  const found = files(source)
    .filter((path) => roomOf(path) !== "runtime" && !isTest(path) && !allowed[shown(path)])
    .filter((path) => worldly.test(withoutComments(readFileSync(path, "utf8"))));
  assert.deepEqual(found.map(shown), []);
});

function withoutComments(text: string): string {
  return text.replaceAll(/\/\*[\s\S]*?\*\/|(?<=^|\s)\/\/.*$/gm, "");
}
