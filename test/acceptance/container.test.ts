/**
 * A configuration from the environment, as in a container: the relay host, a login whose password is in a file, parameters
 * and a table. The mail arrives, the password is used, and stands nowhere else. As root the relay drops its privileges.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { startPracticeServer } from "../../src/practice/practice-server.ts";
import { realRuntime } from "../../src/runtime/real.ts";
import { sendMail } from "../differential/mail-taker.ts";
import { until } from "../lab/until.ts";
import { startPostern } from "../peers/postern.ts";

const password = "a secret: of 7 words";

test("RELAYHOST, a login with its password in a file, POSTFIX_ and POSTMAP_ make a relay", {
  timeout: 180_000,
}, async () => {
  const users = { "me@isp.example": password };
  const server = await startPracticeServer(realRuntime(), {
    address: "127.0.0.1",
    port: 0,
    users,
    mechanisms: ["PLAIN"],
  });
  const postern = await startPostern({
    mainCf: { relayhost: "[192.0.2.1]", smtpd_peername_lookup: "no" },
    files: { "secrets/password": `${password}\n` },
    env: {
      RELAYHOST: `[127.0.0.1]:${server.port}`,
      RELAYHOST_USERNAME: "me@isp.example",
      RELAYHOST_PASSWORD_FILE: "@DIRECTORY@/secrets/password",
      POSTFIX_mynetworks: "127.0.0.0/8",
      POSTFIX_virtual_alias_maps: "hash:@DIRECTORY@/etc/virtual",
      POSTMAP_virtual: "you@x.example them@y.example\nothers@x.example nobody@y.example",
    },
  });
  try {
    const [reply] = await sendMail(postern.port, [
      { client: "127.0.0.1", sender: "me@x.example", to: ["you@x.example"], text: "Subject: x\r\n\r\nbody\r\n" },
    ]);
    assert.match(reply ?? "", /^250 /);
    await until("the message", () => server.messages.length > 0, { about: () => postern.log() });
    const [message] = server.messages;
    assert.deepEqual(message?.recipients, ["them@y.example"]);
    assert.ok(server.commands.some((command) => /AUTH PLAIN/.test(command)));
    const { stdout, stderr } = postern.run("postconf", "-n");
    assert.match(stdout, /^smtp_sasl_password_maps = given:relayhost$/m);
    assert.match(stderr, /relayhost is set by the environment \(RELAYHOST\)/);
    const checked = postern.run("check", "--offline");
    for (const text of [stdout, stderr, postern.log(), checked.stdout, checked.stderr]) {
      assert.ok(!text.includes(password) && !text.includes(Buffer.from(password).toString("base64")));
    }
    assert.equal(postern.run("reload").status, 0);
    const found = spawnSync("grep", ["-rlF", password, postern.directory], { encoding: "utf8" });
    assert.equal(found.stdout.trim(), `${postern.directory}/secrets/password`);
  } finally {
    await postern.stop();
    await server.close();
  }
});
