import assert from "node:assert/strict";
import { registerHooks } from "node:module";
import type { Socket } from "node:net";
import { test } from "node:test";
import { cannotTell, serveTables, type TestServer, testTables } from "./test-servers.ts";

/** A packet of MySQL's protocol. */
function packet(sequence: number, ...parts: readonly (string | Buffer | readonly number[])[]): Buffer {
  const body = Buffer.concat(parts.map((part) => Buffer.from(part as string)));
  const head = Buffer.alloc(4);
  head.writeUIntLE(body.length, 0, 3);
  head[3] = sequence;
  return Buffer.concat([head, body]);
}

const protocol41 = 0x0200;
const pluginAuth = 0x8_0000;
const secureConnection = 0x8000;
const capabilities = protocol41 | pluginAuth | secureConnection;
const salt = "abcdefghijklmnopqrst";
const greeting = packet(
  0,
  [10],
  "8.0.0\0",
  [1, 0, 0, 0],
  salt.slice(0, 8),
  [0, capabilities & 0xff, (capabilities >> 8) & 0xff, 45, 2, 0, (capabilities >> 16) & 0xff, 0, 21],
  Buffer.alloc(10),
  `${salt.slice(8)}\0mysql_native_password\0`,
);
const switchLogin = packet(2, [0xfe], `mysql_native_password\0${salt}\0`);
const fine = (sequence: number): Buffer => packet(sequence, [0, 0, 0, 2, 0, 0, 0]);
const failed = (sequence: number, code: number, text: string): Buffer =>
  packet(sequence, [0xff, code & 0xff, code >> 8], `#HY000${text}`);
const text = (value: string): Buffer => Buffer.concat([Buffer.from([value.length]), Buffer.from(value)]);
const endOfPart = (sequence: number): Buffer => packet(sequence, [0xfe, 0, 0, 2, 0]);
const column = packet(
  2,
  text("def"),
  text(""),
  text(""),
  text(""),
  text("c"),
  text(""),
  [12, 45, 0, 0, 1, 0, 0, 253, 0, 0, 0, 0, 0],
);
const head = Buffer.concat([packet(1, [1]), column, endOfPart(3)]);

const answers = (socket: Socket, ...values: readonly string[]): boolean =>
  socket.write(
    Buffer.concat([head, ...values.map((value, at) => packet(4 + at, text(value))), endOfPart(4 + values.length)]),
  );

/** Something that speaks as MySQL does. */
async function mysqld(answer: (query: string, socket: Socket) => void): Promise<TestServer & { queries: string[] }> {
  const queries: string[] = [];
  const server = await serveTables((socket) => {
    let step = 0;
    socket.write(greeting);
    socket.on("data", (bytes: Buffer) => {
      step++;
      if (step === 1) socket.write(switchLogin);
      else if (step === 2) socket.write(fine(4));
      else if (step === 3) answers(socket, "ANSI_QUOTES");
      else if (bytes[4] === 3) {
        const query = bytes.subarray(5).toString();
        queries.push(query.slice(query.indexOf("SELECT")));
        answer(query, socket);
      }
    });
  });
  return Object.assign(server, { queries });
}

async function tableAt({ port }: TestServer) {
  const table = `hosts = 127.0.0.1:${port}\nuser = u\npassword = secret\ndbname = d\nquery = SELECT x WHERE k='%s'\n`;
  const tables = testTables({ "/t.cf": table });
  return { ...tables, maps: await tables.set.maps(["mysql:/t.cf"], { foldCase: true }) };
}

test("once a table is open, no more code is loaded: it could not be read any more", async (context) => {
  const server = await mysqld((_, socket) => answers(socket, "found"));
  context.after(() => server.close());
  const { maps, set } = await tableAt(server);
  const loaded: string[] = [];
  const hooks = registerHooks({
    load(url, how, next) {
      if (url.startsWith("file:")) loaded.push(url);
      return next(url, how);
    },
  });
  assert.equal(await maps.find("k"), "found");
  hooks.deregister();
  assert.deepEqual(loaded, []);
  await set.close();
});

test("a key is quoted, whatever is in it", async (context) => {
  const server = await mysqld((_, socket) => answers(socket, "found"));
  context.after(() => server.close());
  const { maps, set } = await tableAt(server);
  assert.equal(await maps.find(`a\\'b"\n`), "found");
  assert.deepEqual(server.queries, [`SELECT x WHERE k='a\\\\\\'b\\"\\n'`]);
  await set.close();
});

test("an answer without end is cut off, and cannot be told", async (context) => {
  const server = await mysqld((_, socket) => {
    socket.write(head);
    let sequence = 3;
    const more = (): Buffer => packet(++sequence & 0xff, text("x".repeat(200)));
    const go = (): void => {
      while (!socket.destroyed && socket.write(Buffer.concat(Array.from({ length: 500 }, more))));
    };
    socket.on("drain", go);
    go();
  });
  context.after(() => server.close());
  const { maps, set } = await tableAt(server);
  await assert.rejects(async () => maps.find("k"), cannotTell(/longer than 16777216 bytes/));
  await set.close();
});

test("an error that the server reports keeps the connection", async (context) => {
  let asked = 0;
  const server = await mysqld((_, socket) => {
    if (asked++ === 0) socket.write(failed(1, 1146, "no such table"));
    else answers(socket, "found");
  });
  context.after(() => server.close());
  const { maps, set } = await tableAt(server);
  await assert.rejects(async () => maps.find("k"), cannotTell(/no such table/));
  assert.equal(await maps.find("k"), "found");
  assert.equal(server.connections, 1);
  await set.close();
});

test("what is no answer of MySQL's, and half an answer, cannot be told", async (context) => {
  const rubbish = [
    Buffer.alloc(100, 0xff),
    Buffer.from("HTTP/1.1 200 OK\r\n\r\n"),
    packet(1, [1, 2, 3]),
    packet(9, [0xfb]),
    head,
  ];
  for (const bytes of rubbish) {
    for (const server of [
      await mysqld((_, socket) => socket.end(bytes)),
      await serveTables((socket) => void socket.end(bytes)),
    ]) {
      context.after(() => server.close());
      const { maps, set, warnings } = await tableAt(server);
      await assert.rejects(async () => maps.find("k"), cannotTell(/query error/));
      assert.doesNotMatch(warnings.join(), /secret/);
      await set.close();
    }
  }
});

test("a server that is restarted between two questions is connected to again", async (context) => {
  const server = await mysqld((_, socket) => answers(socket, "found"));
  context.after(() => server.close());
  const { maps, set, warnings } = await tableAt(server);
  assert.equal(await maps.find("k"), "found");
  await server.hangUp();
  assert.equal(await maps.find("k"), "found");
  assert.deepEqual(warnings, []);
  await set.close();
});

test("a server that says nothing is given up", async (context) => {
  const silent = await serveTables(() => {});
  context.after(() => silent.close());
  const { maps, clock, set } = await tableAt(silent);
  const asked = assert.rejects(async () => maps.find("k"), cannotTell(/no connection in 10 seconds/));
  while (silent.connections === 0) await new Promise((done) => setImmediate(done));
  clock.advance(10_000);
  await asked;
  await set.close();
});
