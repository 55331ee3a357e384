/** `postern top` on a pseudo-terminal. Needs python3, which makes one; as root the relay drops its privileges. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join, resolve } from "node:path";
import { test } from "node:test";
import { needs } from "../lab/needs.ts";
import { onTerminal } from "../lab/pseudo-terminal.ts";
import { until } from "../lab/until.ts";
import { startPostern } from "../peers/postern.ts";

const launcher = resolve(import.meta.dirname, "../../bin/postern");
const able = needs({ programs: ["python3"] });

/** What leaves the terminal as it was: no colour, the cursor, the first screen. */
const restored = "\x1b[0m\x1b[?25h\x1b[?1049l";

test(
  "top shows destinations, their mail and one message, holds and releases it, and leaves the terminal as it was",
  able,
  async (t) => {
    const postern = await startPostern({
      mainCf: { relayhost: "[127.0.0.1]:1", initial_destination_concurrency: "1" },
    });
    t.after(() => postern.stop());
    const etc = join(postern.directory, "etc");
    const sent = spawnSync(launcher, ["sendmail", "-C", etc, "-f", "a@here.example", "you@far.example"], {
      input: "Subject: x\n\nHello.\n",
    });
    assert.equal(sent.status, 0);
    await until("it is put off", () => postern.log().includes("status=deferred"));
    const top = onTerminal([launcher, "-c", etc, "top"]);
    t.after(() => top.end());
    await top.shows(/queue: 0 active, 1 deferred, 0 held[\s\S]*> \[127\.0\.0\.1\]:1 .*alone \d/);
    await top.shows(
      /last error, .* ago: connect to 127\.0\.0\.1\[127\.0\.0\.1\]:1: Connection refused\n {2}Nothing takes connections/,
    );
    assert.equal(top.screen().length, 24);
    assert.ok(
      top.screen().every((line) => line.length <= 80),
      "none is wider than the terminal",
    );
    top.resize(12, 60);
    await until(
      "it fits the smaller terminal",
      () => top.screen().length === 12 && top.screen().every((line) => line.length <= 60),
    );
    top.resize(24, 80);
    top.type("\r");
    await top.shows(
      /messages for \[127\.0\.0\.1\]:1: 1 message shown\n> \w+ +deferred .* a@here\.example -> you@far\.example/,
    );
    top.type("h");
    await top.shows(/> \w+ +hold /);
    top.type("r");
    await top.shows(/> \w+ +(?:deferred|active) /);
    top.type("\r");
    await top.shows(/^message \w+$[\s\S]*what happened to it:[\s\S]*you@far\.example put off/m);
    top.type("\x1b");
    await top.shows(/messages for /);
    top.type("\x1b[D");
    await top.shows(/DESTINATION/);
    top.type("f");
    await top.shows(/tried now: \d+ waiting message/);
    top.type("q");
    assert.deepEqual(await top.ended, { status: 0, same: true });
    assert.ok(top.written().startsWith("\x1b[?1049h") && top.written().endsWith(restored));
    assert.match(top.written(), /\x1b\[1m/, "colours on a terminal");
  },
);

test("top ends in order on a signal, without a relay, and uses no colours where NO_COLOR is set", able, async (t) => {
  const postern = await startPostern();
  t.after(() => postern.stop());
  await postern.halt();
  const top = onTerminal([launcher, "-c", join(postern.directory, "etc"), "top"], { env: { NO_COLOR: "1" } });
  t.after(() => top.end());
  await top.shows(/the mail system does not answer/);
  top.signal(15);
  assert.deepEqual(await top.ended, { status: 143, same: true });
  assert.ok(top.written().endsWith(restored));
  assert.doesNotMatch(top.written().replace(restored, ""), /\x1b\[[0-9;]*m/);
});

test("top says so where there is no terminal, or one that cannot be drawn on", able, async (t) => {
  const postern = await startPostern();
  t.after(() => postern.stop());
  const { status, stdout, stderr } = postern.run("top");
  assert.deepEqual([status, stdout], [69, ""]);
  assert.equal(
    stderr,
    "postern top: this is no terminal that can be drawn on. For programs there is: postern status --json\n",
  );
  const dumb = onTerminal([launcher, "-c", join(postern.directory, "etc"), "top"], { env: { TERM: "dumb" } });
  assert.deepEqual(await dumb.ended, { status: 69, same: true });
  const help = spawnSync(launcher, ["top", "--help"], { encoding: "utf8" }).stdout.split("\n");
  assert.ok(help.length > 5 && help.length <= 24 && help.every((line) => line.length <= 90));
});
