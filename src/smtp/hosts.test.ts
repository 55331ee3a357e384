import assert from "node:assert/strict";
import { test } from "node:test";
import type { DeliveryResult } from "../queue/delivery.ts";
import { NameError, type Names } from "../runtime/names.ts";
import { realNet } from "../runtime/net.ts";
import { requestTo, type TestMessage, testClient, type Written } from "./testing/client.ts";
import { type Script, ScriptedServer } from "./testing/scripted-server.ts";

const unknown = (name: string) => Promise.reject(new NameError("notFound", name));

/** dest.test has two MX hosts, on loopback addresses of their own. */
const names: Names = {
  async addresses(name, family) {
    const found = { "mx1.test": "127.0.0.1", "mx2.test": "127.0.0.2", "here.test": "127.0.0.1" }[name];
    if (!found) return unknown(name);
    if (family === 6) throw new NameError("noData", name);
    return [found];
  },
  async mx(name) {
    if (name === "nobody.test") return [{ preference: 0, exchange: "" }];
    if (name === "unsure.test") throw new NameError("tryAgain", name);
    if (name !== "dest.test") return unknown(name);
    return [
      { preference: 20, exchange: "mx2.test" },
      { preference: 10, exchange: "mx1.test" },
    ];
  },
  srv: unknown,
  reverse: unknown,
  native: unknown,
};

interface Told {
  readonly result: DeliveryResult;
  readonly lines: readonly string[];
  readonly first: ScriptedServer;
  readonly second: ScriptedServer;
}

async function deliver(
  first: Script,
  second: Script,
  written: Written = {},
  message: TestMessage = {},
  times = 1,
): Promise<Told> {
  const one = await new ScriptedServer(first).listen(realNet, 0, "127.0.0.1");
  const two = await new ScriptedServer(second).listen(realNet, one.port, "127.0.0.2");
  const { client, log } = testClient(written, { runtime: { names } });
  try {
    let result: DeliveryResult | undefined;
    for (let count = 0; count < times; count++)
      result = await client.deliver(requestTo(`dest.test:${one.port}`, message));
    return { result: result as DeliveryResult, lines: log.lines, first: one, second: two };
  } finally {
    await client.close();
    await one.close();
    await two.close();
  }
}

const outcomeOf = ({ recipients }: DeliveryResult): string[] =>
  recipients.map(({ index, status, dsn, remoteHost }) => `${index} ${status} ${dsn} ${remoteHost}`).sort();

test("the most preferred host gets the mail", async () => {
  const { result, second } = await deliver({}, {});
  assert.deepEqual(outcomeOf(result), ["0 sent 2.0.0 mx1.test"]);
  assert.equal(second.conversations.length, 0);
});

test("what may pass is asked of the next host in the same delivery; what will not is not", async () => {
  const script: Script = {
    on: { "RCPT TO:<later@x.test>": "450 4.2.1 later", "RCPT TO:<never@x.test>": "550 5.1.1 no" },
  };
  const { result, second, lines } = await deliver(
    script,
    {},
    {},
    { to: ["later@x.test", "never@x.test", "now@x.test"] },
  );
  assert.deepEqual(outcomeOf(result), ["0 sent 2.0.0 mx2.test", "1 bounced 5.1.1 mx1.test", "2 sent 2.0.0 mx1.test"]);
  assert.deepEqual(second.messages[0]?.rcpts, ["RCPT TO:<later@x.test>"]);
  assert.ok(
    lines.some((line) =>
      /^smtp: A[0-9A-F]+: host mx1\.test\[127\.0\.0\.1\] said: 450 4\.2\.1 later \(in reply to RCPT TO command\)$/.test(
        line,
      ),
    ),
  );
});

for (const [how, script] of Object.entries<Script>({
  "a refused greeting": { greeting: "554 5.3.2 no" },
  "a drop at the greeting": { greeting: "DROP" },
  "a refused sender that may pass": { on: { MAIL: "451 4.3.0 later" } },
  "a drop after the dot": { dot: "DROP" },
  "a message refused for now": { dot: "451 4.3.0 later" },
})) {
  test(`the next host is asked after ${how}`, async () => {
    const { result } = await deliver(script, {});
    assert.deepEqual(outcomeOf(result), ["0 sent 2.0.0 mx2.test"]);
    assert.equal(result.health.kind, "ok");
  });
}

test("no more sessions than smtp_mx_session_limit get as far as MAIL FROM", async () => {
  const later: Script = { on: { RCPT: "450 4.2.1 later" } };
  const { result, second } = await deliver(later, {}, { smtp_mx_session_limit: "1" });
  assert.deepEqual(outcomeOf(result), ["0 deferred 4.2.1 mx1.test"]);
  assert.equal(second.conversations.length, 0);
});

test("a kept session is as good as a new one: what may pass there is asked of the next host", async () => {
  const script: Script = { on: { RCPT: (_, count) => (count === 1 ? "450 4.2.1 later" : undefined) } };
  const { result, first } = await deliver(script, {}, {}, {}, 2);
  assert.equal(first.conversations.length, 1);
  assert.deepEqual(outcomeOf(result), ["0 sent 2.0.0 mx2.test"]);
});

test("a login is looked up for the host that is connected to", async () => {
  const one = await new ScriptedServer({ ehlo: ["x", "AUTH PLAIN"], on: { AUTH: "235 in" } }).listen(realNet);
  const conf: Written = { smtp_sasl_auth_enable: "yes", smtp_sasl_security_options: "" };
  const { client } = testClient(conf, { runtime: { names }, passwords: { "mx1.test": "one:1", "dest.test": "two:2" } });
  await client.deliver(requestTo(`dest.test:${one.port}`));
  assert.ok(one.lines.includes(`AUTH PLAIN ${Buffer.from("\0one\x001").toString("base64")}`));
  await client.close();
  await one.close();
});

test("names that do not exist bounce, ones that cannot be told defer, a relayhost always defers", async () => {
  const outcome = async (nexthop: string, written: Written = {}): Promise<string> => {
    const { client } = testClient(written, { runtime: { names } });
    const { recipients } = await client.deliver(requestTo(nexthop));
    return `${recipients[0]?.status} ${recipients[0]?.dsn}`;
  };
  assert.equal(await outcome("gone.test"), "bounced 5.4.4");
  assert.equal(await outcome("unsure.test"), "deferred 4.4.3");
  assert.equal(await outcome("nobody.test"), "bounced 5.1.0");
  assert.equal(await outcome("[gone.test]:587", { relayhost: "[gone.test]:587" }), "deferred 4.3.5");
  assert.equal(await outcome("gone.test", { smtp_fallback_relay: "[gone.test]" }), "deferred 4.3.5");
});

test("mail of a domain whose best host we are goes to best_mx_transport, where there is one", async () => {
  const pass = async (nexthop: string, written: Written) => {
    const { client, log } = testClient(written, { runtime: { names }, self: ["127.0.0.1"] });
    const { passTo, recipients } = await client.deliver(requestTo(nexthop, { to: ["a@x.test"] }));
    return { passTo, recipients, lines: log.lines };
  };
  const { passTo, recipients, lines } = await pass("[127.0.0.1]", { best_mx_transport: "lmtp:unix:private/x" });
  assert.deepEqual(recipients, []);
  assert.deepEqual(passTo, {
    hop: { transport: "lmtp", nexthop: "unix:private/x" },
    otherwise: { dsn: "5.4.6", reason: "mail for 127.0.0.1 loops back to myself" },
  });
  assert.match(lines.at(-1) ?? "", /: passing <a@x\.test> to transport=lmtp$/);
  assert.equal((await pass("[127.0.0.1]", { best_mx_transport: "error" })).passTo?.hop.nexthop, "[127.0.0.1]");
  const relay = { best_mx_transport: "error", relayhost: "[127.0.0.1]" };
  assert.equal((await pass("[127.0.0.1]", relay)).passTo, undefined);
});

test("mail that would come back to us bounces, and no fallback relay is asked", async () => {
  const { client } = testClient({ smtp_fallback_relay: "[127.0.0.1]:1" }, { runtime: { names }, self: ["127.0.0.1"] });
  const { recipients } = await client.deliver(requestTo("[here.test]"));
  assert.equal(recipients[0]?.reason, "mail for here.test loops back to myself");
  assert.equal(recipients[0]?.dsn, "5.4.6");
});
