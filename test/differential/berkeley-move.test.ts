/** What `postern check` says about tables in files of Berkeley DB works as it is printed, with Debian's postconf and postmap. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { check } from "../../src/cli/check.ts";
import { testIo } from "../../src/cli/test-io.ts";
import { realRuntime } from "../../src/runtime/real.ts";
import { needs } from "../lab/needs.ts";
import { postmapLab } from "../lab/postmap.ts";

const able = needs({ root: true, programs: ["postconf", "postmap", "/usr/lib/postfix/postfix-lmdb.so"] });
const lab = postmapLab("berkeley");
after(() => lab.remove());

interface Told {
  readonly findings: readonly { readonly code: string; readonly text: string; readonly commands: readonly string[] }[];
}

async function berkeley(directory: string): Promise<Told["findings"]> {
  const io = testIo({ runtime: realRuntime(), directory, args0: "postern" });
  await check(["--offline", "--json"], io);
  const { findings } = JSON.parse(io.written().out.toString()) as Told;
  return findings.filter(({ code }) => code === "berkeley-db");
}

test("the commands move every table to LMDB, one without its source included", able, async () => {
  const directory = lab.place({
    transport: "example.com smtp:[one]\n",
    virtual: "a@example.com b@example.org\n",
    lost: "example.net smtp:[two]\n",
    "master.cf": "smtp inet n - n - - smtpd\n",
  });
  mkdirSync(join(directory, "spool"));
  const named = (type: string) => `transport_maps = ${type}:${directory}/transport, ${type}:${directory}/lost`;
  lab.write(
    directory,
    "main.cf",
    `compatibility_level = 3.6\nqueue_directory = ${directory}/spool\nmyhostname = mail.example.test\nalias_maps =\nalias_database =\n` +
      `inet_interfaces = 127.0.0.1\n${named("hash")}\nvirtual_alias_maps = btree:$config_directory/virtual\n`,
  );
  for (const table of ["hash:transport", "hash:lost", "btree:virtual"]) {
    const [type, name] = table.split(":");
    await lab.debian("postmap", directory, [`${type}:${directory}/${name}`]);
  }
  rmSync(join(directory, "lost"));
  const [told] = await berkeley(directory);
  assert.match(told?.text ?? "", /hash:.*transport \(transport_maps\).*btree:.*virtual \(virtual_alias_/);
  for (const command of told?.commands ?? []) execFileSync("sh", ["-c", command], { stdio: "pipe" });
  const show = execFileSync("postconf", [
    "-c",
    directory,
    "transport_maps",
    "virtual_alias_maps",
    "default_database_type",
  ]);
  assert.equal(
    show.toString(),
    `${named("lmdb")}\nvirtual_alias_maps = lmdb:$config_directory/virtual\ndefault_database_type = lmdb\n`,
  );
  for (const [key, name, value] of [
    ["example.com", "transport", "smtp:[one]\n"],
    ["example.net", "lost", "smtp:[two]\n"],
    ["a@example.com", "virtual", "b@example.org\n"],
  ] as const) {
    assert.equal((await lab.debian("postmap", directory, ["-q", key, `lmdb:${directory}/${name}`])).out, value);
  }
  assert.deepEqual(await berkeley(directory), []);
});
