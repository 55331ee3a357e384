/**
 * npm run build: makes build/ from src/, so that a start neither strips types nor walks a graph of modules. Without it
 * the sources are run as they are, and so they are where they have changed since (bin/programs.cjs decides).
 *
 *   build/NAME.program   a program: what it was made from, its code, what V8 has compiled of it
 *   build/NAME.cjs       runs it, where another program starts it by its file
 *
 * A file takes its place complete and synced. All can read it, its owner alone can write it.
 */
import {
  chmodSync,
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { contentHash, isFresh } from "../bin/programs.cjs";
import { type Bundled, bundle } from "./build/bundle.ts";
import { loading, programs, root } from "./build/programs.ts";
import { warmUp } from "./build/warm-up.ts";

const out = join(root, "build");

/** How a build is made is part of what it is. */
const makers = ["bin/programs.cjs", "package-lock.json", "scripts/build.ts", ...partsOfThis()];

function partsOfThis(): string[] {
  return readdirSync(join(root, "scripts/build")).map((name) => `scripts/build/${name}`);
}

async function main(): Promise<void> {
  if (Object.keys(programs).every(isBuilt)) return;
  process.umask(0o022);
  const place = mkdtempSync(`${out}.new-`);
  try {
    chmodSync(place, 0o755);
    await make(place);
    mkdirSync(out, { recursive: true });
    const files = Object.keys(programs).flatMap((name) => [`${name}.cjs`, `${name}.program`]);
    for (const file of files) renameSync(join(place, file), join(out, file));
    for (const file of readdirSync(out)) if (!files.includes(file)) rmSync(join(out, file), { recursive: true });
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
}

function isBuilt(name: string): boolean {
  try {
    const bytes = readFileSync(join(out, `${name}.program`));
    return isFresh(JSON.parse(bytes.toString("latin1", 0, bytes.indexOf("\n"))));
  } catch {
    return false;
  }
}

async function make(place: string): Promise<void> {
  const { bundled, bytesOf } = await bundle();
  for (const each of bundled) {
    write(join(place, `${each.name}.program`), container(each, bytesOf));
    write(join(place, `${each.name}.cjs`), `const $require = require;\n${loading(each.name)};\n`);
  }
  writeFileSync(join(place, "unfinished"), "");
  await warmUp(place);
  for (const each of bundled) {
    const compiled = join(place, `${each.name}.compiled`);
    if (!existsSync(compiled)) continue;
    write(join(place, `${each.name}.program`), container(each, bytesOf, readFileSync(compiled)));
  }
}

/** See bin/programs.cjs. Throws where something has changed since it was bundled. */
function container(
  { text, inputs: bundled }: Bundled,
  bytesOf: ReadonlyMap<string, Buffer>,
  compiled = Buffer.alloc(0),
): Buffer {
  const inputs = [...bundled, ...makers];
  const stamps = inputs.flatMap((path) => {
    const { size, mtimeMs, ctimeMs } = statSync(join(root, path));
    return [path, size, mtimeMs, ctimeMs];
  });
  const hash = contentHash(inputs);
  if (hash !== contentHash(inputs, (path) => bytesOf.get(path) ?? readFileSync(join(root, path)))) {
    throw new Error("a source has changed while it was built: build again");
  }
  const source = Buffer.from(text, "latin1");
  const head = { node: process.version, source_bytes: source.length, hash, inputs: stamps };
  return Buffer.concat([Buffer.from(`${JSON.stringify(head)}\n`), source, compiled]);
}

/** No mask keeps others from running it, and no power cut leaves half of it. */
function write(path: string, contents: string | Buffer): void {
  writeFileSync(path, contents);
  chmodSync(path, 0o644);
  const file = openSync(path, "r");
  fsyncSync(file);
  closeSync(file);
}

await main();
