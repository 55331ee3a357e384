import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import type { Envelope } from "../queue/message.ts";
import type { QueueEntry } from "../queue/store.ts";
import { ManualClock } from "../runtime/manual-clock.ts";
import { realNet } from "../runtime/net.ts";
import { type ControlPorts, startControl } from "./control.ts";

const directory = mkdtempSync(join(tmpdir(), "postern-control-"));
after(() => rmSync(directory, { recursive: true, force: true }));
let count = 0;

const entry = (id: string): QueueEntry => ({
  queue: "deferred",
  envelope: { id, sender: "é@example.com" } as Envelope,
  destination: "",
  nextAttempt_ms: 0,
});

async function control(ports: Partial<ControlPorts> = {}) {
  const path = join(directory, `s${count++}`);
  const clock = new ManualClock();
  const all: ControlPorts = {
    list: async () => [],
    flush: async () => 0,
    status: async () => ({}),
    follow: async function* () {},
    ...ports,
  };
  const listener = await startControl({ net: realNet, clock }, path, all);
  return { path, clock, listener };
}

class Client {
  text = "";
  readonly socket: Socket;
  readonly closed: Promise<string>;

  constructor(path: string, ...pieces: readonly string[]) {
    this.socket = connect(path, () => {
      for (const piece of pieces) this.socket.write(piece);
    });
    this.socket.on("data", (bytes) => (this.text += bytes.toString()));
    this.socket.on("error", () => {});
    this.closed = new Promise((resolve) => this.socket.on("close", () => resolve(this.text)));
  }

  get lines(): unknown[] {
    return this.text
      .split("\n")
      .filter(Boolean)
      .map((line) => JSON.parse(line));
  }
}

async function ask(path: string, request: object): Promise<unknown[]> {
  const client = new Client(path, `${JSON.stringify(request)}\n`);
  await client.closed;
  return client.lines;
}

test("the queue is listed page by page, each message once, and the end is marked", async () => {
  const pages: Record<string, QueueEntry[]> = { "": [entry("A"), entry("B")], B: [entry("C")], C: [] };
  const { path, listener } = await control({ list: async (after) => pages[after ?? ""] ?? assert.fail(after) });
  const lines = await ask(path, { command: "list" });
  assert.deepEqual(
    lines.map((line) => (line as QueueEntry).envelope?.id ?? line),
    ["A", "B", "C", { end: true }],
  );
  await listener.close();
});

test("flush passes on what is asked for and nothing else", async () => {
  const asked: object[] = [];
  const { path, listener } = await control({
    flush: async (which) => {
      asked.push(which);
      return 7;
    },
  });
  assert.deepEqual(await ask(path, { command: "flush", id: "A", site: 7, all: true }), [{ flushed: 7 }, { end: true }]);
  await ask(path, { command: "flush" });
  assert.deepEqual(asked, [{ id: "A" }, {}]);
  await listener.close();
});

test("what is no request is answered with an error, and a failure with its text", async () => {
  const { path, listener } = await control({ status: () => Promise.reject(new Error("no store")) });
  for (const request of ["null", "[]", "7", '{"command":"remove"}', '{"command":"__proto__"}', "{}"]) {
    const client = new Client(path, `${request}\n`);
    await client.closed;
    assert.deepEqual(client.lines, [{ error: "no such command" }], request);
  }
  const broken = new Client(path, "{\n");
  await broken.closed;
  assert.match(JSON.stringify(broken.lines), /error/);
  assert.deepEqual(await ask(path, { command: "status" }), [{ error: "no store" }]);
  await listener.close();
});

test("a request may come in pieces, and what follows it is not read", async () => {
  const { path, listener } = await control({ status: async () => ({ well: "é" }) });
  const client = new Client(path, '{"comm', 'and":"status"}', "\n", "x".repeat(100_000));
  await client.closed;
  assert.deepEqual(client.lines, [{ well: "é" }, { end: true }]);
  await listener.close();
});

test("an endless request is refused", async () => {
  const { path, listener } = await control();
  const client = new Client(path, "x".repeat(100_000));
  await client.closed;
  assert.match(client.text, /at most 4096 bytes/);
  await listener.close();
});

test("a client that does not ask is cut off", async () => {
  const { path, clock, listener } = await control();
  const client = new Client(path, "{");
  while (clock.next_ms === undefined) await new Promise((resolve) => setImmediate(resolve));
  clock.advance(10_000);
  await client.closed;
  await listener.close();
});

test("a client that does not read is cut off, and the queue is not read to its end for it", async () => {
  let pages = 0;
  const page = Array.from({ length: 200 }, (_, index) => ({ ...entry(`A${index}`), filler: "x".repeat(10_000) }));
  const { path, clock, listener } = await control({
    list: async () => {
      pages++;
      return page;
    },
  });
  const client = new Client(path);
  client.socket.pause();
  client.socket.write('{"command":"list"}\n');
  let before = -1;
  while (pages === 0 || pages !== before) {
    before = pages;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  clock.advance(10_000);
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.ok(pages <= before + 1, `${pages - before} more pages were read`);
  client.socket.destroy();
  await listener.close();
});

test("a client that goes away in the middle of a long answer ends the work for it", async () => {
  let pages = 0;
  const { path, listener } = await control({
    list: async () => {
      pages++;
      await new Promise((resolve) => setImmediate(resolve));
      return [entry("A")];
    },
  });
  const client = new Client(path, '{"command":"list"}\n');
  while (pages < 10) await new Promise((resolve) => setImmediate(resolve));
  client.socket.destroy();
  await client.closed;
  let before = -1;
  while (pages !== before) {
    before = pages;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  await listener.close();
});

test("too many clients at once are told so, and closing waits for none of them", { timeout: 10_000 }, async () => {
  const { path, listener } = await control();
  const clients = Array.from({ length: 50 }, () => new Client(path));
  await Promise.all(clients.map(({ socket }) => new Promise((resolve) => socket.once("connect", resolve))));
  const late = new Client(path);
  await new Promise((resolve) => late.socket.once("data", resolve));
  assert.match(late.text, /too many commands at once/);
  await listener.close();
  await Promise.all(clients.map(({ closed }) => closed));
});

test("the socket that is open to everybody changes nothing", async () => {
  const { path, listener } = await control();
  const change = { command: "change", action: "remove", ids: "all", pid: 1 };
  for (const request of [change, { command: "note", pid: 1, text: "x" }])
    assert.deepEqual(await ask(path, request), [{ error: "this socket changes nothing" }]);
  await listener.close();
});

test("a change is passed on as asked, its pages come as they are done, and what is none is refused", async () => {
  const asked: object[] = [];
  const operator: ControlPorts["operator"] = {
    async *change(request) {
      asked.push(request);
      yield { count: 500 };
      yield { count: 1 };
    },
    note: () => {},
  };
  const { path, listener } = await control({ operator });
  const request = { action: "remove", ids: "all", queues: ["hold"], pid: 7 };
  assert.deepEqual(await ask(path, { command: "change", ...request }), [{ count: 500 }, { count: 1 }, { end: true }]);
  assert.deepEqual(asked, [request]);
  for (const wrong of [
    { action: "toString" },
    { ids: undefined },
    { ids: [7] },
    { queues: ["x"] },
    { queues: "hold" },
  ]) {
    const [answer] = await ask(path, { command: "change", ...request, ...wrong });
    assert.match((answer as { error: string }).error, /^no /);
  }
  assert.equal(asked.length, 1);
  await listener.close();
});

test("of a message only who sent it can be told what becomes of it: its Message-ID cannot be guessed", async () => {
  const asked: string[] = [];
  const { path, listener } = await control({
    async *follow(messageId) {
      asked.push(messageId);
      yield { waiting: true };
    },
  });
  for (const messageId of ["<>", "<x@example>", "", undefined, 7, "<try.0123@h.example>"]) {
    assert.deepEqual(await ask(path, { command: "follow", messageId }), [
      { error: "only messages of postern try can be followed" },
    ]);
  }
  const own = "<try.0123456789abcdef01234567@h.example>";
  assert.deepEqual(await ask(path, { command: "follow", messageId: own }), [{ waiting: true }, { end: true }]);
  assert.deepEqual(asked, [own]);
  await listener.close();
});
