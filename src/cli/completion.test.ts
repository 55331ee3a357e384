import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { commands, programs, usage } from "./commands.ts";
import { completionOf, longOptions } from "./completion.ts";
import { testIo } from "./test-io.ts";

const completion = completionOf(commands, Object.keys(programs));

async function script(shell: string): Promise<string> {
  const io = testIo();
  assert.equal(await completion([shell], io), 0);
  return io.written().out.toString();
}

/** What bash offers for a line, its last word unfinished. */
async function offered(...words: readonly string[]): Promise<readonly string[]> {
  const line = words.map((word) => `'${word}'`).join(" ");
  const ask = `${await script("bash")}\nCOMP_WORDS=(${line}); COMP_CWORD=${words.length - 1}; _postern; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout, stderr, status } = spawnSync("bash", ["-c", ask], { encoding: "utf8" });
  assert.equal(status, 0, stderr);
  return stdout.split("\n").filter(Boolean);
}

test("bash completes commands, with a directory named before or not, and the options of each", async () => {
  assert.deepEqual(await offered("postern", "sta"), ["start", "start-fg", "status"]);
  assert.deepEqual(await offered("postern", "-c", "/etc/postfix", "che"), ["check"]);
  assert.deepEqual(await offered("postern", "check", "--off"), ["--offline"]);
  assert.deepEqual(await offered("postern", "completion", "z"), ["zsh"]);
  assert.ok((await offered("postern", "post")).includes("postconf"));
});

test("every command and every option is in every script", async () => {
  for (const shell of ["bash", "zsh", "fish"]) {
    const text = await script(shell);
    for (const name of [...commands.map((each) => each.name), ...Object.keys(programs)])
      assert.match(text, new RegExp(`\\b${name}\\b`));
    for (const entry of commands) {
      for (const option of await longOptions(entry))
        assert.ok(text.includes(option.slice(2)), `${shell}: ${entry.name} ${option}`);
    }
  }
});

test("a shell that is not known is refused with the usage", async () => {
  for (const args of [[], ["csh"], ["bash", "zsh"], ["constructor"]]) {
    const io = testIo();
    assert.equal(await completion(args, io), 64);
    assert.match(io.written().err, /usage: postern completion/);
  }
});

test("help fits a screen of 80 columns and 40 lines, and each command's, too", async () => {
  const texts = [usage(), ...(await Promise.all(commands.map(({ help }) => help?.() ?? "")))];
  for (const text of texts) {
    const lines = text.split("\n");
    assert.ok(lines.length <= 40, text);
    for (const line of lines) assert.ok(line.length <= 100, line);
  }
});

test("--help of each command that has options prints them, and exits with 0", async () => {
  for (const { name, load, help } of commands) {
    if (!help) continue;
    const io = testIo();
    assert.equal(await (await load())(["--help"], io), 0, name);
    assert.equal(io.written().out.toString(), await help(), name);
  }
});
