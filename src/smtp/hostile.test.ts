import assert from "node:assert/strict";
import { test } from "node:test";
import { defaults } from "../conf/defaults.ts";
import { globalParams } from "../conf/params.ts";
import { memoryLog } from "../log/log.ts";
import type { DeliveryResult } from "../queue/delivery.ts";
import { realClock } from "../runtime/clock.ts";
import { realNet } from "../runtime/net.ts";
import { ownFailure } from "./failure.ts";
import { readFeatures } from "./features.ts";
import { Ledger, nowhere } from "./ledger.ts";
import { requestTo, type TestOptions, testClient, type Written } from "./testing/client.ts";
import { type Script, ScriptedServer } from "./testing/scripted-server.ts";

/** What a client that hangs would take for ever. */
const patience = { timeout: 20_000 };

async function deliver(
  script: Script,
  written: Written = {},
  options: TestOptions = {},
): Promise<{ outcome: string; result: DeliveryResult; server: ScriptedServer }> {
  const server = await new ScriptedServer(script).listen(realNet);
  const { client } = testClient(written, options);
  try {
    const result = await client.deliver(requestTo(`[127.0.0.1]:${server.port}`));
    const [first] = result.recipients;
    return { outcome: `${first?.status} ${first?.dsn} ${first?.reason}`, result, server };
  } finally {
    await client.close();
    await server.close();
  }
}

const unsolicited = /^deferred 4\.5\.0 Protocol error: host \S+ sent a reply that nobody asked for while /;

for (const [what, more] of [
  ["a reply", "421 4.3.2 closing\r\n"],
  ["half a reply", "42"],
] as const) {
  test(
    `${what} right behind the last one of the handshake defers the mail, and does not hold it for ever`,
    patience,
    async () => {
      const told = await deliver({ ehlo: { raw: `250-scripted.test\r\n250 PIPELINING\r\n${more}` } });
      assert.match(told.outcome, unsolicited);
    },
  );
}

test(
  "a connection that ends while its session is being handed over is no delivery that never ends",
  patience,
  async () => {
    const told = await deliver({ ehlo: { after: "250 scripted.test", drop: true } });
    assert.match(told.outcome, /^deferred 4\.4\.2 lost connection with /);
  },
);

test("an acceptance that came before the message was sent counts for nothing", patience, async () => {
  const told = await deliver({ on: { DATA: { raw: "354 go ahead\r\n250 2.0.0 Ok: queued\r\n" } } });
  assert.match(told.outcome, unsolicited);
  assert.ok(!told.server.lines.some((line) => line.startsWith("Subject")), "nothing of it was sent");
});

test("a reply to STARTTLS that came before STARTTLS was said starts no TLS", patience, async () => {
  const told = await deliver(
    { ehlo: { raw: "250-scripted.test\r\n250 STARTTLS\r\n220 2.0.0 Ready to start TLS\r\n" } },
    { smtp_tls_security_level: "encrypt" },
  );
  assert.match(told.outcome, unsolicited);
});

test("a handshake that never ends is a failure of TLS, and not of the reply before it", patience, async () => {
  const server: Script = { ehlo: ["scripted.test", "STARTTLS"], on: { STARTTLS: { raw: "220 go\r\n" } } };
  const told = await deliver(server, { smtp_tls_security_level: "encrypt", smtp_starttls_timeout: "1s" });
  assert.equal(told.outcome, "deferred 4.7.5 Cannot start TLS: handshake failure");
});

test("a success that came before the login was tried is no login", patience, async () => {
  const told = await deliver(
    { ehlo: { raw: "250-scripted.test\r\n250 AUTH PLAIN\r\n235 2.7.0 welcome\r\n" } },
    { smtp_sasl_auth_enable: "yes", smtp_sasl_security_options: "" },
    { passwords: { "127.0.0.1": "me:secret" } },
  );
  assert.match(told.outcome, unsolicited);
});

test("lines without a code that come too early are passed over", patience, async () => {
  const told = await deliver({ on: { MAIL: { raw: "250 2.1.0 Ok\r\nwhat was that\r\n" } }, ehlo: ["scripted.test"] });
  assert.match(told.outcome, /^sent 2\.0\.0 /);
});

test("the answer to QUIT is none to the message before it", patience, async () => {
  const script: Script = { ehlo: ["scripted.test", "PIPELINING"], dot: { raw: "\0 what was that\r\n" } };
  const told = await deliver(script, { smtp_connection_cache_on_demand: "no" });
  assert.match(told.outcome, unsolicited);
});

test("nonsense in a reply to EHLO fills no log", () => {
  const lines = ["mx.test", ...Array.from({ length: 5000 }, (_, index) => `SIZE x${index}${"y".repeat(2000)}`)];
  const { warnings } = readFeatures(lines, new Set());
  assert.ok(warnings.length <= 3 && warnings.every((warning) => warning.length < 200), `${warnings.length} warnings`);
});

test("a mailing whose recipients are refused one by one takes time in proportion to them", {
  timeout: 60_000,
}, async () => {
  const to = Array.from({ length: 100_000 }, (_, index) => `user${index}@dest.test`);
  const conf = defaults(globalParams, {});
  const ledger = new Ledger(requestTo("dest.test", { to }), conf, realClock, memoryLog());
  for (const [index, target] of ledger.left.entries()) {
    ledger.fail([target], ownFailure("5.1.1", "no", "message"), true, nowhere);
    if (index % 1000 === 0) await new Promise((resume) => setImmediate(resume));
  }
  assert.equal(ledger.left.length, 0);
  assert.equal(ledger.results.length, to.length);
});
