import assert from "node:assert/strict";
import {
  chmodSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { realFiles } from "../runtime/files.ts";
import { seededRandom } from "../runtime/random.ts";
import { EditError, editText, parseEdits, rewriteFile } from "./edit.ts";

const edited = (text: string, edits: Record<string, string>) =>
  editText(text, new Map(Object.entries(edits)), () => {});

describe("editText", () => {
  it("replaces a definition where it stands, with its continuation lines but not their comments", () => {
    assert.equal(edited("# c\na = 1,\n  2\n# kept\n  3\nb = 4\n", { a: "x" }), "# c\na = x\n# kept\nb = 4\n");
  });

  it("appends what is new, sorted, on lines of its own", () => {
    assert.equal(edited("b = 1", { d: "4", c: "3" }), "b = 1\nc = 3\nd = 4\n");
    assert.equal(edited("", { a: "" }), "a = \n");
  });

  it("replaces each of several definitions and tells once", () => {
    const told: string[] = [];
    const text = editText("a=1\na=2\nb=1\na=3\n", new Map([["a", "x"]]), (name) => told.push(name));
    assert.equal(text, "a = x\na = x\nb=1\na = x\n");
    assert.deepEqual(told, ["a"]);
  });
});

describe("parseEdits", () => {
  it("takes name=value, and the last of a name with a warning", () => {
    const warnings: string[] = [];
    assert.deepEqual(
      [...parseEdits([" a = 1 ", "b=", "a=2"], (text) => warnings.push(text))],
      [
        ["a", "2"],
        ["b", ""],
      ],
    );
    assert.deepEqual(warnings, ["ignoring earlier request: 'a = 1'"]);
  });

  for (const bad of ["a", "=x", "#a=1", "a=1\nb=2"]) {
    it(`refuses ${JSON.stringify(bad)}`, () => assert.throws(() => parseEdits([bad], () => {}), EditError));
  }
});

describe("rewriteFile", () => {
  const directory = mkdtempSync(join(tmpdir(), "edit-"));
  after(() => rmSync(directory, { recursive: true }));
  const world = { files: realFiles, random: seededRandom(1) };
  const path = join(directory, "main.cf");

  it("keeps mode, owner and a symbolic link, and leaves nothing else behind", async () => {
    const target = join(directory, "real.cf");
    writeFileSync(target, "a = \xff\n", "latin1");
    chmodSync(target, 0o640);
    symlinkSync("real.cf", path);
    await rewriteFile(world, path, (text) => text.replace("a", "b"));
    assert.equal(readFileSync(target, "latin1"), "b = \xff\n");
    assert.ok(lstatSync(path).isSymbolicLink());
    assert.equal(statSync(target).mode & 0o7777, 0o640);
    assert.deepEqual(readdirSync(directory).sort(), ["main.cf", "real.cf"]);
  });

  it("what somebody else writes meanwhile is not lost", async () => {
    let calls = 0;
    await rewriteFile(world, path, (text) => {
      if (calls++ === 0) writeFileSync(path, "theirs = 1\n");
      return `${text}ours = 2\n`;
    });
    assert.equal(readFileSync(path, "utf8"), "theirs = 1\nours = 2\n");
  });

  it("a file that is not there, or cannot be written, is refused and left as it was", async () => {
    await assert.rejects(
      rewriteFile(world, join(directory, "nowhere"), (text) => text),
      /No such file or directory/,
    );
    const full = {
      ...realFiles,
      open: async (name: string, flags: number, mode?: number) => {
        const file = await realFiles.open(name, flags, mode);
        if (!name.endsWith(".tmp")) return file;
        return { ...file, write: () => Promise.reject(Object.assign(new Error(), { code: "ENOSPC" })) };
      },
    };
    const before = readFileSync(path, "utf8");
    await assert.rejects(
      rewriteFile({ ...world, files: full }, path, () => "x"),
      /No space left on device/,
    );
    assert.equal(readFileSync(path, "utf8"), before);
    assert.deepEqual(readdirSync(directory).sort(), ["main.cf", "real.cf"]);
  });
});
