import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import type { CommandIo } from "./io.ts";
import { newaliases, postalias } from "./postalias.ts";
import { postmap } from "./postmap.ts";
import { testIo } from "./test-io.ts";

const base = mkdtempSync(join(tmpdir(), "postmap-"));
after(() => rmSync(base, { recursive: true, force: true }));
writeFileSync(
  join(base, "main.cf"),
  `smtputf8_enable = yes\nmyhostname = h.test\nalias_database = hash:${base}/aliases\n`,
);

type Command = (args: readonly string[], io: CommandIo) => Promise<number>;

async function run(
  command: Command,
  args: readonly string[],
  input = "",
): Promise<{ status: number; out: string; err: string }> {
  const io = testIo({ args0: "postmap", directory: base, input: [input] });
  const status = await command(args, io);
  const { out, err } = io.written();
  return { status, out: out.toString(), err: err.replaceAll(`${base}/`, "") };
}

let made = 0;

function source(text: string, mode = 0o644): string {
  const path = join(base, `t${made++}`);
  writeFileSync(path, text, { mode });
  return path;
}

test("the how-to's file becomes an index of 12288 bytes with its permissions, which answers", async () => {
  const path = source("# comment\nmail.my-isp.org      test:testpass\n", 0o600);
  assert.deepEqual(await run(postmap, [`hash:${path}`]), { status: 0, out: "", err: "" });
  const { size, mode } = statSync(`${path}.db`);
  assert.deepEqual([size, mode & 0o777], [12288, 0o600]);
  assert.deepEqual(await run(postmap, ["-q", "Mail.My-ISP.org", path]), { status: 0, out: "test:testpass\n", err: "" });
  assert.deepEqual(await run(postmap, ["-q", "other", path]), { status: 1, out: "", err: "" });
});

test("keys from standard input are answered in their order, as they were given", async () => {
  const path = source("a 1\nb 2\n");
  await run(postmap, [path]);
  assert.deepEqual(await run(postmap, ["-q", "-", path], "B\nx\na"), { status: 0, out: "B\t2\na\t1\n", err: "" });
});

test("entries are added and taken away, and the rest stays", async () => {
  const path = source("a 1\nb 2\n");
  await run(postmap, [path]);
  const added = await run(postmap, ["-i", path], "c 3\na 9\n");
  assert.equal(added.err, `postmap: warning: t${made - 1}.db: duplicate entry: "a"\n`);
  assert.equal((await run(postmap, ["-d", "b", path])).status, 0);
  assert.equal((await run(postmap, ["-d", "b", path])).status, 1);
  assert.deepEqual((await run(postmap, ["-s", path])).out.split("\n").sort(), ["", "a\t1", "c\t3"]);
});

test("a damaged index cannot be added to, and stays as it is", async () => {
  const path = source("a 1\n");
  writeFileSync(`${path}.db`, "rubbish");
  const { status, err } = await run(postmap, ["-i", path], "c 3\n");
  assert.equal(status, 1);
  assert.match(err, /^postmap: fatal: open database t\d+\.db: not a complete Berkeley DB hash file/);
  assert.equal(readFileSync(`${path}.db`, "latin1"), "rubbish");
});

test("an index added to where there was none is no more readable than its source", async () => {
  const path = source("a 1\n", 0o600);
  await run(postmap, ["-i", path], "c 3\n");
  assert.equal(statSync(`${path}.db`).mode & 0o777, 0o600);
});

test("a type that cannot be made says so, and makes nothing", async () => {
  const path = source("a 1\n");
  const { status, err } = await run(postmap, [`texthash:${path}`]);
  assert.deepEqual(
    [status, err],
    [1, "postmap: fatal: unsupported dictionary type: texthash does not support bulk-mode creation.\n"],
  );
  assert.equal(existsSync(`${path}.db`), false);
});

test("a configuration directory without main.cf ends the command", async () => {
  const { status, err } = await run(postmap, ["-c", `${base}/nowhere`, "x"]);
  assert.deepEqual([status, err], [1, "postmap: fatal: open nowhere/main.cf: No such file or directory\n"]);
});

test("newaliases makes what alias_database names, and postalias answers from it", async () => {
  writeFileSync(join(base, "aliases"), "Root: admin@example.com,\n\tother\n");
  assert.deepEqual(await run(newaliases, []), { status: 0, out: "", err: "" });
  const answer = await run(postalias, ["-q", "-", `${base}/aliases`], "ROOT\n@\nYP_MASTER_NAME\n");
  assert.equal(answer.out, "ROOT:\tadmin@example.com, other\n@:\t@\n");
});
