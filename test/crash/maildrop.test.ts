import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { until } from "../lab/until.ts";
import { missing } from "../peers/place.ts";
import { startPostern } from "../peers/postern.ts";
import { startReceivingSink } from "./receiving-sink.ts";
import { attachStrace } from "./strace.ts";

const skip = missing("strace") ?? false;
const launcher = join(import.meta.dirname, "..", "..", "bin", "postern");

test("a maildrop file that outlives its message is not queued again, by the same relay or the next", {
  skip,
}, async (context) => {
  const sink = await startReceivingSink();
  const mainCf = { relayhost: `[127.0.0.1]:${sink.port}`, smtp_tls_security_level: "none" };
  const relay = await startPostern({ mainCf });
  context.after(async () => {
    await relay.stop();
    await sink.close();
  });
  const maildrop = join(relay.directory, "queue", "postern", "maildrop");
  const files = (): string[] => readdirSync(maildrop);
  const submit = (id: string): void => {
    const input = `From: a@example.org\nTo: b@example.com\nMessage-ID: <${id}>\nSubject: test\n\nHello\n`;
    const env = { ...process.env, MAIL_CONFIG: join(relay.directory, "etc") };
    const { status, stderr } = spawnSync(launcher, ["sendmail", "b@example.com"], { input, env, encoding: "utf8" });
    assert.equal(status, 0, stderr);
  };
  const arrived = (id: string): Promise<unknown> =>
    until(`${id} arrives`, () => sink.taken.has(id), { about: () => relay.log() });

  const strace = await attachStrace({
    ...{ pids: [relay.relayPid() ?? 0], calls: ["unlink", "unlinkat"], inject: ["unlink,unlinkat:error=EIO"] },
    file: join(relay.directory, "trace"),
  });
  submit("one@example.org");
  await arrived("one@example.org");
  await until("it is reported", () => /maildrop\/\w+ was taken, and cannot be removed \(EIO\)/.test(relay.log()));
  submit("two@example.org");
  await arrived("two@example.org");
  assert.equal(files().length, 2);
  await strace.detach();
  await relay.kill("relay");
  await until("the next relay has removed them", () => files().length === 0, { about: () => relay.log() });
  submit("three@example.org");
  await arrived("three@example.org");
  assert.deepEqual([...sink.taken.values()], [1, 1, 1]);
  assert.match(relay.run("mailq").stdout, /Mail queue is empty/);
});
