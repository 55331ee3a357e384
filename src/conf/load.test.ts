import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { realFiles } from "../runtime/files.ts";
import type { Host } from "../runtime/host.ts";
import { type Conf, loadConf, parseConf } from "./load.ts";
import { globalParams } from "./params.ts";

const directory = mkdtempSync(join(tmpdir(), "conf-"));
after(() => rmSync(directory, { recursive: true }));

const host: Host = {
  name: () => "h.example",
  interfaces: () => [{ name: "eth0", address: "192.0.2.7", family: 4, prefix_bits: 24, loopback: false }],
};
const names = {
  native: async (name: string) =>
    name === "h.example" ? [{ address: "192.0.2.7", family: 4 as const }] : Promise.reject(new Error("no")),
};
const load = (overrides?: Record<string, string>) =>
  loadConf(realFiles, directory, { declared: globalParams, host, names, ...(overrides ? { overrides } : {}) });

function write(main: string, master = "smtp inet n - n - - smtpd\n"): void {
  writeFileSync(join(directory, "main.cf"), main);
  writeFileSync(join(directory, "master.cf"), master);
}

describe("loadConf", () => {
  it("files that are not there are problems", async () => {
    const { problems } = await load();
    assert.deepEqual(
      problems.map(({ file, text }) => [file, text]),
      [
        [`${directory}/main.cf`, "cannot be read: no such file"],
        [`${directory}/master.cf`, "cannot be read: no such file"],
      ],
    );
  });

  it("gives settings and services, and texts from which another process gets the same", async () => {
    writeFileSync(join(directory, "mailname"), "mail.example\nmore\n");
    write(`myorigin = ${directory}/mailname\nrelayhost = x\n`);
    const conf = await load({ relayhost: "y" });
    const again: Conf = parseConf(structuredClone(conf.texts), globalParams);
    for (const { settings, services, problems } of [conf, again]) {
      assert.deepEqual(problems, []);
      assert.equal(settings.value("myorigin"), "mail.example");
      assert.deepEqual(settings.at("myorigin"), { file: `${directory}/main.cf`, line: 1 });
      assert.equal(settings.value("relayhost"), "y");
      assert.equal(settings.value("config_directory"), directory);
      assert.deepEqual(
        services.map(({ name }) => name),
        ["smtp"],
      );
    }
  });

  it("a myorigin file that is missing or empty is a problem with main.cf's line", async () => {
    write(`a = 1\nmyorigin = ${directory}/nowhere\n`);
    assert.match((await load()).problems[0]?.text ?? "", /^myorigin file .*nowhere cannot be read: no such file$/);
    assert.equal((await load()).problems[0]?.line, 2);
    writeFileSync(join(directory, "empty"), "\n");
    write(`myorigin = ${directory}/empty\n`);
    assert.match((await load()).problems[0]?.text ?? "", /is empty$/);
  });

  it("names in inet_interfaces give mynetworks their addresses' networks", async () => {
    write("inet_interfaces = $myhostname\nmynetworks_style = subnet\n");
    const conf = await load();
    assert.equal(conf.settings.value("mynetworks"), "192.0.2.0/24");
    assert.equal(parseConf(conf.texts, globalParams).settings.value("mynetworks"), "192.0.2.0/24");
    write("inet_interfaces = other.example\n");
    assert.match((await load()).problems[0]?.text ?? "", /host not found: other\.example/);
  });

  it("problems of both files are listed together", async () => {
    write("nonsense\n", "smtp\n");
    assert.deepEqual(
      (await load()).problems.map(({ file, line }) => [file, line]),
      [
        [`${directory}/main.cf`, 1],
        [`${directory}/master.cf`, 1],
      ],
    );
  });
});
