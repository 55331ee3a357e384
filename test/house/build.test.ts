import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, test } from "node:test";

/** The build, in a copy of this checkout. */

const root = resolve(import.meta.dirname, "../..");
const copy = mkdtempSync(join(tmpdir(), "postern-checkout-"));
after(() => rmSync(copy, { recursive: true }));
for (const name of ["bin", "scripts", "src", "package.json", "package-lock.json"]) {
  cpSync(join(root, name), join(copy, name), { recursive: true });
}
symlinkSync(join(root, "node_modules"), join(copy, "node_modules"));

const source = join(copy, "src/cli/main.ts");
const built = join(copy, "build/cli-main.program");

/** What it says to a command that there is not, and others as long, to know one program from another by. */
const original = "postern: unknown command: ";
const marked = "postern: foreign command: ";
const edited = "postern: UNKNOWN command: ";

/** Which of them it is. */
function said(): string {
  const { stderr } = spawnSync(join(copy, "bin/postern"), ["nothing"], { encoding: "utf8" });
  return stderr.slice(0, original.length);
}

function exchange(path: string, from: string, to: string): void {
  const text = readFileSync(path, "latin1");
  assert.ok(text.includes(from), `${path} has no "${from}"`);
  writeFileSync(path, text.replaceAll(from, to), "latin1");
}

function build(): void {
  const { status, stderr } = spawnSync(process.execPath, [join(copy, "scripts/build.ts")], { encoding: "utf8" });
  assert.equal(status, 0, stderr);
}

test("a build is run as long as it is of these very sources, and never after they have changed", () => {
  assert.equal(said(), original, "without a build the sources run");
  build();
  exchange(built, original, marked);
  assert.equal(said(), marked, "the build runs");

  const { atime, mtime } = statSync(source);
  exchange(source, original, edited);
  utimesSync(source, atime, mtime);
  assert.equal(said(), edited, "a source of the same size and time that is another one is noticed");

  exchange(source, edited, original);
  assert.equal(said(), marked, "a source that is again what it was is what was built");

  writeFileSync(built, "{");
  assert.equal(said(), original, "half a build is none");
  build();
  exchange(built, original, marked);
  assert.equal(said(), marked, "and it is mended by the next one");
});

test("what each command loads beside its own program is small", () => {
  build();
  const size_KiB = (name: string) => statSync(join(copy, "build", `${name}.program`)).size / 1024;
  assert.ok(size_KiB("cli-main") < 400, `${size_KiB("cli-main")} KiB: a command has come into it`);
  assert.ok(size_KiB("cli-sendmail") < 600, `${size_KiB("cli-sendmail")} KiB`);
});

test("a build can be run by everybody and changed by its owner alone", () => {
  build();
  for (const path of [join(copy, "build"), built, join(copy, "build/relay-process.cjs")]) {
    const mode = statSync(path).mode & 0o777;
    assert.equal(mode & 0o022, 0, path);
    assert.equal(mode & 0o444, 0o444, path);
  }
});
