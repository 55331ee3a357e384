import assert from "node:assert/strict";
import { test } from "node:test";
import { memoryLog } from "../log/log.ts";
import { ManualClock } from "../runtime/manual-clock.ts";
import { type Engine, EngineError, type EngineErrorKind, type Op, type Result } from "./engine.ts";
import { EngineStore, type EngineStoreOptions } from "./engine-store.ts";
import { MemoryEngine, MemoryQueue } from "./memory-engine.ts";
import { openMemoryStore } from "./memory-store.ts";
import type { NewMessage, RecipientOutcome, RefusedBatch, Settlement } from "./store.ts";

/** A memory engine whose commits wait to be let through, and fail when told to. */
class FaultyEngine implements Engine {
  readonly #inner: MemoryEngine;
  readonly batches: { readonly number: number; readonly kinds: readonly string[] }[] = [];
  #waiting: (() => void)[] = [];
  held = false;
  /** How the next commits end. "failedButKept": the sync failed, and everything reappears. */
  readonly faults: (EngineErrorKind | "failedButKept" | undefined)[] = [];

  constructor(queue: MemoryQueue, owner: string) {
    this.#inner = new MemoryEngine(queue, owner);
  }

  async commit(number: number, ops: readonly Op[]): Promise<readonly Result[]> {
    this.batches.push({ number, kinds: ops.map(({ kind }) => kind) });
    if (this.held) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    const fault = this.faults.shift();
    if (fault === "failedButKept") await this.#inner.commit(number, ops);
    if (fault) throw new EngineError(fault === "failedButKept" ? "failed" : fault, `injected ${fault}`, 0);
    return this.#inner.commit(number, ops);
  }

  read: Engine["read"] = (read) => this.#inner.read(read);

  async close(): Promise<void> {}

  letThrough(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const each of waiting) each();
  }
}

function bed(limits?: { ops: number; bytes: number }, own: Partial<EngineStoreOptions> = {}) {
  const [queue, clock, log] = [new MemoryQueue(), new ManualClock(), memoryLog()];
  const engine = new FaultyEngine(queue, "a");
  const options = { owner: "a", generation: 0, clock, log, largestId: 0, ...own };
  const store = new EngineStore(engine, limits ? { ...options, limits } : options);
  return { queue, clock, log, engine, store };
}

async function settled(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
}

const recipient = { address: "a@b.example", original: "a@b.example", notify: undefined, orcpt: undefined } as const;
const message = (store: EngineStore, body: NewMessage["body"] = Buffer.from("body\r\n")): NewMessage => ({
  envelope: {
    sender: "s@c.example",
    recipients: [{ ...recipient, status: "pending", reason: undefined, dsn: undefined }],
    size_bytes: 6,
    eightBit: false,
    smtputf8: false,
    envid: undefined,
    ret: undefined,
    origin: { service: "smtpd", client: "", helo: "", protocol: "", saslUsername: "" },
    headerEnd_bytes: 0,
  },
  body,
  id: store.nextId(),
  arrival_ms: 0,
});
const sent: RecipientOutcome = { index: 0, status: "sent", reason: "ok", dsn: "2.0.0" };
const settlement = (id: string, outcomes: readonly RecipientOutcome[] = [sent]): Settlement => {
  return { id, outcomes, nextAttempt_ms: 1, destination: "", notifications: [] };
};
const accept = async (store: EngineStore): Promise<string> => (await store.accept(message(store))).envelope.id;
const turns = async (count = 30): Promise<void> => {
  for (let i = 0; i < count; i++) await undefined;
};

test("what arrives while a batch is written goes into the next one, in order", async () => {
  const { engine, store } = bed();
  engine.held = true;
  const first = accept(store);
  await turns();
  const others = [accept(store), accept(store), accept(store)];
  await turns();
  assert.deepEqual(
    engine.batches.map(({ kinds }) => kinds.length),
    [1],
  );
  engine.letThrough();
  await first;
  await turns();
  assert.deepEqual(
    engine.batches.map(({ kinds }) => kinds.length),
    [1, 3],
  );
  engine.letThrough();
  const ids = await Promise.all(others);
  assert.deepEqual(ids, ids.toSorted());
});

test("nothing is answered before its batch is committed", async () => {
  const { engine, store } = bed();
  engine.held = true;
  let answered = false;
  const accepted = accept(store).then(() => {
    answered = true;
  });
  await turns();
  assert.equal(answered, false);
  engine.letThrough();
  await accepted;
});

test("a batch is bounded in operations and in bytes, and a single large operation still goes", async () => {
  for (const limits of [
    { ops: 2, bytes: 1e9 },
    { ops: 1e9, bytes: 10 },
  ]) {
    const { engine, store } = bed(limits);
    await Promise.all([accept(store), accept(store), accept(store)]);
    const largest = Math.max(...engine.batches.map(({ kinds }) => kinds.length));
    assert.equal(largest, limits.ops === 2 ? 2 : 1);
  }
});

test("full: what was to be accepted is refused, and nothing of it is stored", async () => {
  const { engine, store } = bed();
  engine.faults.push("full");
  await assert.rejects(accept(store), { kind: "full" });
  assert.deepEqual(await store.list(undefined, 10), []);
  await accept(store);
  assert.equal((await store.counts()).active, 1);
});

test("full: of messages that belong together none is stored, and their source may come again", async () => {
  const { engine, store, queue } = bed({ ops: 1, bytes: 1 });
  const two = (): NewMessage[] => [message(store), message(store)];
  engine.faults.push("full");
  await assert.rejects(store.acceptAll(two(), "maildrop 1"), { kind: "full" });
  assert.equal(queue.messages.size, 0);
  assert.equal((await store.acceptAll(two(), "maildrop 1")).length, 2);
  assert.deepEqual(
    engine.batches.map(({ kinds }) => kinds),
    [["accept"], ["accept"]],
  );
});

test("full: of messages that belong together none is stored when part of one body was refused", async () => {
  const { engine, store, queue } = bed();
  const [whole, broken] = [store.beginBody(), store.beginBody()];
  await whole.append(Buffer.from("body\r\n"));
  await turns();
  engine.faults.push("full");
  await broken.append(Buffer.from("body\r\n"));
  await assert.rejects(store.acceptAll([message(store, whole), message(store, broken)], "maildrop 1"), {
    kind: "full",
  });
  await turns();
  assert.deepEqual([queue.messages.size, queue.bodies.size, queue.unfinished.size], [0, 0, 0]);
});

test("full: a settle waits for room, and is not forgotten; accepting is refused meanwhile", async () => {
  const { engine, store, clock } = bed();
  const id = await accept(store);
  engine.faults.push("full", "full", "full");
  const settled = store.settle(settlement(id));
  const refused = assert.rejects(accept(store), { kind: "full" });
  await turns();
  await refused;
  await assert.rejects(accept(store), { kind: "full" });
  const batches = engine.batches.length;
  await turns();
  assert.equal(engine.batches.length, batches);
  clock.advance(60_000);
  await turns();
  clock.advance(60_000);
  assert.deepEqual(await settled, { applied: true, gone: true, notifications: [] });
  await accept(store);
});

test("full: settles go one by one when they do not fit together", async () => {
  const { engine, store, clock } = bed();
  const ids = await Promise.all([accept(store), accept(store), accept(store), accept(store)]);
  engine.faults.push("full", "full");
  const settled = Promise.all(ids.map((id) => store.settle(settlement(id))));
  for (let i = 0; i < 4; i++) {
    await turns();
    clock.advance(60_000);
  }
  await settled;
  assert.deepEqual(
    engine.batches.slice(1).map(({ kinds }) => kinds.length),
    [4, 2, 1, 3],
  );
});

test("full: part of a body refused means that the message is refused", async () => {
  const { engine, store } = bed();
  engine.held = true;
  const writer = store.beginBody();
  await writer.append(Buffer.alloc(65_536));
  await turns();
  engine.faults.push("full");
  const accepted = assert.rejects(store.accept(message(store, writer)), { kind: "full" });
  await turns();
  engine.letThrough();
  await turns();
  engine.held = false;
  engine.letThrough();
  await accepted;
  await assert.rejects(writer.append(Buffer.alloc(1)), { kind: "full" });
  assert.deepEqual(await store.list(undefined, 10), []);
});

test("busy: what was to be accepted may be tried again, a settle is tried until it goes", async () => {
  const { engine, store, clock } = bed();
  const id = await accept(store);
  engine.faults.push("busy", "busy");
  const settled = store.settle(settlement(id));
  await assert.rejects(accept(store), { kind: "retry" });
  await turns();
  clock.advance(60_000);
  assert.equal((await settled).gone, true);
});

test("failed: everything outstanding fails, nothing is written any more, and the batch is named", async () => {
  const { engine, store } = bed();
  const id = await accept(store);
  engine.held = true;
  engine.faults.push("failed");
  const accepted = assert.rejects(accept(store), { kind: "failed" });
  await turns();
  const waiting = [
    assert.rejects(store.settle(settlement(id)), { kind: "failed" }),
    assert.rejects(accept(store), { kind: "failed" }),
  ];
  engine.letThrough();
  const failure = await store.failed;
  assert.match(failure.message, /injected failed/);
  assert.deepEqual(store.refusedBatches, [{ owner: "a", batch: 2 }]);
  await Promise.all([accepted, ...waiting]);
  const batches = engine.batches.length;
  await assert.rejects(accept(store), { kind: "failed" });
  await assert.rejects(store.settle(settlement(id)));
  await assert.rejects(store.counts(), { kind: "failed" });
  await store.close();
  assert.equal(engine.batches.length, batches);
});

test("failed: what was refused and reappears is removed by the successor, what was acknowledged is not", async () => {
  const { queue, engine, store, clock, log } = bed();
  const acknowledged = await accept(store);
  engine.faults.push("failedButKept");
  await assert.rejects(accept(store), { kind: "failed" });
  assert.equal(queue.messages.size, 2);
  const successor = await openMemoryStore({
    owner: "b",
    generation: 1,
    clock,
    log,
    queue,
    refused: store.refusedBatches,
  });
  await successor.release("a");
  assert.deepEqual(
    (await successor.claim(0, 10)).map(({ id }) => id),
    [acknowledged],
  );
});

/** A refusal that is being noted, and who knows of it. */
async function refusal(noting: Promise<boolean>) {
  const noted: RefusedBatch[] = [];
  const noteRefused = (batches: readonly RefusedBatch[]): Promise<boolean> => {
    noted.push(...batches);
    return noting;
  };
  const { store, engine } = bed(undefined, { noteRefused });
  engine.faults.push("failedButKept");
  const known = { told: false, failed: false };
  accept(store).catch(() => {
    known.told = true;
  });
  void store.failed.then(() => {
    known.failed = true;
  });
  await settled();
  return { noted, known, store };
}

test("failed: nobody is told of a refusal before it is noted for the successor", async () => {
  const noting = Promise.withResolvers<boolean>();
  const { noted, known } = await refusal(noting.promise);
  assert.deepEqual(noted, [{ owner: "a", batch: 1 }]);
  assert.deepEqual(known, { told: false, failed: false });
  noting.resolve(true);
  await settled();
  assert.deepEqual(known, { told: true, failed: true });
});

test("failed: a refusal that cannot be noted is told to nobody, and the store ends all the same", async () => {
  const { known, store } = await refusal(Promise.resolve(false));
  assert.deepEqual(known, { told: false, failed: true });
  await store.close();
});

test("failed: held mail that was refused and reappears is removed by the successor", async () => {
  const { queue, engine, store, clock, log } = bed();
  const held = { ...message(store), envelope: { ...message(store).envelope, held: true } };
  const acknowledged = await store.accept(held);
  engine.faults.push("failedButKept");
  await assert.rejects(store.accept({ ...held, id: store.nextId() }), { kind: "failed" });
  assert.equal(queue.messages.size, 2);
  const options = { owner: "b", generation: 1, clock, log, queue, refused: store.refusedBatches };
  const successor = await openMemoryStore(options);
  await successor.unhold("all");
  assert.deepEqual(
    (await successor.claim(0, 10)).map(({ id }) => id),
    [acknowledged.envelope.id],
  );
});

test("failed: a settle that reappears keeps the notification that it caused", async () => {
  const { queue, engine, store, clock, log } = bed();
  const id = await accept(store);
  engine.faults.push("failedButKept");
  const notification = { message: message(store), source: `bounce ${id}` };
  await assert.rejects(store.settle({ ...settlement(id), notifications: [notification] }), { kind: "failed" });
  const successor = await openMemoryStore({
    owner: "b",
    generation: 1,
    clock,
    log,
    queue,
    refused: store.refusedBatches,
  });
  await successor.release("a");
  assert.deepEqual(
    (await successor.claim(0, 10)).map((each) => each.id),
    [notification.message.id],
  );
});

test("closing on a full disk ends: what could not be written is left to a successor", async () => {
  const { engine, store, clock } = bed();
  const id = await accept(store);
  engine.faults.push(...Array.from({ length: 50 }, () => "full" as const));
  const settled = assert.rejects(store.settle(settlement(id)), { kind: "full" });
  const closed = store.close();
  for (let i = 0; i < 20; i++) {
    await turns();
    clock.advance(60_000);
  }
  await closed;
  await settled;
});
