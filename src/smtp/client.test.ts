import assert from "node:assert/strict";
import { test } from "node:test";
import type { DeliveryResult } from "../queue/delivery.ts";
import { chunkSize_bytes } from "../queue/message.ts";
import { type Connection, type Net, realNet } from "../runtime/net.ts";
import { TableError } from "../table/table.ts";
import { requestTo, type TestMessage, type TestOptions, testClient, type Written } from "./testing/client.ts";
import { type Script, ScriptedServer } from "./testing/scripted-server.ts";

interface Stage {
  readonly server: ScriptedServer;
  readonly hop: string;
  readonly lines: readonly string[];
  deliver(message?: TestMessage, hop?: string): Promise<DeliveryResult>;
  readonly figures: () => { sessionsOpened: number; sessionsReused: number; idle: number };
}

/** One server and one client, both gone afterwards. */
async function onStage(
  script: Script,
  play: (stage: Stage) => Promise<void>,
  written: Written = {},
  options: TestOptions = {},
): Promise<void> {
  const server = await new ScriptedServer(script).listen(realNet);
  const { client, log } = testClient(written, options);
  const hop = `[127.0.0.1]:${server.port}`;
  try {
    await play({
      server,
      hop,
      lines: log.lines,
      deliver: (message, other) => client.deliver(requestTo(other ?? hop, message)),
      figures: () => client.figures,
    });
  } finally {
    await client.close();
    await server.close();
  }
}

const statusOf = ({ recipients }: DeliveryResult): string[] =>
  recipients.map(({ index, status, dsn }) => `${index} ${status} ${dsn}`).sort();

const eventually = async (what: () => boolean): Promise<void> => {
  for (let tries = 0; tries < 500 && !what(); tries++) await new Promise((resume) => setTimeout(resume, 5));
  assert.ok(what(), "it did not come about");
};

test("a message is delivered, and the log line is Postfix's", async () => {
  await onStage({}, async ({ deliver, lines, hop, server }) => {
    const result = await deliver({ to: [{ address: "a@b.test", original: "Alias@c.test" }] });
    assert.deepEqual(statusOf(result), ["0 sent 2.0.0"]);
    assert.equal(result.health.kind, "ok");
    const relay = `127.0.0.1[127.0.0.1]:${hop.split(":")[1]}`;
    assert.match(
      lines.at(-1) ?? "",
      /^smtp: A[0-9A-F]+: to=<a@b\.test>, orig_to=<Alias@c\.test>, relay=\S+, delay=[\d.]+, delays=[\d.]+\/[\d.]+\/[\d.]+\/[\d.]+, dsn=2\.0\.0, status=sent \(250 2\.0\.0 Ok: queued as 12345\)$/,
    );
    assert.ok(lines.at(-1)?.includes(`relay=${relay},`));
    assert.equal(server.messages[0]?.data, "Subject: test\r\n\r\nhello\r\n");
  });
});

test("a session is used again, with MAIL FROM directly behind the last message", async () => {
  await onStage({}, async ({ deliver, lines, server, figures }) => {
    await deliver();
    await deliver();
    assert.equal(server.conversations.length, 1);
    assert.deepEqual(server.lines, [
      "EHLO relay.test",
      "MAIL FROM:<sender@local.test>",
      "RCPT TO:<user@dest.test>",
      "DATA",
      "MAIL FROM:<sender@local.test>",
      "RCPT TO:<user@dest.test>",
      "DATA",
    ]);
    assert.match(lines.at(-1) ?? "", /, conn_use=2, /);
    assert.equal(figures().sessionsReused, 1);
  });
});

test("a session whose last message was refused is reset before it is used again", async () => {
  await onStage(
    { dot: (count) => (count === 0 ? "554 5.7.1 spam" : "250 ok") },
    async ({ deliver, server, figures }) => {
      await deliver();
      await eventually(() => figures().idle === 1);
      await deliver();
      assert.equal(server.conversations.length, 1);
      assert.equal(server.lines[4], "RSET");
    },
  );
});

test("a session that the server has closed meanwhile costs nothing and is no failure", async () => {
  await onStage({}, async ({ deliver, server }) => {
    await deliver();
    for (const connection of server.connections) connection.end();
    assert.deepEqual(statusOf(await deliver()), ["0 sent 2.0.0"]);
    assert.equal(server.conversations.length, 2);
  });
});

test("a session that is refused with 421 at its next use gives way to a fresh one", async () => {
  const closing: Script = {
    on: { MAIL: (_, count) => (count === 1 ? { after: "421 4.4.2 idle too long", drop: true } : undefined) },
  };
  await onStage(closing, async ({ deliver, server, lines }) => {
    await deliver();
    assert.deepEqual(statusOf(await deliver()), ["0 sent 2.0.0"]);
    assert.equal(server.conversations.length, 2);
    assert.ok(!lines.some((line) => line.includes("421 4.4.2")));
  });
});

test("a session that the server hangs up on at its next use gives way to a fresh one", async () => {
  await onStage({ on: { MAIL: (_, count) => (count === 1 ? "DROP" : undefined) } }, async ({ deliver, server }) => {
    await deliver();
    assert.deepEqual(statusOf(await deliver()), ["0 sent 2.0.0"]);
    assert.equal(server.conversations.length, 2);
  });
});

test("reuse has its limits in count, and can be turned off", async () => {
  await onStage(
    {},
    async ({ deliver, server }) => {
      for (let count = 0; count < 4; count++) await deliver();
      assert.equal(server.conversations.length, 2);
    },
    { smtp_connection_reuse_count_limit: "1" },
  );
  await onStage(
    {},
    async ({ deliver, server }) => {
      await deliver();
      await deliver();
      assert.equal(server.conversations.length, 2);
      await eventually(() => server.conversations[0]?.at(-1) === "QUIT");
    },
    { smtp_connection_cache_on_demand: "no" },
  );
});

test("a changed password makes a new session; the old login is not used on", async () => {
  const passwords = { "127.0.0.1": "user:old" };
  const script: Script = { ehlo: ["scripted.test", "AUTH PLAIN"], on: { AUTH: "235 2.7.0 in" } };
  const auth: Written = { smtp_sasl_auth_enable: "yes", smtp_sasl_security_options: "" };
  await onStage(
    script,
    async ({ deliver, server }) => {
      await deliver();
      await deliver();
      assert.equal(server.conversations.length, 1);
      passwords["127.0.0.1"] = "user:new";
      await deliver();
      assert.equal(server.conversations.length, 2);
      assert.ok(server.conversations[1]?.includes(`AUTH PLAIN ${Buffer.from("\0user\0new").toString("base64")}`));
    },
    auth,
    { passwords },
  );
});

test("senders with logins of their own do not share sessions", async () => {
  const passwords = { "a@x.test": "a:1", "127.0.0.1": "all:2" };
  await onStage(
    { ehlo: ["scripted.test", "AUTH PLAIN"], on: { AUTH: "235 2.7.0 in" } },
    async ({ deliver, server }) => {
      for (const sender of ["a@x.test", "b@x.test", "", "a@x.test"]) await deliver({ sender });
      assert.equal(server.conversations.length, 3);
      const logins = server.lines.filter((line) => line.startsWith("AUTH"));
      assert.equal(logins.filter((line) => line.includes(Buffer.from("\0a\x001").toString("base64"))).length, 1);
    },
    { smtp_sasl_auth_enable: "yes", smtp_sasl_security_options: "", smtp_sender_dependent_authentication: "yes" },
    { passwords },
  );
});

test("a password table that cannot tell defers, and nothing is sent without the login", async () => {
  await onStage(
    { ehlo: ["scripted.test", "AUTH PLAIN"] },
    async ({ deliver, server }) => {
      const result = await deliver();
      assert.deepEqual(statusOf(result), ["0 deferred 4.3.0"]);
      assert.match(result.recipients[0]?.reason ?? "", /^local data error while talking to 127\.0\.0\.1/);
      assert.ok(!server.lines.some((line) => line.startsWith("MAIL")));
    },
    { smtp_sasl_auth_enable: "yes" },
    { passwords: new TableError("retry", "busy") },
  );
});

test("a refused login is told to the scheduler, and the password is in no line", async () => {
  const secret = "correct horse";
  const echo = Buffer.from(`\0user\0${secret}`).toString("base64");
  await onStage(
    { ehlo: ["scripted.test", "AUTH PLAIN"], on: { AUTH: `535 5.7.8 you said ${echo} and ${secret}` } },
    async ({ deliver, lines }) => {
      const result = await deliver();
      assert.equal(result.health.kind, "refused");
      assert.deepEqual(statusOf(result), ["0 deferred 4.7.8"]);
      const all = JSON.stringify([result, lines]);
      assert.ok(!all.includes(secret) && !all.includes(echo));
    },
    { smtp_sasl_auth_enable: "yes", smtp_sasl_security_options: "" },
    { passwords: { "127.0.0.1": `user:${secret}` } },
  );
});

test("an echo of the login in a later reply is masked too", async () => {
  const secret = "correct horse";
  await onStage(
    { ehlo: ["scripted.test", "AUTH PLAIN"], on: { AUTH: "235 in", RCPT: `550 5.1.1 ${secret}` } },
    async ({ deliver, lines }) => {
      const result = await deliver();
      assert.ok(!JSON.stringify([result, lines]).includes(secret));
    },
    { smtp_sasl_auth_enable: "yes", smtp_sasl_security_options: "" },
    { passwords: { "127.0.0.1": `user:${secret}` } },
  );
});

test("recipients go out sorted, and one that is there twice goes out once", async () => {
  await onStage({}, async ({ deliver, server }) => {
    const result = await deliver({ to: ["z@a.test", "b@b.test", "A@a.test", "a@A.test"] });
    assert.deepEqual(statusOf(result), ["0 sent 2.0.0", "1 sent 2.0.0", "2 sent 2.0.0", "3 sent 2.0.0"]);
    assert.deepEqual(server.messages[0]?.rcpts, ["RCPT TO:<A@a.test>", "RCPT TO:<z@a.test>", "RCPT TO:<b@b.test>"]);
  });
});

test("each recipient gets its own answer", async () => {
  const script: Script = {
    on: { "RCPT TO:<no@a.test>": "550 5.1.1 no", "RCPT TO:<later@a.test>": "450 4.2.1 later" },
  };
  await onStage(script, async ({ deliver }) => {
    const result = await deliver({ to: ["no@a.test", "later@a.test", "yes@a.test"] });
    assert.deepEqual(statusOf(result), ["0 bounced 5.1.1", "1 deferred 4.2.1", "2 sent 2.0.0"]);
    assert.equal(result.health.kind, "ok");
    assert.equal(result.recipients.find(({ index }) => index === 0)?.remoteReply, "550 5.1.1 no");
  });
});

test("a fallback relay is tried when the destination cannot be reached", async () => {
  const fallback = await new ScriptedServer({}).listen(realNet);
  const { client, log } = testClient({ smtp_fallback_relay: `[127.0.0.1]:${fallback.port}` });
  try {
    const result = await client.deliver(requestTo("[127.0.0.1]:1"));
    assert.deepEqual(statusOf(result), ["0 sent 2.0.0"]);
    assert.equal(log.lines[0], "smtp: connect to 127.0.0.1[127.0.0.1]:1: Connection refused");
  } finally {
    await client.close();
    await fallback.close();
  }
});

test("nobody there is the destination's failure", async () => {
  const { client } = testClient();
  const result = await client.deliver(requestTo("[127.0.0.1]:1"));
  assert.equal(result.health.kind, "failed");
  assert.equal(result.recipients[0]?.reason, "connect to 127.0.0.1[127.0.0.1]:1: Connection refused");
  assert.equal(result.recipients[0]?.remoteHost, "");
});

test("a relayhost that is written wrongly defers", async () => {
  const { client } = testClient();
  assert.deepEqual(statusOf(await client.deliver(requestTo("[127.0.0.1"))), ["0 deferred 4.3.5"]);
});

test("a message of many chunks arrives whole", async () => {
  const line = `${"x".repeat(60)}\r\n.y\r\n`;
  const body = line.repeat(Math.ceil((5 * chunkSize_bytes) / line.length));
  await onStage({}, async ({ deliver, server }) => {
    assert.deepEqual(statusOf(await deliver({ body })), ["0 sent 2.0.0"]);
    assert.equal(server.messages[0]?.data.replaceAll("\r\n..", "\r\n."), body);
  });
});

test("a body that cannot be read to its end is never finished with a dot", async () => {
  await onStage({}, async ({ server, hop }) => {
    const { client } = testClient();
    const request = requestTo(hop, { body: "x".repeat(500).concat("\r\n").repeat(400) });
    const broken = {
      ...request,
      body: {
        chunk: async (index: number) => (index < 2 ? request.body.chunk(index) : Promise.reject(new Error("checksum"))),
      },
    };
    assert.deepEqual(statusOf(await client.deliver(broken)), ["0 deferred 4.3.0"]);
    assert.equal(server.messages.length, 0);
    await client.close();
  });
});

test("a body that is shorter than it should be is not sent as a message", async () => {
  await onStage({}, async ({ server, hop }) => {
    const { client } = testClient();
    for (const [size_bytes, length] of [
      [100, 50],
      [3 * chunkSize_bytes, chunkSize_bytes],
    ] as const) {
      const request = requestTo(hop, { body: Buffer.alloc(length, "x"), envelope: { size_bytes } });
      assert.deepEqual(statusOf(await client.deliver(request)), ["0 deferred 4.3.0"]);
    }
    assert.equal(server.messages.length, 0);
    await client.close();
  });
});

test("where the reply to QUIT is waited for, no delivery waits with it", async () => {
  await onStage(
    { on: { QUIT: "SILENCE" } },
    async ({ deliver, server }) => {
      assert.deepEqual(statusOf(await deliver()), ["0 sent 2.0.0"]);
      await eventually(() => server.lines.at(-1) === "QUIT");
    },
    { smtp_skip_quit_response: "no", smtp_quit_timeout: "1s", smtp_connection_cache_on_demand: "no" },
  );
});

test("a server that refuses in the middle of a message is believed; one that accepts there is not", async () => {
  const body = `${"x".repeat(900)}\r\n`.repeat(20_000);
  for (const [early, expected] of [
    ["552 5.3.4 too big", "0 bounced 5.3.4"],
    ["250 2.0.0 fine", "0 deferred 4.5.0"],
  ] as const) {
    const net = interrupting(early);
    const { client } = testClient({}, { runtime: { net } });
    assert.deepEqual(statusOf(await client.deliver(requestTo("[127.0.0.1]:25", { body, envelope: {} }))), [expected]);
  }
});

/** A network with one server: it answers DATA, takes one piece of the message, and says something. */
function interrupting(early: string): Net {
  const answers = ["250 x\r\n", "250 ok\r\n", "250 ok\r\n", "354 go\r\n"];
  const connect = async (): Promise<Connection> => {
    let say = (_text: string): void => {};
    return {
      remote: { address: "127.0.0.1", port: 25 },
      local: { address: "127.0.0.1", port: 1 },
      listen(events) {
        say = (text) => queueMicrotask(() => events.data(Buffer.from(text)));
        say("220 x ESMTP\r\n");
      },
      write() {
        say(answers.shift() ?? `${early}\r\n`);
        return answers.length > 0;
      },
      pause() {},
      resume() {},
      end() {},
      destroy() {},
      startTls: () => Promise.reject(new Error("no TLS")),
      acceptTls: () => Promise.reject(new Error("no TLS")),
    };
  };
  return { ...realNet, connect };
}

test("a drop in the middle of a message says so", async () => {
  await onStage({ dropInBody: 10_000 }, async ({ deliver }) => {
    const result = await deliver({ body: `${"x".repeat(900)}\r\n`.repeat(20_000) });
    assert.match(
      result.recipients[0]?.reason ?? "",
      /^lost connection with 127\.0\.0\.1\[127\.0\.0\.1\] while sending message body$/,
    );
  });
});

test("a server that drips its reply is given up on when its time is over", async () => {
  const drip: Script = { greeting: { raw: "220-a\r\n" } };
  await onStage(
    drip,
    async ({ deliver, server }) => {
      const dripping = setInterval(() => {
        for (const connection of server.connections) connection.write("220-a\r\n");
      }, 50);
      const result = await deliver();
      clearInterval(dripping);
      assert.equal(
        result.recipients[0]?.reason,
        "conversation with 127.0.0.1[127.0.0.1] timed out while receiving the initial server greeting",
      );
    },
    { smtp_helo_timeout: "1s" },
  );
});

test("an endless reply is cut off", async () => {
  await onStage(
    { greeting: { raw: "220-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n".repeat(4000) } },
    async ({ deliver }) => {
      const result = await deliver();
      assert.deepEqual(statusOf(result), ["0 deferred 4.5.0"]);
    },
  );
});

test("an address that could end a line is given up on; the other recipients are not", async () => {
  await onStage({}, async ({ deliver, server }) => {
    const result = await deliver({ to: ["a\r\nDATA@x.test", "good@x.test"] });
    assert.deepEqual(statusOf(result), ["0 bounced 5.1.3", "1 sent 2.0.0"]);
    assert.ok(!server.lines.includes("DATA@x.test>"));
  });
});

test("with soft_bounce nothing is returned", async () => {
  await onStage(
    { on: { RCPT: "550 5.1.1 no" } },
    async ({ deliver, lines }) => {
      assert.deepEqual(statusOf(await deliver()), ["0 deferred 4.1.1"]);
      assert.match(lines.at(-1) ?? "", /, dsn=4\.1\.1, status=SOFTBOUNCE \(/);
    },
    { soft_bounce: "yes" },
  );
});

test("a success is not reported as taken over by a server that offers DSN", async () => {
  await onStage({ ehlo: ["x", "DSN"] }, async ({ deliver }) => {
    assert.equal((await deliver()).recipients[0]?.reports, undefined);
  });
});

test("mail that needs SMTPUTF8 is returned where it is not offered, on a kept session too", async () => {
  await onStage({}, async ({ deliver }) => {
    await deliver();
    assert.deepEqual(statusOf(await deliver({ envelope: { smtputf8: true } })), ["0 bounced 5.6.7"]);
    assert.deepEqual(statusOf(await deliver()), ["0 sent 2.0.0"]);
  });
});

test("deliveries at the same time have slots of their own, and close() waits for them", async () => {
  const server = await new ScriptedServer({}).listen(realNet);
  const { client } = testClient();
  const deliveries = [1, 2, 3].map(() => client.deliver(requestTo(`[127.0.0.1]:${server.port}`)));
  assert.equal(client.figures.active, 3);
  await client.close();
  assert.equal(client.figures.active, 0);
  for (const result of await Promise.all(deliveries)) assert.deepEqual(statusOf(result), ["0 sent 2.0.0"]);
  await eventually(() => server.conversations.every((lines) => lines.at(-1) === "QUIT"));
  await server.close();
});
