import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import type { Maps } from "./maps.ts";
import { cannotTell as nothingKnown, serveTables, type TestServer, testTables } from "./test-servers.ts";

const directory = mkdtempSync(join(tmpdir(), "tables-"));
const servers: TestServer[] = [];
after(async () => {
  for (const server of servers) await server.close();
  rmSync(directory, { recursive: true, force: true });
});

/** A server that takes each piece that comes for one question. An undefined answer hangs up. */
async function serve(
  answer: (question: string) => string | undefined,
  path?: string,
): Promise<TestServer & { readonly asked: string[] }> {
  const asked: string[] = [];
  const server = await serveTables((socket) => {
    socket.on("data", (bytes: Buffer) => {
      asked.push(bytes.toString("latin1"));
      const text = answer(bytes.toString("latin1"));
      if (text === undefined) socket.destroy();
      else socket.write(text, "latin1");
    });
  }, path);
  servers.push(server);
  return Object.assign(server, { asked });
}

const maps = (reference: string): Promise<Maps> => testTables().set.maps([reference], { foldCase: true });
const net = (text: string): string => `${text.length}:${text},`;
const cannotTell = (found: Maps, key: string, reason: RegExp): Promise<void> =>
  assert.rejects(async () => found.find(key), nothingKnown(reason));

test("tcp: asks for the key as it is, and tells found, absent and unable apart", async () => {
  const peer = await serve((question) =>
    question.startsWith("get A%20") ? "200 two%20words\n" : question.includes("bad") ? "400 later\n" : "500 no\n",
  );
  const found = await maps(`tcp:127.0.0.1:${peer.port}`);
  assert.equal(await found.find("A b"), "two words");
  assert.equal(await found.find("nope"), undefined);
  await cannotTell(found, "bad", /the server says: 400 later/);
  assert.deepEqual(peer.asked, ["get A%20b\n", "get nope\n", "get bad\n"]);
  assert.equal(found.find("@short", true), undefined);
});

test("tcp: an answer that is none, or without an end, cannot be told", async () => {
  const peer = await serve((question) =>
    question.includes("long") ? "2".repeat(5000) : question.includes("code") ? "900 x\n" : "rubbish\n",
  );
  const found = await maps(`tcp:127.0.0.1:${peer.port}`);
  await cannotTell(found, "x", /the server says: rubbish/);
  await cannotTell(found, "code", /the server says: 900 x/);
  await cannotTell(found, "long", /longer than 4096/);
});

test("socketmap: tells found, absent and unable apart, and names its map", async () => {
  const answers: Record<string, string> = { a: "OK value: x", b: "NOTFOUND ", c: "TEMP busy", d: "PERM no", e: "huh" };
  const peer = await serve((question) => net(answers[question.slice(-2, -1)] ?? ""));
  const found = await maps(`socketmap:inet:127.0.0.1:${peer.port}:mine`);
  assert.equal(await found.find("a"), "value: x");
  assert.equal(await found.find("b"), undefined);
  await cannotTell(found, "c", /socketmap server temporary error: busy/);
  await cannotTell(found, "d", /socketmap server permanent error: no/);
  await cannotTell(found, "e", /socketmap server unknown error/);
  assert.equal(peer.asked[0], "6:mine a,");
});

test("socketmap: speaks over a Unix socket", async () => {
  const path = join(directory, "socket");
  await serve(() => net("OK there"), path);
  assert.equal(await (await maps(`socketmap:unix:${path}:m`)).find("k"), "there");
});

test("socketmap: an answer that is no netstring cannot be told", async () => {
  const answers = ["x", "3:abcd", "999999:", "12345678:"];
  const peer = await serve(() => answers.shift() ?? "");
  const found = await maps(`socketmap:inet:127.0.0.1:${peer.port}:m`);
  for (const message of [/not a netstring/, /not a netstring/, /longer than/, /not a netstring/]) {
    await cannotTell(found, "k", message);
  }
});

test("one connection serves all questions, which are asked one after the other", async () => {
  const peer = await serve((question) => `200 ${question.slice(4)}`);
  const found = await maps(`tcp:127.0.0.1:${peer.port}`);
  const keys = Array.from({ length: 20 }, (_, index) => `k${index}`);
  assert.deepEqual(await Promise.all(keys.map((key) => found.find(key))), keys);
  assert.equal(peer.connections, 1);
});

test("a server that went away between two questions is connected to again", async () => {
  const peer = await serve(() => "200 x\n");
  const found = await maps(`tcp:127.0.0.1:${peer.port}`);
  assert.equal(await found.find("a"), "x");
  await peer.hangUp();
  assert.equal(await found.find("b"), "x");
  assert.equal(peer.connections, 2);
});

test("a server that is away cannot tell, and answers when it is back", async () => {
  let away = true;
  const peer = await serve(() => (away ? undefined : "200 x\n"));
  const found = await maps(`tcp:127.0.0.1:${peer.port}`);
  await cannotTell(found, "a", /closed the connection/);
  away = false;
  assert.equal(await found.find("a"), "x");
  const nobody = await maps(`socketmap:unix:${directory}/nobody:m`);
  await cannotTell(nobody, "a", /ENOENT/);
});

test("a server that says nothing has a time limit", async () => {
  const { set, clock } = testTables();
  let heard = (): void => {};
  const asked = new Promise<void>((resolve) => {
    heard = resolve;
  });
  const peer = await serve(() => {
    heard();
    return "";
  });
  const found = await set.maps([`tcp:127.0.0.1:${peer.port}`], { foldCase: true });
  const answer = cannotTell(found, "k", /no answer in 100 seconds/);
  await asked;
  clock.advance(100_000);
  await answer;
});

test("a name without a server is refused", async () => {
  for (const reference of [
    "tcp:nowhere",
    "tcp:host:99999",
    "socketmap:x",
    "socketmap:unix:relative:m",
    "socketmap:inet:h:m",
  ]) {
    const { set } = testTables();
    await set.maps([reference], { foldCase: true });
    assert.equal(set.problems()[0]?.error.kind, "config", reference);
  }
});
