import assert from "node:assert/strict";
import type { Socket } from "node:net";
import { test } from "node:test";
import { cannotTell, serveTables, type TestServer, testTables } from "./test-servers.ts";

/** A message of PostgreSQL's protocol. */
function message(type: string, ...parts: readonly (string | Buffer)[]): Buffer {
  const body = Buffer.concat(parts.map((part) => Buffer.from(part as string)));
  const head = Buffer.alloc(5);
  head.write(type);
  head.writeInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
}

const int32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
};

const authenticated = message("R", int32(0));
const ready = message("Z", "I");
const setting = (name: string, value: string): Buffer => message("S", `${name}\0${value}\0`);
const oneColumn = message("T", Buffer.from([0, 1]), "c\0", Buffer.alloc(18));
const row = (value: string): Buffer => message("D", Buffer.from([0, 1]), int32(value.length), value);
const done = message("C", "SELECT 1\0");
const failed = (severity: string, code: string, text: string): Buffer =>
  message("E", `S${severity}\0V${severity}\0C${code}\0M${text}\0\0`);

interface Behaviour {
  readonly standardStrings?: string;
  /** Sends what it likes in answer to a query. */
  answer(query: string, socket: Socket): void;
}

/** Something that speaks as PostgreSQL does, without TLS and passwords. */
async function postgres({ standardStrings = "on", answer }: Behaviour): Promise<TestServer & { queries: string[] }> {
  const queries: string[] = [];
  const server = await serveTables((socket) => {
    let greeted = false;
    let asked = false;
    socket.on("data", (bytes: Buffer) => {
      if (bytes.length < 8) return;
      if (!asked && bytes.readInt32BE(4) === 80877103) {
        asked = true;
        socket.write("N");
        return;
      }
      if (!greeted) {
        greeted = true;
        socket.write(Buffer.concat([authenticated, setting("standard_conforming_strings", standardStrings), ready]));
        return;
      }
      if (bytes[0] !== 0x51) return;
      const query = bytes.subarray(5, bytes.length - 1).toString();
      queries.push(query);
      answer(query, socket);
    });
  });
  return Object.assign(server, { queries });
}

const table = (port: number, more = ""): string =>
  `hosts = inet:127.0.0.1:${port}\nuser = u\npassword = secret\ndbname = d\nquery = SELECT x WHERE k='%s'\n${more}`;

async function tableAt(server: TestServer, more = "") {
  const tables = testTables({ "/t.cf": table(server.port, more) });
  const maps = await tables.set.maps(["pgsql:/t.cf"], { foldCase: true });
  return { ...tables, maps };
}

const answers = (socket: Socket, ...values: readonly string[]): boolean =>
  socket.write(Buffer.concat([oneColumn, ...values.map(row), done, ready]));

test("a key is quoted as the server wants it", async (context) => {
  for (const [standardStrings, wanted] of [
    ["on", "SELECT x WHERE k='a\\''b'"],
    ["off", "SELECT x WHERE k='a\\\\''b'"],
  ] as const) {
    const server = await postgres({ standardStrings, answer: (_, socket) => answers(socket, "found") });
    context.after(() => server.close());
    const { maps, set } = await tableAt(server);
    assert.equal(await maps.find("a\\'b"), "found");
    assert.deepEqual(server.queries, [wanted]);
    await set.close();
  }
});

test("an answer without end is cut off, and cannot be told", async (context) => {
  const server = await postgres({
    answer(_, socket) {
      socket.write(oneColumn);
      const more = Buffer.concat(Array.from({ length: 500 }, () => row("x".repeat(1000))));
      const go = (): void => {
        while (!socket.destroyed && socket.write(more));
      };
      socket.on("drain", go);
      go();
    },
  });
  context.after(() => server.close());
  const { maps, set } = await tableAt(server);
  await assert.rejects(async () => maps.find("k"), cannotTell(/longer than 16777216 bytes/));
  await set.close();
});

test("a server that hangs up in the middle of an answer cannot tell", async (context) => {
  const server = await postgres({ answer: (_, socket) => socket.end(Buffer.concat([oneColumn, row("half")])) });
  context.after(() => server.close());
  const { maps, set, warnings } = await tableAt(server);
  await assert.rejects(async () => maps.find("k"), cannotTell(/terminated/));
  assert.match(warnings.join(), /pgsql query failed: host inet:127\.0\.0\.1:\d+: /);
  assert.doesNotMatch(warnings.join(), /secret/);
  await set.close();
});

test("what is no answer of PostgreSQL's cannot be told", async (context) => {
  for (const rubbish of [
    Buffer.alloc(100, 0xff),
    Buffer.from("HTTP/1.1 200 OK\r\n\r\n"),
    message("T", Buffer.from([0x7f, 0xff])),
  ]) {
    const server = await postgres({ answer: (_, socket) => socket.end(rubbish) });
    context.after(() => server.close());
    const { maps, set } = await tableAt(server);
    await assert.rejects(async () => maps.find("k"), cannotTell(/query error/));
    await set.close();
  }
});

test("an error that the server reports keeps the connection", async (context) => {
  let asked = 0;
  const server = await postgres({
    answer(_, socket) {
      if (asked++ === 0) socket.write(Buffer.concat([failed("ERROR", "42P01", "no such table"), ready]));
      else answers(socket, "found");
    },
  });
  context.after(() => server.close());
  const { maps, set } = await tableAt(server);
  await assert.rejects(async () => maps.find("k"), cannotTell(/no such table/));
  const connections = server.connections;
  assert.equal(await maps.find("k"), "found");
  assert.equal(server.connections, connections);
  await set.close();
});

test("a server that is restarted between two questions is connected to again", async (context) => {
  const server = await postgres({ answer: (_, socket) => answers(socket, "found") });
  context.after(() => server.close());
  const { maps, set } = await tableAt(server);
  assert.equal(await maps.find("k"), "found");
  await server.hangUp();
  assert.equal(await maps.find("k"), "found");
  await set.close();
});

test("a server that says nothing is given up, also while connecting", async (context) => {
  const silent = await serveTables(() => {});
  context.after(() => silent.close());
  const { maps, clock, set } = await tableAt(silent);
  const asked = assert.rejects(async () => maps.find("k"), cannotTell(/no connection in 10 seconds/));
  while (silent.connections === 0) await new Promise((done) => setImmediate(done));
  clock.advance(10_000);
  await asked;
  await set.close();
});

test("a file that cannot be used stops the start, and shows no password", async () => {
  const wrong = {
    "/no-name.cf": "hosts = x\npassword = geheim\n",
    "/no-equals.cf": "password geheim\n",
    "/twice.cf": `${table(1)}password = geheim\npassword = geheim2\nexpansion_limit = x\n`,
  };
  const { set, warnings } = testTables(wrong);
  for (const path of Object.keys(wrong)) await set.maps([`pgsql:${path}`], { foldCase: true });
  assert.deepEqual(
    set.problems().map(({ error }) => [error.kind, error.message]),
    [
      ["config", "/no-name.cf: bad string length 0 < 1: dbname = "],
      ["config", "/no-equals.cf, line 1: missing '=' after attribute name"],
      ["config", "/twice.cf: bad numerical configuration: expansion_limit = x"],
    ],
  );
  assert.deepEqual(warnings, [
    "/twice.cf, line 6: overriding earlier entry: password",
    "/twice.cf, line 7: overriding earlier entry: password",
  ]);
});

test("a file with a password is known to be one, whatever else is in it", async () => {
  const files = {
    "/a.cf": table(1),
    "/b.cf": table(1).replace(/password.*\n/, ""),
    "/c.cf": "hosts = postgresql://u:p@h/d\nquery=x\n",
    "/d.cf": "hosts =\n  postgresql://u:p@h/d\nquery=x\n",
    "/e.cf": "hosts = postgresql://h:5432/d?user=u&password=p\nquery=x\n",
    "/f.cf": "hosts = postgresql://h:5432/d\nquery=x\n",
  };
  const { set } = testTables(files);
  for (const path of Object.keys(files)) await set.maps([`proxy:pgsql:${path}`], { foldCase: true });
  assert.deepEqual(set.secrets(), ["/a.cf", "/c.cf", "/d.cf", "/e.cf"]);
});
