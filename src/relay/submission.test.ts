import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import type { Cleanup } from "../cleanup/cleanup.ts";
import { memoryLog } from "../log/log.ts";
import type { Submission } from "../pickup/pickup.ts";
import { type Engine, EngineError } from "../queue/engine.ts";
import { MemoryQueue } from "../queue/memory-engine.ts";
import { openMemoryStore } from "../queue/memory-store.ts";
import type { NewMessage } from "../queue/store.ts";
import { reply } from "../rfc5321/reply.ts";
import { ManualClock } from "../runtime/manual-clock.ts";
import { beginSubmission, type SubmissionParts } from "./submission.ts";

const submission: Submission = {
  head: {
    version: 1,
    sender: "me@here.example",
    recipients: ["list@here.example"],
    fullName: "",
    notify: undefined,
    ret: undefined,
    envid: undefined,
    crlf: false,
    smtputf8: false,
    gateway: false,
    service: "sendmail",
  },
  uid: 1000,
  source: "maildrop:X",
  arrival_ms: 1,
};

const recipient = {
  notify: undefined,
  orcpt: undefined,
  status: "pending",
  reason: undefined,
  dsn: undefined,
} as const;

function messageTo(address: string, id: string): NewMessage {
  const envelope = {
    sender: "owner-list@here.example",
    recipients: [{ address, original: address, ...recipient }],
    size_bytes: 6,
    eightBit: false,
    smtputf8: false,
    envid: undefined,
    ret: undefined,
    origin: { service: "pickup", client: "", helo: "", protocol: "", saslUsername: "" },
    headerEnd_bytes: 0,
  } as const;
  return { envelope, body: Buffer.from("body\r\n"), id, arrival_ms: 1 };
}

/** What cleanup makes of a message is given; the queue refuses what `refuses` says, one operation a batch. */
async function world(addresses: readonly string[], refuses: (count: number) => EngineError | undefined) {
  const [queue, log, accepted, failures]: [MemoryQueue, ReturnType<typeof memoryLog>, string[], unknown[]] = [
    new MemoryQueue(),
    memoryLog(),
    [],
    [],
  ];
  let count = 0;
  const wrap = (engine: Engine): Engine => ({
    read: (read) => engine.read(read),
    close: () => engine.close(),
    async commit(batch, ops) {
      const refusal = ops.some(({ kind }) => kind === "accept") ? refuses(++count) : undefined;
      if (refusal) throw refusal;
      return engine.commit(batch, ops);
    },
  });
  const limits = { ops: 1, bytes: 1 };
  const store = await openMemoryStore({ owner: "a", clock: new ManualClock(), log, queue, wrap, limits });
  const rejected = addresses.length === 0;
  const cleanup = {
    begin: () => ({
      data: () => undefined,
      finish: () =>
        rejected
          ? { kind: "reject", reply: reply(552, "5.3.4", "too big") }
          : { kind: "messages", messages: addresses.map((each) => messageTo(each, store.nextId())) },
      abandon() {},
    }),
  } as unknown as Cleanup;
  const parts: SubmissionParts = {
    ...{ cleanup, store, log, admission: () => undefined },
    accepted: ({ id }) => accepted.push(id),
    failed: (error) => failures.push(error),
  };
  const submit = () => {
    const reject = async () => ["me@here.example", "postmaster"].map((each) => messageTo(each, store.nextId()));
    return beginSubmission(submission, { ...parts, reject }, "me").finish();
  };
  return { store, submit, accepted, failures, log, parts };
}

const full = new EngineError("full", "no room");
const three = ["one@there.example", "two@there.example", "three@there.example"];

test("a file that becomes several messages is taken whole or not at all, and all of it when it comes again", async () => {
  for (const at of [1, 2, 3]) {
    let short = true;
    const w = await world(three, (count) => (short && count === at ? full : undefined));
    for (let tries = 0; (await w.submit()).kind === "retry"; tries++) {
      assert.ok(tries < 3);
      assert.equal((await w.store.list(undefined, 10)).length, 0, "nothing of it is kept");
    }
    assert.equal((await w.store.list(undefined, 10)).length, 3);
    assert.equal(w.accepted.length, 3);
    short = false;
    assert.deepEqual(await w.submit(), { kind: "taken" }, "it could not be removed");
    assert.equal((await w.store.list(undefined, 10)).length, 3);
    assert.equal(w.accepted.length, 3);
  }
});

test("all who have to be told of a file that is refused for good are told, and once", async () => {
  const w = await world([], () => undefined);
  assert.deepEqual([await w.submit(), await w.submit()], [{ kind: "taken" }, { kind: "taken" }]);
  const listed = await w.store.list(undefined, 10);
  assert.deepEqual(
    listed.map(({ envelope }) => envelope.recipients[0]?.address),
    ["me@here.example", "postmaster"],
  );
});

test("a store that has failed is reported, also when nothing is being delivered", async () => {
  const w = await world(three, () => new EngineError("failed", "disk I/O error"));
  assert.equal((await w.submit()).kind, "retry");
  assert.equal(w.failures.length, 1);
});

test("what is in the queue is taken, whatever goes wrong behind it", async () => {
  const w = await world(three, () => undefined);
  Object.assign(w.parts, {
    accepted() {
      throw new Error("a bug");
    },
  });
  const reject = async () => [];
  assert.deepEqual(await beginSubmission(submission, { ...w.parts, reject }, "me").finish(), { kind: "taken" });
  assert.equal(w.log.lines.filter((line) => line.includes("a bug")).length, 3);
});

test("a message waits for its admission before it is stored", async () => {
  const w = await world(three, () => undefined);
  const { promise, resolve } = Promise.withResolvers<void>();
  const reject = async () => [];
  const taken = beginSubmission(submission, { ...w.parts, reject, admission: () => promise }, "me").finish();
  for (let turn = 0; turn < 12; turn++) await setImmediate();
  assert.deepEqual(w.accepted, []);
  resolve();
  assert.deepEqual(await taken, { kind: "taken" });
  assert.equal(w.accepted.length, 3);
});
