import assert from "node:assert/strict";
import type { Socket } from "node:net";
import { after, before, test } from "node:test";
import { until } from "../lab/until.ts";
import { type RunningPostern, startPostern } from "../peers/postern.ts";
import { type HostileServer, hostileServer, type Moment } from "./hostile-server.ts";
import { memory_bytes, sessionsOf } from "./measure.ts";
import { rawClient } from "./raw-client.ts";

/** Much at once, against a relay that runs. What it costs is read from the kernel; how long it takes is asserted nowhere. */

const large_bytes = 50_000_000;

let sink: HostileServer;
let postern: RunningPostern;
const slow = new Set<Socket>();

before(async () => {
  sink = await hostileServer({ on: slowly });
  postern = await startPostern({
    mainCf: {
      mynetworks: "127.0.0.0/8",
      relayhost: `[127.0.0.1]:${sink.port}`,
      message_size_limit: "60000000",
    },
  });
});

after(async () => {
  await postern?.stop();
  await sink?.close();
});

/** A next hop that takes large mail far slower than it comes. */
function slowly({ verb, line, socket }: Moment): undefined {
  if (verb === "MAIL" && line.includes("slow@")) slow.add(socket);
  if (verb !== "DATA" || !slow.has(socket)) return;
  let reading = true;
  const timer = setInterval(() => {
    reading = !reading;
    if (reading) socket.resume();
    else socket.pause();
  }, 5);
  socket.once("close", () => clearInterval(timer));
}

const megabytes = (bytes: number) => `${Math.round(bytes / 1_000_000)} MB`;

test("a message of 50 MB goes to a slow next hop, and never lives whole in memory", async () => {
  const client = await rawClient(postern.port);
  await client.upToData("you@there.example", { sender: "slow@client.example" });
  client.write("Subject: large\r\n\r\n");
  const line = `${"0123456789".repeat(7)}\r\n`;
  const block = line.repeat(Math.ceil(1_000_000 / line.length));
  let written_bytes = 0;
  for (; written_bytes < large_bytes; written_bytes += block.length) client.write(block);
  client.write(".\r\n");
  assert.match(await client.reply(), /^250 /);
  await until("the message at the sink", () => sink.messages.length > 0);
  const { data } = sink.messages[0] ?? {};
  const body = data?.subarray(data.indexOf("\r\n\r\n") + 4);
  assert.equal(body?.length, written_bytes);
  assert.ok(body?.equals(Buffer.from(block.repeat(written_bytes / block.length))));
  client.end();
  const most = memory_bytes(postern, "most");
  assert.ok(most < 300_000_000, megabytes(most));
});

test("a message to 1,000 recipients reaches each of them once", async () => {
  const already = sink.messages.length;
  const client = await rawClient(postern.port);
  await client.say("EHLO client.example");
  const rcpts = Array.from({ length: 1000 }, (_, index) => `RCPT TO:<user${index}@there.example>\r\n`);
  client.write(`MAIL FROM:<me@client.example>\r\n${rcpts.join("")}`);
  for (let replies = 0; replies < 1001; replies++) assert.match(await client.reply(), /^250 /);
  assert.match(await client.say("RCPT TO:<one-too-many@there.example>"), /^452 4\.5\.3 /);
  assert.match(await client.say("DATA"), /^354 /);
  client.write("Subject: x\r\n\r\nx\r\n.\r\n");
  assert.match(await client.reply(), /^250 /);
  client.end();
  const taken = () => sink.messages.slice(already).flatMap(({ rcpts: these }) => these);
  await until("every recipient at the sink", () => taken().length >= 1000);
  assert.deepEqual(new Set(taken()), new Set(rcpts.map((rcpt) => rcpt.trimEnd())));
  assert.equal(taken().length, 1000);
});

test("when it is all over nothing is left open, and nothing was unexpected", async () => {
  await until("an empty queue", () => postern.run("postqueue", "-p").stdout.trim() === "Mail queue is empty");
  await until("no session", () => sessionsOf(postern.port) === 0);
  assert.doesNotMatch(postern.log(), /\]: (?:panic|fatal|error): |unexpected/);
});
