import assert from "node:assert/strict";
import { test } from "node:test";
import { makeCertificate } from "../practice/certificate.ts";
import type { DeliveryResult } from "../queue/delivery.ts";
import { realNet } from "../runtime/net.ts";
import { requestTo, type TestMessage, type TestOptions, testClient, type Written } from "./testing/client.ts";
import { type Script, ScriptedServer } from "./testing/scripted-server.ts";

const now = Date.now();
const own = makeCertificate({ names: ["mx.test"], notBefore_ms: now - 86_400_000, days: 10 });
const offering = ["scripted.test", "PIPELINING", "STARTTLS"];

interface Told {
  readonly result: DeliveryResult;
  readonly lines: readonly string[];
  readonly server: ScriptedServer;
}

async function deliver(
  script: Script,
  written: Written,
  options: TestOptions = {},
  message: TestMessage = {},
  times = 1,
): Promise<Told> {
  const server = await new ScriptedServer(script).listen(realNet);
  const { client, log } = testClient({ smtp_tls_loglevel: "1", ...written }, options);
  try {
    let result: DeliveryResult | undefined;
    for (let count = 0; count < times; count++) {
      result = await client.deliver(requestTo(`[127.0.0.1]:${server.port}`, message));
    }
    return { result: result as DeliveryResult, lines: log.lines, server };
  } finally {
    await client.close();
    await server.close();
  }
}

const reasonOf = ({ result }: Told): string => {
  const [first] = result.recipients;
  return `${first?.status} ${first?.dsn} ${first?.reason}`;
};

const ehloTls = ["scripted.test", "PIPELINING", "AUTH PLAIN"];

test("at encrypt the session is secured, whoever the server is, and is used again", async () => {
  const told = await deliver({ ehlo: offering, ehloTls, tls: own }, { smtp_tls_security_level: "encrypt" }, {}, {}, 2);
  assert.match(reasonOf(told), /^sent 2\.0\.0 /);
  assert.deepEqual(told.server.lines.slice(0, 4), [
    "EHLO relay.test",
    "STARTTLS",
    "EHLO relay.test",
    "MAIL FROM:<sender@local.test>",
  ]);
  assert.equal(told.server.conversations.length, 1);
  assert.ok(
    told.lines.some((line) =>
      /^smtp: Untrusted TLS connection established to 127\.0\.0\.1\[127\.0\.0\.1\]:\d+: TLSv1\.3 with cipher \S+ \(\d+\/\d+ bits\)$/.test(
        line,
      ),
    ),
  );
});

test("a login waits for TLS, and is held to the options for it", async () => {
  const conf: Written = {
    smtp_tls_security_level: "encrypt",
    smtp_sasl_auth_enable: "yes",
    smtp_sasl_tls_security_options: "noanonymous",
  };
  const script: Script = { ehlo: [...offering, "AUTH PLAIN"], ehloTls, tls: own, on: { AUTH: "235 2.7.0 in" } };
  const told = await deliver(script, conf, { passwords: { "127.0.0.1": "user:secret" } });
  assert.match(reasonOf(told), /^sent /);
  const lines = told.server.lines;
  assert.ok(lines.findIndex((line) => line.startsWith("AUTH")) > lines.indexOf("STARTTLS"));
});

test("in wrapper mode everything is secured from the first byte", async () => {
  const conf: Written = { smtp_tls_security_level: "encrypt", smtp_tls_wrappermode: "yes" };
  const told = await deliver({ wrapper: true, tls: own }, conf);
  assert.match(reasonOf(told), /^sent /);
});

test("wrapper mode without a level that demands TLS defers", async () => {
  const told = await deliver({ wrapper: true, tls: own }, { smtp_tls_wrappermode: "yes" });
  assert.match(reasonOf(told), /^deferred 4\.7\.5 /);
  assert.equal(told.server.conversations.length, 0);
});

test("at verify and secure a certificate that nobody vouches for, or for another name, gets no mail", async () => {
  for (const smtp_tls_security_level of ["verify", "secure"]) {
    for (const authorities of [[], [own.certificate]]) {
      const told = await deliver({ ehlo: offering, tls: own }, { smtp_tls_security_level }, { authorities });
      assert.equal(reasonOf(told), "deferred 4.7.5 Server certificate not verified");
      assert.equal(told.result.health.kind, "failed");
      assert.ok(!told.server.lines.some((line) => line.startsWith("MAIL")));
    }
  }
});

test("at secure a trusted certificate with a name that was asked for gets the mail", async () => {
  const server = await new ScriptedServer({ ehlo: offering, tls: own }).listen(realNet);
  const policies = { [`[127.0.0.1]:${server.port}`]: "secure match=mx.test" };
  const { client, log } = testClient({ smtp_tls_loglevel: "1" }, { policies, authorities: [own.certificate] });
  const result = await client.deliver(requestTo(`[127.0.0.1]:${server.port}`));
  assert.equal(result.recipients[0]?.status, "sent");
  assert.ok(log.lines.some((line) => line.startsWith("smtp: Verified TLS connection established to ")));
  await client.close();
  await server.close();
});

test("a policy that changes makes a new session", async () => {
  const server = await new ScriptedServer({ ehlo: offering, tls: own }).listen(realNet);
  const hop = `[127.0.0.1]:${server.port}`;
  const policies: Record<string, string> = { [hop]: "none" };
  const { client } = testClient({}, { policies });
  await client.deliver(requestTo(hop));
  policies[hop] = "encrypt";
  await client.deliver(requestTo(hop));
  assert.equal(server.conversations.length, 2);
  assert.ok(server.conversations[1]?.includes("STARTTLS"));
  await client.close();
  await server.close();
});

/** Says yes to STARTTLS, and hangs up. */
const noHandshake: Script = { ehlo: offering, on: { STARTTLS: { after: "220 go", drop: true } } };

test("at may, young mail waits when TLS fails, and old mail goes in clear", async () => {
  const conf: Written = { smtp_tls_security_level: "may" };
  const young = await deliver(noHandshake, conf);
  assert.equal(reasonOf(young), "deferred 4.7.5 Cannot start TLS: handshake failure");
  assert.equal(young.result.health.kind, "ok");
  const old = await deliver(noHandshake, conf, {}, { age_ms: 3_600_000 });
  assert.match(reasonOf(old), /^sent /);
  assert.ok(!old.server.conversations[1]?.includes("STARTTLS"));
});

test("mail that needs a login does not go in clear because TLS failed", async () => {
  const conf: Written = {
    smtp_tls_security_level: "may",
    smtp_sasl_auth_enable: "yes",
    smtp_sasl_security_options: "",
  };
  const told = await deliver(noHandshake, conf, { passwords: { "127.0.0.1": "u:p" } }, { age_ms: 3_600_000 });
  assert.match(reasonOf(told), /^deferred 4\.7\.5 /);
  assert.ok(!told.server.lines.some((line) => line.startsWith("AUTH") || line.startsWith("MAIL")));
});

test("at encrypt a handshake that fails is the destination's failure, whatever the age of the mail", async () => {
  const told = await deliver(noHandshake, { smtp_tls_security_level: "encrypt" }, {}, { age_ms: 3_600_000 });
  assert.equal(reasonOf(told), "deferred 4.7.5 Cannot start TLS: handshake failure");
  assert.equal(told.result.health.kind, "failed");
});

test("replies injected behind the one to STARTTLS, even half a line, end the session", async () => {
  for (const injected of ["250 mx.test\r\n", "25"]) {
    const script: Script = { ehlo: offering, on: { STARTTLS: { raw: `220 go\r\n${injected}` } } };
    for (const smtp_tls_security_level of ["may", "encrypt"]) {
      const told = await deliver(script, { smtp_tls_security_level });
      assert.match(reasonOf(told), /^deferred 4\.7\.0 .*sent more behind its reply to STARTTLS/);
      assert.ok(!told.server.lines.some((line) => line.startsWith("MAIL")));
    }
  }
});
