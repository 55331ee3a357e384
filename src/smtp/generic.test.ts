import assert from "node:assert/strict";
import { test } from "node:test";
import { chunkSize_bytes } from "../queue/message.ts";
import { realNet } from "../runtime/net.ts";
import { TableError } from "../table/table.ts";
import { requestTo, type TestMessage, type TestOptions, testClient } from "./testing/client.ts";
import { type Script, ScriptedServer } from "./testing/scripted-server.ts";

const generic = {
  "me@local.test": "me@isp.test",
  you: "you@isp.test",
  "@hidden.test": "@isp.test",
  "same@x.test": "same@x.test",
};

/** What two servers, asked one after the other, were given of one message; and the log. */
async function through(message: TestMessage, options: TestOptions = { generic }, scripts: readonly Script[] = [{}]) {
  const servers = await Promise.all(scripts.map((script) => new ScriptedServer(script).listen(realNet)));
  const { client, log } = testClient({}, options);
  const body = Buffer.isBuffer(message.body) ? message.body : Buffer.from(message.body ?? "");
  const headerEnd_bytes = body.indexOf("\r\n\r\n") + 2;
  try {
    const hop = servers.map(({ port }) => `[127.0.0.1]:${port}`).join(", ");
    const result = await client.deliver(requestTo(hop, { ...message, envelope: { headerEnd_bytes } }));
    return { result, taken: servers.map(({ messages }) => messages), log: log.lines };
  } finally {
    await client.close();
    for (const server of servers) await server.close();
  }
}

const header =
  "From: Me  <me@local.test>\r\nX-To: you@local.test\r\nTo: you@local.test,\r\n\tz@x.test\r\nCc: z@x.test\r\n";

test("addresses are replaced in envelope and header on the way out, and the log has those of the queue", async () => {
  const message = { sender: "me@local.test", to: ["you+ext@local.test", "a@hidden.test", "z@x.test"] };
  const { taken, log } = await through({ ...message, body: `${header}\r\nTo: you@local.test\r\n` });
  const [sent] = taken[0] ?? [];
  assert.match(sent?.mail ?? "", /^MAIL FROM:<me@isp\.test>/);
  assert.deepEqual(
    sent?.rcpts.map((each) => /<.*?>/.exec(each)?.[0]),
    ["<a@isp.test>", "<you@isp.test>", "<z@x.test>"],
  );
  assert.equal(
    sent?.data,
    "From: Me <me@isp.test>\r\nX-To: you@local.test\r\nTo: you@isp.test, z@x.test\r\nCc: z@x.test\r\n\r\nTo: you@local.test\r\n",
  );
  assert.ok(
    log.some((line) => line.includes("to=<you+ext@local.test>")),
    log.join("\n"),
  );
});

test("an address with an entry counts as replaced, whatever the entry says", async () => {
  const { taken } = await through({ body: "To: same@x.test (comment)  ,z@x.test\r\n\r\n" });
  assert.equal(taken[0]?.[0]?.data, "To: same@x.test (comment), z@x.test\r\n\r\n");
});

test("a header of several chunks is rewritten whole, again for each server", async () => {
  const fields = Array.from(
    { length: 3000 },
    (_, index) => `To: user${index}@hidden.test, "${"x".repeat(index % 60)}" <me@local.test>\r\n`,
  );
  const text = `${fields.join("")}Subject: x\r\n\r\n${"To: you@local.test\r\n".repeat(5000)}`;
  assert.ok(text.indexOf("\r\n\r\n") > 2 * chunkSize_bytes);
  const { taken, result } = await through({ body: Buffer.from(text) }, { generic }, [{ dropInBody: 150_000 }, {}]);
  assert.deepEqual(
    result.recipients.map(({ status }) => status),
    ["sent"],
  );
  const end = text.indexOf("\r\n\r\n");
  const expected = text
    .slice(0, end)
    .replaceAll("@hidden.test", "@isp.test")
    .replaceAll("me@local.test", "me@isp.test")
    .replace(/^(To: \S+,) ("x*" <.*)$/gm, (whole, first: string, second: string) =>
      whole.length < 70 ? whole : `${first}\r\n\t${second}`,
    );
  assert.equal(taken[1]?.[0]?.data, expected + text.slice(end));
});

test("a table that cannot tell defers", async () => {
  const broken = { generic: new TableError("retry", "server away") };
  const { result, taken } = await through({ body: `${header}\r\n` }, broken);
  assert.deepEqual(
    result.recipients.map(({ status, dsn }) => `${status} ${dsn}`),
    ["deferred 4.3.0"],
  );
  assert.match(result.recipients[0]?.reason ?? "", /smtp_generic_maps lookup error/);
  assert.deepEqual(taken, [[]]);
});
