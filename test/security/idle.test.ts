import assert from "node:assert/strict";
import { connect, type Socket } from "node:net";
import { after, before, test } from "node:test";
import { until } from "../lab/until.ts";
import { type RunningPostern, startPostern } from "../peers/postern.ts";
import { type HostileServer, hostileServer } from "./hostile-server.ts";
import { memory_bytes, sessionsOf } from "./measure.ts";
import { rawClient } from "./raw-client.ts";

/** Clients that connect and do nothing, against a relay that runs. */

let sink: HostileServer;
let postern: RunningPostern;

before(async () => {
  sink = await hostileServer();
  postern = await startPostern({
    mainCf: { mynetworks: "127.0.0.1/32", relayhost: `[127.0.0.1]:${sink.port}`, relay_domains: "there.example" },
  });
});

after(async () => {
  await postern?.stop();
  await sink?.close();
});

/** Connections from `address`; each has been answered, in whatever way. */
async function idlers(count: number, address: string): Promise<Socket[]> {
  const all: Socket[] = [];
  let answered = 0;
  while (all.length < count) {
    for (let more = 0; more < 100; more++) {
      const socket = connect({ host: "127.0.0.1", port: postern.port, localAddress: address });
      socket.on("error", () => {});
      socket.once("data", () => answered++);
      all.push(socket);
    }
    await until("answers to all", () => answered === all.length);
  }
  return all;
}

async function worksStill(recipient: string): Promise<void> {
  const client = await rawClient(postern.port);
  await client.upToData(recipient);
  client.write("Subject: x\r\n\r\nx\r\n.\r\n");
  assert.match(await client.reply(), /^250 /);
  client.end();
  await until("the message at the sink", () => sink.messages.some(({ rcpts }) => rcpts[0]?.includes(recipient)));
}

test("behind 2,000 idle connections a client that works is served, and an idle one costs little", async () => {
  const before_bytes = memory_bytes(postern, "now");
  const idle = await idlers(2000, "127.0.0.1");
  const each_bytes = (memory_bytes(postern, "now") - before_bytes) / idle.length;
  // Half of them stop in the middle of a message, which costs the most.
  for (const socket of idle.slice(1000)) {
    socket.write("EHLO x\r\n");
    socket.once("data", () => socket.write("MAIL FROM:<me@client.example>\r\nRCPT TO:<you@there.example>\r\nDATA\r\n"));
  }
  await worksStill("first@there.example");
  for (const socket of idle) socket.destroy();
  await until("the end of the idle sessions", () => sessionsOf(postern.port) === 0);
  assert.ok(each_bytes < 30_000, `${Math.round(each_bytes)} bytes a connection`);
});

test("one client that is not of our networks gets fifty sessions, however many it asks for, and keeps nobody out", async () => {
  const idle = await idlers(500, "127.0.0.9");
  await worksStill("second@there.example");
  await until("the end of those beyond the limit", () => sessionsOf(postern.port) <= 50);
  for (const socket of idle) socket.destroy();
  await until("the end of all", () => sessionsOf(postern.port) === 0);
  assert.match(
    postern.log(),
    /Connection concurrency limit exceeded: 51 from unknown\[127\.0\.0\.9\]|limit exceeded: 51 from localhost/,
  );
});
