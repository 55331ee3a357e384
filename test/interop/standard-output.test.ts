/** The mail log on standard output, as service managers and containers take it. Needs nothing but ourselves. */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { until } from "../lab/until.ts";
import { freePort, makePlace } from "../peers/place.ts";

const launcher = new URL("../../bin/postern", import.meta.url).pathname;

async function place(maillogFile: string): Promise<{ etc: string; remove(): void }> {
  const { directory, remove } = makePlace("stdout");
  const etc = join(directory, "etc");
  mkdirSync(etc);
  const port = await freePort();
  writeFileSync(
    join(etc, "main.cf"),
    `compatibility_level = 3.6\nqueue_directory = ${directory}/queue\nmaillog_file = ${maillogFile}\nmyhostname = mx.example\nmydestination =\nalias_maps =\ninet_interfaces = 127.0.0.1\ninet_protocols = ipv4\n`,
  );
  writeFileSync(join(etc, "master.cf"), `127.0.0.1:${port} inet n - n - - smtpd\n`);
  return { etc, remove };
}

for (const [what, maillogFile] of [
  ["maillog_file = /dev/stdout", "/dev/stdout"],
  ["no maillog_file and no syslog daemon", ""],
] as const) {
  const skip = maillogFile === "" && existsSync("/dev/log") ? "a syslog daemon listens here" : false;
  test(`with ${what}, the log comes on standard output, a socket as much as a pipe, relays' lines included`, {
    skip,
    timeout: 30_000,
  }, async () => {
    const { etc, remove } = await place(maillogFile);
    // What spawn makes for "pipe" is a socket, which /dev/stdout cannot be opened as.
    const child = spawn(launcher, ["-c", etc, "start-fg"], { stdio: ["ignore", "pipe", "pipe"] });
    const ended = new Promise((resolve) => child.once("close", resolve));
    let [out, err] = ["", ""];
    child.stdout.on("data", (bytes: Buffer) => (out += bytes.toString()));
    child.stderr.on("data", (bytes: Buffer) => (err += bytes.toString()));
    try {
      await until("the start", () => out.includes("daemon started"), {
        limit_s: 15,
        about: () => out + err,
      });
      spawnSync(launcher, ["-c", etc, "sendmail", "-f", "", "a@b.invalid"], { input: "Subject: x\n\nx\n" });
      await until("a relay's line", () => /postfix\/pickup\[\d+\]: \w+: uid=\d+ from=<>/.test(out), {
        about: () => out + err,
      });
      if (maillogFile === "")
        assert.match(
          err,
          /warning: maillog_file is not set and no syslog daemon listens on \/dev\/log: the mail log goes to standard output/,
        );
    } finally {
      child.kill("SIGTERM");
      await ended;
      remove();
    }
    assert.match(out, /postfix\/master\[\d+\]: stopped\n$/);
  });
}

test("in the background there is no standard output: a start without a log says so", {
  skip: existsSync("/dev/log") ? "a syslog daemon listens here" : false,
  timeout: 30_000,
}, async () => {
  const { etc, remove } = await place("");
  try {
    const { status, stderr } = spawnSync(launcher, ["-c", etc, "start"], { encoding: "utf8" });
    assert.equal(status, 0, stderr);
    assert.match(stderr, /no syslog daemon listens on \/dev\/log: the mail log goes nowhere\. Set maillog_file/);
  } finally {
    assert.equal(spawnSync(launcher, ["-c", etc, "stop"]).status, 0);
    remove();
  }
});
