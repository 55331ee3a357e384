import assert from "node:assert/strict";
import { test } from "node:test";
import { realRuntime } from "../runtime/real.ts";
import { usualBytes } from "./byte-table.ts";
import type { Maps } from "./maps.ts";
import { memcache } from "./memcache.ts";
import type { TableContext } from "./table.ts";
import { cannotTell, serveTables, type TestServer, testTables } from "./test-servers.ts";

/** A server that answers each line with what the test says. */
async function memcached(answer: (line: string) => string | undefined): Promise<TestServer & { asked: string[] }> {
  const asked: string[] = [];
  const server = await serveTables((socket) =>
    socket.on("data", (bytes: Buffer) => {
      asked.push(bytes.toString());
      const text = answer(bytes.toString());
      if (text === undefined) socket.destroy();
      else socket.write(text);
    }),
  );
  return Object.assign(server, { asked });
}

async function tableAt({ port }: TestServer, more = "") {
  const tables = testTables({ "/m.cf": `memcache = inet:127.0.0.1:${port}\n${more}` });
  return { ...tables, maps: await tables.set.maps(["memcache:/m.cf"], { foldCase: true }) };
}

const once = "max_try = 1\n";
const asks = (maps: Maps, key: string) => async () => maps.find(key);

test("a value is found, and what is not there is absent", async (context) => {
  const server = await memcached((line) => (line.includes("key") ? "VALUE key 0 5\r\na\r\nb \r\nEND\r\n" : "END\r\n"));
  context.after(() => server.close());
  const { maps, set } = await tableAt(server);
  assert.equal(await maps.find("KEY"), "a\r\nb ");
  assert.equal(await maps.find("other"), undefined);
  assert.deepEqual(server.asked, ["get key\r\n", "get other\r\n"]);
  await set.close();
});

test("keys with white space, and of other domains, are not asked for", async (context) => {
  const server = await memcached(() => "VALUE k 0 1\r\nx\r\nEND\r\n");
  context.after(() => server.close());
  const { maps, set } = await tableAt(server, "domain = example.com\nkey_format = p:%u\n");
  for (const key of ["a b@example.com", "a\r\nflush_all@example.com", "x@example.org", "x"]) {
    assert.equal(await maps.find(key), undefined);
  }
  assert.equal(await maps.find("x@example.com"), "x");
  assert.deepEqual(server.asked, ["get p:x\r\n"]);
  await set.close();
});

test("what is not in the cache comes from the backup, and goes into the cache", async (context) => {
  const server = await memcached((line) => (line.startsWith("get") ? "END\r\n" : "STORED\r\n"));
  context.after(() => server.close());
  const { maps, set } = await tableAt(server, "backup = inline:{key=value}\nttl = 7\nflags = 3\n");
  assert.equal(await maps.find("key"), "value");
  assert.equal(await maps.find("none"), undefined);
  assert.deepEqual(server.asked, ["get key\r\n", "set key 3 7 5\r\nvalue\r\n", "get none\r\n"]);
  await set.close();
});

test("a cache that is away is no obstacle where there is a backup", async () => {
  const server = await memcached(() => "");
  await server.close();
  const { maps, set } = await tableAt(server, `${once}backup = inline:{key=value}\n`);
  assert.equal(await maps.find("key"), "value");
  await set.close();
  const without = await tableAt(server, once);
  await assert.rejects(asks(without.maps, "key"), cannotTell(/ECONNREFUSED/));
  await without.set.close();
});

test("a backup that cannot tell is not taken for one that knows nothing", async (context) => {
  const server = await memcached(() => "END\r\n");
  context.after(() => server.close());
  const { maps, set } = await tableAt(server, "backup = fail:x\n");
  await assert.rejects(asks(maps, "key"), cannotTell(/./));
  await set.close();
});

test("what is no answer of memcached's cannot be told", async (context) => {
  const rubbish = [
    "ERROR\r\n",
    "SERVER_ERROR out of memory\r\n",
    "VALUE k 0 -1\r\n",
    "VALUE k 0 99999\r\n",
    "VALUE k 0 1\r\nab\r\nEND\r\n",
    "VALUE k 0 1\r\na\r\nVALUE k 0 1\r\n",
    "x".repeat(2000),
    undefined,
  ];
  for (const text of rubbish) {
    const server = await memcached(() => text);
    context.after(() => server.close());
    const { maps, set } = await tableAt(server, once);
    await assert.rejects(asks(maps, "k"), cannotTell(/query error/), text);
    await set.close();
  }
});

test("a server is asked again after a pause, and then given up", async (context) => {
  let broken = 2;
  const server = await memcached(() => (broken-- > 0 ? undefined : "VALUE k 0 1\r\nx\r\nEND\r\n"));
  context.after(() => server.close());
  const { maps, set, clock } = await tableAt(server);
  const lastTries = async (asked: Promise<unknown>): Promise<unknown> => {
    let done = false;
    asked.then(
      () => (done = true),
      () => (done = true),
    );
    while (!done) {
      await new Promise((later) => setImmediate(later));
      if (clock.next_ms === 1000) clock.advance(1000);
    }
    return asked;
  };
  await assert.rejects(lastTries(asks(maps, "k")()), cannotTell(/closed the connection/));
  assert.equal(server.asked.length, 2);
  broken = 1;
  assert.equal(await lastTries(asks(maps, "k")()), "x");
  await set.close();
});

test("a server that says nothing has a time limit", async (context) => {
  let heard = (): void => {};
  const asked = new Promise<void>((resolve) => (heard = resolve));
  const server = await memcached(() => {
    heard();
    return "";
  });
  context.after(() => server.close());
  const { maps, set, clock } = await tableAt(server, `${once}timeout = 3\n`);
  const answer = assert.rejects(asks(maps, "k"), cannotTell(/no answer in 3 seconds/));
  await asked;
  clock.advance(3000);
  await answer;
  await set.close();
});

test("a backup that was opened for one table is closed with it", async () => {
  const { clock, net, names } = realRuntime();
  let closed = 0;
  const context: TableContext = {
    foldCase: true,
    read: async () => ({ bytes: Buffer.from("backup = static:x\n"), mtime_ms: 0 }),
    warn: () => {},
    network: { clock, net, names },
  };
  const part = async () => ({ find: () => undefined, close: () => void closed++ });
  const table = await memcache.openBytes("/m.cf", context, { ...usualBytes, part });
  table.close?.();
  assert.equal(closed, 1);
});
