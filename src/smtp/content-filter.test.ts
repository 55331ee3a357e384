import assert from "node:assert/strict";
import { test } from "node:test";
import { realNet } from "../runtime/net.ts";
import { Maps } from "../table/maps.ts";
import { TableError } from "../table/table.ts";
import { requestTo, testClient } from "./testing/client.ts";
import { ScriptedServer } from "./testing/scripted-server.ts";

type Says = (key: string) => string | undefined | Promise<string | undefined>;

/** What a server is given of a message whose lines a table has its say about. */
async function through(body: string, says: Says, ehlo = ["scripted.test", "8BITMIME", "PIPELINING"]) {
  const server = await new ScriptedServer({ ehlo }).listen(realNet);
  const checks = () =>
    new Maps([{ reference: "test:t", patterns: true, current: { get: says, close: async () => {} } }]);
  const { client, log } = testClient({}, { checks });
  try {
    const result = await client.deliver(requestTo(`[127.0.0.1]:${server.port}`, { body }));
    return { result: result.recipients[0], data: server.messages.map(({ data }) => data), log: log.lines };
  } finally {
    await client.close();
    await server.close();
  }
}

test("a large body passes through tables that answer later, and nothing else is changed", async () => {
  const text = `Subject: x\r\n\r\n${"line\r\n".repeat(30_000)}mark\r\n${"line\r\n".repeat(1000)}`;
  const says: Says = (key) => (key === "mark" ? Promise.resolve("REPLACE other") : undefined);
  const { result, data } = await through(text, says);
  assert.equal(result?.status, "sent");
  assert.equal(data[0], text.replace("mark", "other"));
});

test("a line that becomes a dot is no end of the message", async () => {
  const { data } = await through("Subject: x\r\n\r\nmark\r\nafter\r\n", (key) =>
    key === "mark" ? "REPLACE ." : undefined,
  );
  assert.equal(data[0], "Subject: x\r\n\r\n..\r\nafter\r\n");
});

test("a table that cannot tell, at once or later, or says nothing, defers, and no part of the message counts", async () => {
  const fails = (): never => {
    throw new TableError("retry", "gone");
  };
  for (const says of [fails, async () => fails(), () => ""]) {
    const { result, data, log } = await through("Subject: x\r\n\r\nbody\r\n", says);
    assert.equal(result?.status, "deferred");
    assert.match(`${result?.dsn} ${result?.reason}`, /^4\.3\.0 local data error while talking to /);
    assert.deepEqual(data, []);
    assert.ok(log.some((line) => line.includes("smtp header or body checks lookup error")));
  }
});
