import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { defaults } from "../conf/defaults.ts";
import { memoryLog } from "../log/log.ts";
import type { Connection, TlsFacts } from "../runtime/net.ts";
import { realRuntime } from "../runtime/real.ts";
import { AuthExchange } from "../sasl/exchange.ts";
import { clientMechanisms } from "../sasl/mechanisms.ts";
import { noMaps } from "../table/maps.ts";
import { tlsParams } from "../tls/params.ts";
import { handshakeOptions, TlsPolicies } from "../tls/policy.ts";
import { judge } from "../tls/verify.ts";
import { type PracticeOptions, startPracticeServer } from "./practice-server.ts";
import { scriptOf } from "./script.ts";

const runtime = realRuntime();

/** A client that knows no more than lines and replies. */
class Client {
  readonly connection: Connection;
  ended = false;
  #text = "";
  #wake = () => {};

  constructor(connection: Connection) {
    this.connection = connection;
    const woken = () => this.#wake();
    connection.listen({
      data: (bytes) => {
        this.#text += bytes.toString("latin1");
        woken();
      },
      ended: () => {
        this.ended = true;
        woken();
      },
      drained: () => {},
      closed: () => {
        this.ended = true;
        woken();
      },
    });
  }

  /** The next reply, or "" at the end. */
  async reply(): Promise<string> {
    for (;;) {
      const [whole] = /^(?:\d{3}-[^\n]*\n)*\d{3}(?: [^\n]*)?\n/.exec(this.#text) ?? [];
      if (whole !== undefined) {
        this.#text = this.#text.slice(whole.length);
        return whole.trimEnd();
      }
      if (this.ended) return this.#text;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  async say(line: string): Promise<string> {
    this.connection.write(`${line}\r\n`);
    return this.reply();
  }
}

async function start(context: TestContext, options: Partial<PracticeOptions> = {}) {
  const users = { test: "testpass" };
  const server = await startPracticeServer(runtime, { address: "127.0.0.1", port: 0, users, ...options });
  context.after(() => server.close());
  const connect = async (): Promise<Client> => {
    const connection = await runtime.net.connect({ address: "127.0.0.1", port: server.port, timeout_ms: 5000 });
    context.after(() => connection.destroy());
    return new Client(connection);
  };
  return { server, connect };
}

async function secure(client: Client, authority: string | undefined): Promise<TlsFacts> {
  const options = { serverName: "practice.example", authorities: authority ? [authority] : [] };
  return client.connection.startTls(options);
}

test("mail is taken after STARTTLS and AUTH with every mechanism, and not before", async (context) => {
  const { server, connect } = await start(context);
  for (const mechanism of clientMechanisms.filter(({ name }) => name !== "ANONYMOUS")) {
    const client = await connect();
    assert.match(await client.reply(), /^220 /);
    assert.doesNotMatch(await client.say("EHLO client.example"), /AUTH/);
    assert.match(await client.say("MAIL FROM:<a@b.example>"), /^530 /);
    assert.match(await client.say("AUTH PLAIN AHRlc3QAdGVzdHBhc3M="), /^530 /);
    assert.match(await client.say("STARTTLS"), /^220 /);
    assert.equal((await secure(client, server.certificate)).trusted, true);
    assert.match(await client.say("EHLO client.example"), new RegExp(`AUTH .*${mechanism.name}`));
    assert.match(await client.say("MAIL FROM:<a@b.example>"), /^530 5\.7\.0 Authentication/);
    assert.equal(await login(client, mechanism.name, "wrong"), "refused", mechanism.name);
    assert.equal(await login(client, mechanism.name, "testpass"), "done", mechanism.name);
    client.connection.write("MAIL FROM:<> BODY=8BITMIME\r\nRCPT TO:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n");
    for (const code of ["250", "250", "250", "354"]) assert.equal((await client.reply()).slice(0, 3), code);
    client.connection.write(`Subject: ${mechanism.name}\r\n\r\n..dot\r`);
    client.connection.write("\n.");
    client.connection.write("\r\nQUIT\r\n");
    assert.match(await client.reply(), /^250 /);
    assert.match(await client.reply(), /^221 /);
    const last = server.messages.at(-1);
    assert.equal(last?.data.toString(), `Subject: ${mechanism.name}\r\n\r\n.dot\r\n`);
    assert.deepEqual(last?.recipients, ["a@b.example", "c@d.example"]);
    assert.equal(last?.mailParameters, "BODY=8BITMIME");
    assert.equal(last?.username, "test");
  }
});

async function login(client: Client, name: string, password: string): Promise<string> {
  const mechanism = clientMechanisms.find((each) => each.name === name);
  assert.ok(mechanism);
  const random = (count: number) => runtime.random.bytes(count);
  const given = { username: "test", password, service: "smtp", host: "x", random, crypto: runtime.crypto } as const;
  const exchange = new AuthExchange({ mechanism, context: given, server: "x[127.0.0.1]", softBounce: true });
  let action = await exchange.start();
  while (action.kind === "send") {
    const reply = await client.say(action.line);
    action = await exchange.onReply(Number(reply.slice(0, 3)), reply.slice(4));
  }
  return action.kind === "failed" ? action.failure.why : "done";
}

test("its certificate verifies under secure for its own name, and for no other", async (context) => {
  const { server, connect } = await start(context);
  const conf = defaults(tlsParams, { smtp_tls_security_level: "secure" });
  const policy = new TlsPolicies(conf, noMaps, memoryLog()).find("practice.example");
  assert.ok(!(policy instanceof Promise) && policy.kind === "policy");
  for (const [nexthop, status] of [
    ["practice.example", "Verified"],
    ["other.example", "Trusted"],
  ] as const) {
    const client = await connect();
    await client.reply();
    await client.say("EHLO client.example");
    await client.say("STARTTLS");
    const names = { hostname: "localhost", nexthop };
    const facts = await client.connection.startTls(handshakeOptions(policy, names, [server.certificate ?? ""]));
    const verdict = judge(facts, policy, names);
    assert.equal(verdict.status, status);
    assert.equal(verdict.failure === undefined, status === "Verified");
    assert.equal(facts.protocol, "TLSv1.3");
  }
});

test("a policy's protocols and ciphers are what the handshake uses", async (context) => {
  const { connect } = await start(context);
  const conf = defaults(tlsParams, { smtp_tls_security_level: "encrypt", smtp_tls_mandatory_protocols: "TLSv1.2" });
  const policy = new TlsPolicies(conf, noMaps, memoryLog()).find("practice.example");
  assert.ok(!(policy instanceof Promise) && policy.kind === "policy");
  const client = await connect();
  await client.reply();
  await client.say("STARTTLS");
  const names = { hostname: "practice.example", nexthop: "practice.example" };
  const facts = await client.connection.startTls(handshakeOptions(policy, names, []));
  assert.equal(facts.protocol, "TLSv1.2");
  assert.match(facts.cipher, /ECDHE_ECDSA/);
});

test("without its certificate among the authorities it is not trusted", async (context) => {
  const { connect } = await start(context);
  const client = await connect();
  await client.reply();
  await client.say("STARTTLS");
  const facts = await secure(client, undefined);
  assert.equal(facts.trusted, false);
  assert.equal(facts.distrust, "DEPTH_ZERO_SELF_SIGNED_CERT");
});

test("with the wrapper, TLS comes before the greeting", async (context) => {
  const { server, connect } = await start(context, { wrapper: true });
  const client = await connect();
  assert.equal((await secure(client, server.certificate)).trusted, true);
  assert.match(await client.reply(), /^220 /);
  assert.doesNotMatch(await client.say("EHLO client.example"), /STARTTLS/);
});

test("commands sent behind STARTTLS in one packet end the session", async (context) => {
  const { connect } = await start(context);
  const client = await connect();
  await client.reply();
  client.connection.write("STARTTLS\r\nMAIL FROM:<a@b.example>\r\n");
  assert.match(await client.reply(), /^220 /);
  assert.equal(await client.reply(), "");
});

test("a script replies, delays, hangs up and writes garbage in place of the ordinary answer", async (context) => {
  const script = scriptOf({
    EHLO: [{ reply: "421 4.3.2 later" }, { delay_ms: 1 }],
    RCPT: [{ reply: "550 5.1.1 no" }, { reply: "251 2.1.5 odd but fine" }],
    DATA: { delay_ms: 1, after: { reply: "354 slowly" } },
    DOT: { raw: "666 what\r\n" },
    NOOP: { drop: true, raw: "250 half a li" },
  });
  const { server, connect } = await start(context, {
    script,
    requireTls: false,
    requireAuth: false,
    certificate: false,
  });
  const client = await connect();
  await client.reply();
  assert.equal(await client.say("EHLO c.example"), "421 4.3.2 later");
  assert.match(await client.say("EHLO c.example"), /^250-practice\.example/);
  await client.say("MAIL FROM:<a@b.example>");
  assert.equal(await client.say("RCPT TO:<a@b.example>"), "550 5.1.1 no");
  assert.equal(await client.say("RCPT TO:<c@b.example>"), "251 2.1.5 odd but fine");
  assert.equal(await client.say("DATA"), "354 slowly");
  assert.equal(await client.say("."), "666 what");
  assert.equal(await client.say("NOOP"), "250 half a li");
  assert.equal(server.messages.length, 0);
});

test("only so many messages are kept", async (context) => {
  const seen: string[] = [];
  const { server, connect } = await start(context, {
    requireTls: false,
    requireAuth: false,
    keep: 2,
    received: ({ sender }) => seen.push(sender),
  });
  const client = await connect();
  await client.reply();
  await client.say("EHLO c.example");
  for (const sender of ["1@x.example", "2@x.example", "3@x.example"]) {
    await client.say(`MAIL FROM:<${sender}>`);
    await client.say("RCPT TO:<a@b.example>");
    await client.say("DATA");
    assert.match(await client.say("hello\r\n."), /^250 /);
  }
  assert.deepEqual(
    server.messages.map(({ sender }) => sender),
    ["2@x.example", "3@x.example"],
  );
  assert.equal(seen.length, 3);
});

test("a line without end is cut off", async (context) => {
  const { connect } = await start(context);
  const client = await connect();
  await client.reply();
  client.connection.write("x".repeat(70_000));
  assert.match(await client.reply(), /^500 /);
});
