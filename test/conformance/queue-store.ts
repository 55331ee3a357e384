import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Log } from "../../src/log/log.ts";
import type { EngineStore } from "../../src/queue/engine-store.ts";
import { chunkSize_bytes, type NewEnvelope, type Recipient } from "../../src/queue/message.ts";
import type {
  Accepted,
  NewMessage,
  QueueStore,
  RecipientOutcome,
  RefusedBatch,
  Settlement,
} from "../../src/queue/store.ts";
import type { ManualClock } from "../../src/runtime/manual-clock.ts";

/**
 * What every queue store promises (src/queue/store.ts). A store's test brings
 * a Bed: a place where a queue lives on while stores are opened on it and
 * closed, several at a time, as generations of a relay would.
 */
export interface Bed {
  readonly clock: ManualClock;
  readonly log: Log & { readonly lines: string[] };
  open(owner: string, options?: BedOptions): Promise<EngineStore>;
  /** Ends every store that is still open, and removes the queue. */
  end(): Promise<void>;
}

export interface BedOptions {
  readonly generation?: number;
  readonly refused?: readonly RefusedBatch[];
  readonly cache_bytes?: number;
}

export function recipient(address: string, rest: Partial<Recipient> = {}): Recipient {
  const plain = { notify: undefined, orcpt: undefined, status: "pending", reason: undefined, dsn: undefined } as const;
  return { address, original: address, ...plain, ...rest };
}

export function newEnvelope(rest: Partial<NewEnvelope> = {}): NewEnvelope {
  return {
    sender: "sender@client.example",
    recipients: [recipient("one@there.example")],
    size_bytes: 6,
    eightBit: false,
    smtputf8: false,
    envid: undefined,
    ret: undefined,
    origin: {
      service: "smtpd",
      client: "localhost[127.0.0.1]",
      helo: "localhost",
      protocol: "ESMTP",
      saslUsername: "",
    },
    headerEnd_bytes: 0,
    ...rest,
  };
}

export function newMessage(
  store: QueueStore,
  rest: Partial<NewEnvelope> = {},
  body = Buffer.from("body\r\n"),
): NewMessage {
  return { envelope: newEnvelope({ size_bytes: body.length, ...rest }), body, id: store.nextId(), arrival_ms: 1_000 };
}

export const accept = async (store: QueueStore, rest: Partial<NewEnvelope> = {}): Promise<string> =>
  (await store.accept(newMessage(store, rest))).envelope.id;

export function settlement(id: string, rest: Partial<Settlement> = {}): Settlement {
  return { id, outcomes: [], nextAttempt_ms: 5_000, destination: "smtp:there.example", notifications: [], ...rest };
}

export const sent = (index = 0): RecipientOutcome => ({ index, status: "sent", reason: "250 2.0.0 Ok", dsn: "2.0.0" });
export const later = (index = 0): RecipientOutcome => ({
  index,
  status: "pending",
  reason: "450 4.2.0 Busy",
  dsn: "4.2.0",
});

export async function defer(
  store: QueueStore,
  rest: Partial<Settlement> = {},
  recipients?: readonly Recipient[],
): Promise<string> {
  const id = await accept(store, recipients && { recipients });
  await store.settle(settlement(id, { outcomes: [later()], ...rest }));
  return id;
}

export async function wholeBody(store: QueueStore, id: string): Promise<Buffer> {
  const chunks: Buffer[] = [];
  const reader = store.body(id);
  for (let index = 0; ; index++) {
    const chunk = await reader.chunk(index);
    if (!chunk) return Buffer.concat(chunks);
    chunks.push(chunk);
  }
}

export async function queues(store: QueueStore): Promise<Record<string, string>> {
  const entries = await store.list(undefined, 1_000);
  return Object.fromEntries(entries.map(({ queue, envelope }) => [envelope.id, queue]));
}

const ids = (envelopes: readonly { readonly id: string }[]): string[] => envelopes.map(({ id }) => id);

export function queueStoreConformance(name: string, makeBed: () => Promise<Bed>): void {
  const promise = (text: string, keep: (bed: Bed) => Promise<void>): void =>
    void test(text, async () => {
      const bed = await makeBed();
      try {
        await keep(bed);
      } finally {
        await bed.end();
      }
    });

  describe(`${name}: accepting`, () => {
    promise("an accepted message is ours, in work, with the envelope and body that were given", async (bed) => {
      const store = await bed.open("a");
      const recipients = [
        recipient("ünï@there.example", {
          original: "alias@here.example",
          notify: ["SUCCESS", "DELAY"],
          orcpt: "rfc822;x+2By",
        }),
        recipient("two@there.example", { notify: ["NEVER"] }),
      ];
      const full = { recipients, sender: "", eightBit: true, smtputf8: true, envid: "e+3D", ret: "HDRS" as const };
      const message = newMessage(store, full);
      const { envelope, repeated } = await store.accept(message);
      const expected = {
        ...message.envelope,
        id: message.id,
        arrival_ms: 1_000,
        held: false,
        expired: false,
        warned: false,
      };
      assert.equal(repeated, false);
      assert.deepEqual(envelope, expected);
      const [entry] = await store.list(undefined, 10);
      assert.deepEqual(entry, { queue: "active", envelope: expected, nextAttempt_ms: 0, destination: "" });
      assert.equal(String(await wholeBody(store, message.id)), "body\r\n");
      assert.equal(store.owns(message.id), true);
      assert.deepEqual(await store.claim(Number.MAX_SAFE_INTEGER, 10), []);
    });

    promise("an accepted message outlives its store", async (bed) => {
      const store = await bed.open("a");
      const id = await accept(store);
      await store.close();
      const next = await bed.open("b");
      assert.deepEqual(await queues(next), { [id]: "active" });
      assert.equal(await next.release("a"), 1);
      assert.deepEqual(ids(await next.claim(0, 10)), [id]);
      assert.equal(String(await wholeBody(next, id)), "body\r\n");
    });

    promise("ids grow, are never one of those in the queue, and never those of the other generation", async (bed) => {
      const even = await bed.open("a", { generation: 0 });
      const odd = await bed.open("b", { generation: 1 });
      const given = Array.from({ length: 2_000 }, () => [even.nextId(), odd.nextId()]).flat();
      assert.equal(new Set(given).size, given.length);
      assert.ok(given.every((id) => /^[0-9A-F]{13}$/.test(id)));
      const last = await accept(even);
      assert.ok(given[0] !== undefined && last > given[0]);
      await even.close();
      bed.clock.jump(-3_600_000);
      const again = await bed.open("c", { generation: 2 });
      assert.ok(again.nextId() > last);
    });

    promise("an empty body is empty", async (bed) => {
      const store = await bed.open("a");
      const { envelope } = await store.accept(newMessage(store, {}, Buffer.alloc(0)));
      assert.equal(await store.body(envelope.id).chunk(0), undefined);
      await store.settle(settlement(envelope.id));
      assert.equal(await store.body(envelope.id).chunk(0), undefined);
    });

    promise("the same source is taken once, even at once, and even after its message is gone", async (bed) => {
      const store = await bed.open("a");
      const both = await Promise.all([
        store.accept(newMessage(store), "maildrop 1"),
        store.accept(newMessage(store), "maildrop 1"),
      ]);
      const [first, second] = both as [Accepted, Accepted];
      assert.deepEqual([first.repeated, second.repeated], [false, true]);
      assert.equal(second.envelope.id, first.envelope.id);
      await store.settle(settlement(first.envelope.id, { outcomes: [sent()] }));
      await store.close();
      const next = await bed.open("b");
      const third = await next.accept(newMessage(next), "maildrop 1");
      assert.equal(third.repeated, true);
      assert.equal(third.envelope.id, first.envelope.id);
      assert.deepEqual(
        third.envelope.recipients.map(({ status }) => status),
        ["sent"],
      );
      assert.deepEqual(await next.counts(), { active: 0, deferred: 0, hold: 0, corrupt: 0 });
      assert.equal((await next.accept(newMessage(next), "maildrop 2")).repeated, false);
    });

    promise("messages that belong together are all stored, and are one source", async (bed) => {
      const store = await bed.open("a");
      const some = (): NewMessage[] => ["x", "y", "z"].map((sender) => newMessage(store, { sender }));
      const messages = some();
      const stored = await store.acceptAll(messages, "maildrop 1");
      assert.deepEqual(ids(stored), ids(messages));
      assert.deepEqual(
        stored.map(({ sender }) => sender),
        ["x", "y", "z"],
      );
      assert.ok(messages.every(({ id }) => store.owns(id)));
      assert.equal(String(await wholeBody(store, messages[2]?.id ?? "")), "body\r\n");
      assert.deepEqual(await store.acceptAll(some(), "maildrop 1"), []);
      assert.deepEqual(await store.acceptAll(some().slice(1), "maildrop 1"), []);
      for (const { id } of messages) await store.settle(settlement(id, { outcomes: [sent()] }));
      assert.deepEqual(await store.acceptAll(some(), "maildrop 1"), []);
      assert.deepEqual(await store.counts(), { active: 0, deferred: 0, hold: 0, corrupt: 0 });
      assert.equal((await store.acceptAll(some().slice(2), "maildrop 2")).length, 1);
    });

    promise("messages that belong together are not stored when one of them cannot be", async (bed) => {
      const store = await bed.open("a");
      const taken = newMessage(store);
      await store.accept(taken);
      const abandoned = store.beginBody();
      await abandoned.append(Buffer.from("body"));
      abandoned.abandon();
      await assert.rejects(store.acceptAll([newMessage(store), taken, newMessage(store)], "maildrop 1"));
      await assert.rejects(
        store.acceptAll([newMessage(store), { ...newMessage(store), body: abandoned }], "maildrop 1"),
      );
      assert.deepEqual(Object.keys(await queues(store)), [taken.id]);
      assert.equal((await store.acceptAll([newMessage(store), newMessage(store)], "maildrop 1")).length, 2);
    });

    promise("a source removed by the operator is not taken again", async (bed) => {
      const store = await bed.open("a");
      const { envelope } = await store.accept(newMessage(store), "maildrop 1");
      await store.remove([envelope.id]);
      assert.equal((await store.accept(newMessage(store), "maildrop 1")).repeated, true);
    });

    promise("the trace of a source is forgotten a day after its message is gone", async (bed) => {
      const store = await bed.open("a");
      const { envelope } = await store.accept(newMessage(store), "maildrop 1");
      await store.settle(settlement(envelope.id, { outcomes: [sent()] }));
      for (let hour = 0; hour < 23; hour++) await pass(bed.clock, 3_600_000, store);
      assert.equal((await store.accept(newMessage(store), "maildrop 1")).repeated, true);
      for (let hour = 0; hour < 3; hour++) await pass(bed.clock, 3_600_000, store);
      assert.equal((await store.accept(newMessage(store), "maildrop 1")).repeated, false);
    });

    promise("a held message is nobody's, and in nobody's way", async (bed) => {
      const store = await bed.open("a");
      const { envelope } = await store.accept(newMessage(store, { held: true }));
      assert.equal(envelope.held, true);
      assert.equal(store.owns(envelope.id), false);
      assert.deepEqual(await queues(store), { [envelope.id]: "hold" });
      assert.deepEqual(await store.claim(Number.MAX_SAFE_INTEGER, 10), []);
      assert.equal(String(await wholeBody(store, envelope.id)), "body\r\n");
      assert.equal(await store.unhold([envelope.id]), 1);
      const [claimed] = await store.claim(0, 10);
      assert.equal(claimed?.held, false);
      assert.equal(String(await wholeBody(store, envelope.id)), "body\r\n");
    });

    promise("an impossible message is refused alone", async (bed) => {
      const store = await bed.open("a");
      const message = newMessage(store);
      await store.accept(message);
      const outcomes = await Promise.allSettled([accept(store), store.accept(message), accept(store)]);
      assert.deepEqual(
        outcomes.map(({ status }) => status),
        ["fulfilled", "rejected", "fulfilled"],
      );
      assert.equal((await store.counts()).active, 3);
    });
  });

  describe(`${name}: large bodies`, () => {
    const chunks = [0, 1, 2].map((each) => Buffer.alloc(chunkSize_bytes, each)).concat(Buffer.from("end\r\n"));
    const whole = Buffer.concat(chunks);
    const write = async (store: QueueStore) => {
      const writer = store.beginBody();
      for (const chunk of chunks) await writer.append(Buffer.from(chunk));
      return writer;
    };

    for (const [how, cache_bytes] of [
      ["from memory", 1 << 20],
      ["from the store", 0],
      ["from both", chunkSize_bytes * 8],
    ] as const) {
      promise(`a body of several chunks is read ${how} as it was written`, async (bed) => {
        const store = await bed.open("a", { cache_bytes });
        const writer = await write(store);
        assert.equal(writer.size_bytes, whole.length);
        const { envelope } = await store.accept({ ...newMessage(store), body: writer });
        assert.ok(whole.equals(await wholeBody(store, envelope.id)));
        await store.settle(settlement(envelope.id));
        assert.ok(whole.equals(await wholeBody(store, envelope.id)));
        await store.claim(5_000, 1);
        assert.ok(whole.equals(await wholeBody(store, envelope.id)));
        await store.settle(settlement(envelope.id, { outcomes: [sent()] }));
        assert.equal(await store.body(envelope.id).chunk(0), undefined);
      });
    }

    promise("a body that no message named is gone with its owner, and in nobody's way before", async (bed) => {
      const store = await bed.open("a");
      const { envelope } = await store.accept({ ...newMessage(store), body: await write(store) });
      await write(store);
      const next = await bed.open("b", { generation: 1 });
      assert.deepEqual(await next.owners(), ["b", "a"]);
      await next.release("a");
      assert.deepEqual(await next.owners(), ["b"]);
      await next.claim(0, 10);
      assert.ok(whole.equals(await wholeBody(next, envelope.id)));
    });

    promise("a body that a message has cannot be abandoned any more, nor given to another", async (bed) => {
      const store = await bed.open("a", { cache_bytes: 0 });
      const writer = await write(store);
      const { envelope } = await store.accept({ ...newMessage(store), body: writer });
      writer.abandon();
      await assert.rejects(store.accept({ ...newMessage(store), body: writer }));
      assert.ok(whole.equals(await wholeBody(store, envelope.id)));
    });

    promise("a body of a source that was taken before is not kept", async (bed) => {
      const store = await bed.open("a");
      const { envelope } = await store.accept(newMessage(store), "maildrop 1");
      const repeated = await store.accept({ ...newMessage(store), body: await write(store) }, "maildrop 1");
      assert.deepEqual([repeated.repeated, repeated.envelope.id], [true, envelope.id]);
      assert.equal(String(await wholeBody(store, envelope.id)), "body\r\n");
    });

    promise("an abandoned body cannot be accepted", async (bed) => {
      const store = await bed.open("a");
      const writer = await write(store);
      writer.abandon();
      await assert.rejects(store.accept({ ...newMessage(store), body: writer }));
      assert.deepEqual(await store.list(undefined, 10), []);
    });

    promise("chunks of the wrong size are a bug, and said to be", async (bed) => {
      const store = await bed.open("a");
      await assert.rejects(store.beginBody().append(Buffer.alloc(chunkSize_bytes + 1)));
      const writer = store.beginBody();
      await writer.append(Buffer.from("short"));
      await assert.rejects(writer.append(Buffer.from("more")));
    });
  });

  describe(`${name}: settling`, () => {
    promise("a message whose recipients are all done is gone", async (bed) => {
      const store = await bed.open("a");
      const id = await accept(store, { recipients: [recipient("one@x.example"), recipient("two@x.example")] });
      const bounced = { index: 1, status: "bounced", reason: "550 5.1.1 No", dsn: "5.1.1" } as const;
      const settled = await store.settle(settlement(id, { outcomes: [sent(0), bounced] }));
      assert.deepEqual(settled, { applied: true, gone: true, notifications: [] });
      assert.deepEqual(await store.list(undefined, 10), []);
      assert.equal(store.owns(id), false);
    });

    promise("what is still pending waits until it is due, and remembers what was said", async (bed) => {
      const store = await bed.open("a");
      const id = await accept(store, { recipients: [recipient("one@x.example"), recipient("two@x.example")] });
      const settled = await store.settle(
        settlement(id, { outcomes: [sent(0), later(1)], nextAttempt_ms: 7_000, warned: true }),
      );
      assert.deepEqual(settled, { applied: true, gone: false, notifications: [] });
      assert.equal(store.owns(id), false);
      assert.equal(await store.nextDue(), 7_000);
      assert.deepEqual(await store.claim(6_999, 10), []);
      const [claimed] = await store.claim(7_000, 10);
      assert.deepEqual(
        claimed?.recipients.map(({ status, reason, dsn }) => [status, reason, dsn]),
        [
          ["sent", "250 2.0.0 Ok", "2.0.0"],
          ["pending", "450 4.2.0 Busy", "4.2.0"],
        ],
      );
      assert.equal(claimed?.warned, true);
      assert.equal(await store.nextDue(), undefined);
    });

    promise("a recipient that is done stays done", async (bed) => {
      const store = await bed.open("a");
      const id = await accept(store, { recipients: [recipient("one@x.example"), recipient("two@x.example")] });
      await store.settle(settlement(id, { outcomes: [sent(0)] }));
      await store.claim(5_000, 1);
      const bounced = { index: 0, status: "bounced", reason: "no", dsn: "5.0.0" } as const;
      await store.settle(settlement(id, { outcomes: [bounced, later(0), later(7)] }));
      const [entry] = await store.list(undefined, 1);
      assert.deepEqual(
        entry?.envelope.recipients.map(({ status }) => status),
        ["sent", "pending"],
      );
    });

    promise("a settle by anyone but the owner changes nothing", async (bed) => {
      const store = await bed.open("a");
      const other = await bed.open("b", { generation: 1 });
      const id = await accept(store);
      const notifications = [{ message: newMessage(other), source: "bounce 1" }];
      const settled = await other.settle(settlement(id, { outcomes: [sent()], notifications }));
      assert.deepEqual(settled, { applied: false, gone: false, notifications: [] });
      assert.deepEqual(await queues(store), { [id]: "active" });
    });

    promise("a settle that comes after a release changes nothing, and causes no notification", async (bed) => {
      const store = await bed.open("a");
      const id = await accept(store);
      const other = await bed.open("b", { generation: 1 });
      await other.release("a");
      const notifications = [{ message: newMessage(store), source: "bounce 1" }];
      const settled = await store.settle(settlement(id, { outcomes: [sent()], notifications }));
      assert.equal(settled.applied, false);
      assert.deepEqual(await queues(store), { [id]: "deferred" });
    });

    promise("a message is settled once", async (bed) => {
      const store = await bed.open("a");
      const id = await accept(store);
      const both = await Promise.all([
        store.settle(settlement(id)),
        store.settle(settlement(id, { outcomes: [sent()] })),
      ]);
      assert.deepEqual(
        both.map(({ applied }) => applied),
        [true, false],
      );
      assert.deepEqual(await queues(store), { [id]: "deferred" });
    });

    promise("notifications come with the settle that causes them, once for each cause", async (bed) => {
      const store = await bed.open("a");
      const id = await accept(store);
      const notification = {
        message: newMessage(store, { sender: "" }, Buffer.from("bounce\r\n")),
        source: `bounce ${id}`,
      };
      const settled = await store.settle(settlement(id, { outcomes: [sent()], notifications: [notification] }));
      assert.equal(settled.notifications.length, 1);
      assert.deepEqual(await queues(store), { [notification.message.id]: "active" });
      assert.equal(store.owns(notification.message.id), true);
      assert.equal(String(await wholeBody(store, notification.message.id)), "bounce\r\n");
      const second = await accept(store);
      const again = { message: newMessage(store, { sender: "" }), source: `bounce ${id}` };
      const repeated = await store.settle(settlement(second, { outcomes: [sent()], notifications: [again] }));
      assert.deepEqual(
        repeated.notifications.map(({ repeated, envelope }) => [repeated, envelope.id]),
        [[true, notification.message.id]],
      );
      assert.equal((await store.counts()).active, 1);
    });

    promise("a notification may have a large body", async (bed) => {
      const store = await bed.open("a", { cache_bytes: 0 });
      const id = await accept(store);
      const body = store.beginBody();
      await body.append(Buffer.alloc(chunkSize_bytes, "x"));
      await body.append(Buffer.from("end\r\n"));
      const notification = { message: { ...newMessage(store), body }, source: `bounce ${id}` };
      await store.settle(settlement(id, { outcomes: [sent()], notifications: [notification] }));
      assert.equal((await wholeBody(store, notification.message.id)).length, chunkSize_bytes + 5);
    });

    promise("an impossible settle is refused, and its message is in work still", async (bed) => {
      const store = await bed.open("a");
      const [id, other] = [await accept(store), await accept(store)];
      const clash = { message: { ...newMessage(store), id: other }, source: "bounce" };
      await assert.rejects(store.settle(settlement(id, { outcomes: [sent()], notifications: [clash] })));
      assert.equal(store.owns(id), true);
      assert.deepEqual(await queues(store), { [id]: "active", [other]: "active" });
      assert.equal((await store.settle(settlement(id, { outcomes: [sent()] }))).gone, true);
    });

    promise("an unfinished settle notes what is done, and the message stays in work", async (bed) => {
      const store = await bed.open("a");
      const id = await accept(store, {
        recipients: ["one", "two", "three"].map((each) => recipient(`${each}@x.example`)),
      });
      const first = await store.settle(settlement(id, { outcomes: [sent(1)], unfinished: true }));
      assert.deepEqual([first.applied, first.gone, store.owns(id)], [true, false, true]);
      const [entry] = await store.list(undefined, 1);
      assert.equal(entry?.queue, "active");
      assert.deepEqual(
        entry?.envelope.recipients.map(({ status }) => status),
        ["pending", "sent", "pending"],
      );
      const last = await store.settle(settlement(id, { outcomes: [sent(0), sent(2)], unfinished: true }));
      assert.deepEqual([last.applied, last.gone, store.owns(id)], [true, true, false]);
    });
  });

  describe(`${name}: claiming`, () => {
    promise("what is due is claimed oldest first, up to the limit, and once", async (bed) => {
      const store = await bed.open("a");
      const [third, first, second, notYet] = [
        await defer(store, { nextAttempt_ms: 300 }),
        await defer(store, { nextAttempt_ms: 100 }),
        await defer(store, { nextAttempt_ms: 200 }),
        await defer(store, { nextAttempt_ms: 400 }),
      ];
      const other = await bed.open("b", { generation: 1 });
      assert.deepEqual(ids(await other.claim(399, 2)), [first, second]);
      assert.deepEqual(ids(await store.claim(399, 10)), [third]);
      assert.deepEqual(await other.claim(399, 10), []);
      assert.equal(await store.nextDue(), 400);
      assert.equal((await queues(store))[notYet], "deferred");
      assert.equal(other.owns(first), true);
      assert.equal(store.owns(first), false);
    });

    promise("messages for excluded destinations stay where they are, and hide none behind them", async (bed) => {
      const store = await bed.open("a");
      for (let i = 0; i < 100; i++) await defer(store, { nextAttempt_ms: 100 + i, destination: "smtp:dead" });
      const live = await defer(store, { nextAttempt_ms: 500, destination: "smtp:live" });
      const several = await defer(store, { nextAttempt_ms: 600, destination: "" });
      const dead = new Set(["smtp:dead"]);
      assert.equal(await store.nextDue(dead), 500);
      assert.deepEqual(ids(await store.claim(10_000, 10, dead)), [live, several]);
      assert.equal(await store.nextDue(dead), undefined);
      const early = await defer(store, { nextAttempt_ms: 50, destination: "smtp:live" });
      assert.deepEqual(ids(await store.claim(10_000, 10, dead)), [early]);
      assert.equal(await store.nextDue(), 100);
      assert.equal((await store.claim(10_000, 1_000)).length, 100);
    });

    promise(
      "messages with more recipients than there is room for stay where they are, and hide none behind them",
      async (bed) => {
        const store = await bed.open("a");
        const deferLarge = (count: number, nextAttempt_ms: number) =>
          defer(
            store,
            { nextAttempt_ms },
            Array.from({ length: count }, (_, each) => recipient(`r${each}@there.example`)),
          );
        const large = [await deferLarge(12, 100), await deferLarge(13, 200), await deferLarge(14, 300)];
        const small = await defer(store, { nextAttempt_ms: 400 });
        assert.deepEqual(ids(await store.claim(10_000, 10, undefined, { upTo: 11, most: 100 })), [small]);
        assert.equal(await store.nextDue(undefined, 11), undefined);
        assert.equal(await store.nextDue(undefined, 13), 100);
        const later = await deferLarge(11, 150);
        assert.equal(await store.nextDue(undefined, 11), 150);
        assert.deepEqual(ids(await store.claim(10_000, 10, undefined, { upTo: 11, most: 100 })), [later]);
        assert.deepEqual(ids(await store.claim(10_000, 10, undefined, { upTo: 50, most: 13 })), large.slice(0, 2));
        assert.deepEqual(ids(await store.claim(10_000, 10)), large.slice(2));
      },
    );

    promise("what is put back behind a look at what falls due next is seen by the next one", async (bed) => {
      const store = await bed.open("a");
      for (let i = 0; i < 10; i++) await defer(store, { nextAttempt_ms: 100 + i, destination: "smtp:dead" });
      const dead = new Set(["smtp:dead"]);
      assert.equal(await store.nextDue(dead), undefined);
      await defer(store, { nextAttempt_ms: 50, destination: "smtp:live" });
      assert.equal(await store.nextDue(dead), 50);
    });

    promise("what another generation put back is seen, though it lies behind", async (bed) => {
      const store = await bed.open("a");
      const other = await bed.open("b", { generation: 1 });
      for (let i = 0; i < 10; i++) await defer(store, { nextAttempt_ms: 100, destination: "smtp:dead" });
      const dead = new Set(["smtp:dead"]);
      assert.deepEqual(await store.claim(10_000, 10, dead), []);
      const put = await defer(other, { nextAttempt_ms: 50, destination: "smtp:live" });
      assert.equal(await store.nextDue(dead), 50);
      assert.deepEqual(ids(await store.claim(10_000, 10, dead)), [put]);
    });
  });

  describe(`${name}: owners`, () => {
    promise("release gives back what a gone owner had, due at once", async (bed) => {
      const gone = await bed.open("gone");
      const had = [await accept(gone), await accept(gone)];
      const kept = await defer(gone, { nextAttempt_ms: 9_000 });
      const store = await bed.open("b", { generation: 1 });
      const own = await accept(store);
      assert.deepEqual((await store.owners()).toSorted(), ["b", "gone"]);
      assert.equal(await store.release("gone"), 2);
      assert.deepEqual(await store.owners(), ["b"]);
      assert.deepEqual(await queues(store), {
        [had[0] ?? ""]: "deferred",
        [had[1] ?? ""]: "deferred",
        [kept]: "deferred",
        [own]: "active",
      });
      assert.deepEqual(ids(await store.claim(0, 10)), had);
    });

    promise("an owner that opens again finds what it had in work, due at once", async (bed) => {
      const store = await bed.open("a");
      const id = await accept(store);
      await store.close();
      const again = await bed.open("a");
      assert.equal(again.owns(id), false);
      assert.deepEqual(ids(await again.claim(0, 10)), [id]);
    });

    promise("at the end of its work an owner gives back what it has", async (bed) => {
      const store = await bed.open("a");
      const id = await accept(store);
      assert.equal(await store.release("a"), 1);
      assert.equal(store.owns(id), false);
      assert.equal((await store.settle(settlement(id, { outcomes: [sent()] }))).applied, false);
      assert.deepEqual(ids(await store.claim(0, 10)), [id]);
    });

    promise(
      "what an owner refused is removed before anything is claimed, with its source, and nothing else is",
      async (bed) => {
        const gone = await bed.open("gone");
        await gone.accept(newMessage(gone), "maildrop 1");
        const batch = gone.figures.batches;
        const other = await accept(gone);
        const store = await bed.open("b", { generation: 1, refused: [{ owner: "gone", batch }] });
        assert.deepEqual(await queues(store), { [other]: "active" });
        assert.equal((await store.accept(newMessage(store), "maildrop 1")).repeated, false);
        const third = await accept(gone);
        assert.equal(await store.release("gone", [gone.figures.batches]), 1);
        assert.ok(!(third in (await queues(store))));
      },
    );

    promise(
      "what an owner refused is removed also where it was accepted as held, in whatever queue it is now",
      async (bed) => {
        const gone = await bed.open("gone");
        const acknowledged = await accept(gone, { held: true });
        const refused = [newMessage(gone, { held: true }), newMessage(gone, { held: true }), newMessage(gone)];
        await Promise.all(refused.map((each) => gone.accept(each)));
        const [letGo, requeued] = refused;
        await gone.unhold([letGo?.id ?? ""]);
        await gone.requeue([requeued?.id ?? ""]);
        const batch = gone.figures.batches - 2;
        const heir = await bed.open("heir", { generation: 1, refused: [{ owner: "gone", batch }] });
        assert.deepEqual(await queues(heir), { [acknowledged]: "hold" });
        assert.deepEqual(await heir.counts(), { active: 0, deferred: 0, hold: 1, corrupt: 0 });
      },
    );

    promise(
      "an owner of held mail alone is known as an owner until it is released, and its batches bind nobody after that",
      async (bed) => {
        const gone = await bed.open("gone");
        const held = await accept(gone, { held: true });
        const heir = await bed.open("heir", { generation: 1 });
        assert.deepEqual((await heir.owners()).sort(), ["gone", "heir"]);
        assert.equal(await heir.release("gone"), 0);
        assert.deepEqual(await heir.owners(), ["heir"]);
        const all = Array.from({ length: 20 }, (_, batch) => ({ owner: "gone", batch }));
        assert.equal(await heir.forget(all), 0);
        assert.deepEqual(await queues(heir), { [held]: "hold" });
      },
    );

    promise("a batch's number does not follow a message to its next owner", async (bed) => {
      const gone = await bed.open("gone");
      const id = await accept(gone);
      const batch = gone.figures.batches;
      const heir = await bed.open("heir", { generation: 1 });
      await heir.release("gone");
      assert.deepEqual(ids(await heir.claim(0, 10)), [id]);
      const all = Array.from({ length: batch + 20 }, (_, each) => each);
      assert.equal(await heir.forget(all.map((each) => ({ owner: "heir", batch: each }))), 0);
      assert.deepEqual(await queues(heir), { [id]: "active" });
    });

    promise("a notification is never removed with a refused batch: its cause may be gone", async (bed) => {
      const gone = await bed.open("gone");
      const id = await accept(gone);
      const notification = { message: newMessage(gone, { sender: "" }), source: `bounce ${id}` };
      await gone.settle(settlement(id, { outcomes: [sent()], notifications: [notification] }));
      const all = Array.from({ length: 20 }, (_, each) => ({ owner: "gone", batch: each }));
      const heir = await bed.open("heir", { generation: 1, refused: all });
      assert.deepEqual(await queues(heir), { [notification.message.id]: "active" });
    });
  });

  describe(`${name}: the operator`, () => {
    promise("flush makes deferred messages due at once: all, some, or those for a destination", async (bed) => {
      const store = await bed.open("a");
      const [one, two, three] = [
        await defer(store, { destination: "smtp:x" }),
        await defer(store, { destination: "smtp:y" }),
        await defer(store, { destination: "smtp:x" }),
      ];
      const held = await defer(store, { destination: "smtp:x" });
      await store.hold([held]);
      assert.equal(await store.flush({ ids: [two, held, "FFFF", "nonsense"] }), 1);
      assert.deepEqual(ids(await store.claim(0, 10)), [two]);
      assert.equal(await store.flush({ destination: "smtp:x" }), 2);
      assert.deepEqual(ids(await store.claim(0, 10)), [one, three]);
      const again = await defer(store);
      assert.equal(await store.flush("all"), 1);
      assert.equal(await store.flush("all"), 0);
      assert.deepEqual(ids(await store.claim(0, 10)), [again]);
    });

    promise("held messages are not tried until they are let go", async (bed) => {
      const store = await bed.open("a");
      const id = await defer(store);
      assert.equal(await store.hold([id, "nonsense"]), 1);
      assert.equal(await store.hold([id]), 0);
      assert.deepEqual(await queues(store), { [id]: "hold" });
      assert.equal((await store.list(undefined, 1))[0]?.envelope.held, true);
      assert.equal(await store.nextDue(), undefined);
      assert.deepEqual(await store.claim(Number.MAX_SAFE_INTEGER, 10), []);
      assert.equal(await store.unhold([id]), 1);
      assert.deepEqual(ids(await store.claim(0, 10)), [id]);
    });

    promise("a message in work that is held is held once it is settled", async (bed) => {
      const store = await bed.open("a");
      const [deferred, gone, spared] = [await accept(store), await accept(store), await accept(store)];
      assert.equal(await store.hold([deferred, gone, spared]), 3);
      assert.equal(await store.unhold([spared]), 1);
      await store.settle(settlement(deferred));
      await store.settle(settlement(gone, { outcomes: [sent()] }));
      await store.settle(settlement(spared));
      assert.deepEqual(await queues(store), { [deferred]: "hold", [spared]: "deferred" });
      const released = await accept(store);
      await store.hold([released]);
      await store.release("a");
      assert.equal((await queues(store))[released], "hold");
    });

    promise("a message removed while in work is not settled any more, and causes no notification", async (bed) => {
      const store = await bed.open("a");
      const other = await bed.open("b", { generation: 1 });
      const [ours, behindUs] = [await accept(store), await accept(store)];
      assert.equal(await store.remove([ours]), 1);
      assert.equal(await other.remove([behindUs]), 1);
      assert.equal(store.owns(ours), false);
      for (const id of [ours, behindUs]) {
        const notifications = [{ message: newMessage(store), source: `bounce ${id}` }];
        const settled = await store.settle(settlement(id, { outcomes: [sent()], notifications }));
        assert.equal(settled.applied, false);
      }
      const third = await accept(store);
      await other.remove([third]);
      assert.equal((await store.settle(settlement(third))).applied, false);
      assert.deepEqual(await store.list(undefined, 10), []);
    });

    promise("an expired message says so when it is claimed, whenever that was asked for", async (bed) => {
      const store = await bed.open("a");
      const deferred = await defer(store, { nextAttempt_ms: 1 });
      const active = await accept(store);
      assert.equal(await store.expire([deferred, active]), 2);
      assert.equal(await store.expire([deferred]), 0);
      await store.settle(settlement(active, { nextAttempt_ms: 2 }));
      const claimed = await store.claim(2, 10);
      assert.deepEqual(
        claimed.map(({ id, expired }) => [id, expired]),
        [
          [deferred, true],
          [active, true],
        ],
      );
    });

    promise("requeue makes held and deferred messages due at once, for any destination", async (bed) => {
      const store = await bed.open("a");
      const [deferred, held, active] = [await defer(store), await defer(store), await accept(store)];
      await store.hold([held]);
      assert.equal(await store.requeue([deferred, held, active]), 2);
      const excluding = new Set(["smtp:there.example"]);
      assert.deepEqual(ids(await store.claim(0, 10, excluding)), [deferred, held]);
    });

    promise("within the queues that are named, only what is in them at that moment is changed", async (bed) => {
      const store = await bed.open("a");
      const [deferred, held, active] = [await defer(store), await defer(store), await accept(store)];
      await store.hold([held]);
      assert.equal(await store.remove([deferred, active], ["hold"]), 0);
      assert.equal(await store.hold("all", ["active"]), 1);
      assert.equal(await store.unhold("all", ["deferred", "active"]), 1);
      assert.equal(await store.remove("all", ["hold", "active"]), 2);
      assert.deepEqual(
        (await store.list(undefined, 10)).map(({ envelope }) => envelope.id),
        [deferred],
      );
    });

    promise("all means all, however many", async (bed) => {
      const store = await bed.open("a");
      const deferred = await Promise.all(Array.from({ length: 1_201 }, () => defer(store)));
      assert.equal(await store.hold("all"), 1_201);
      assert.equal(await store.unhold("all"), 1_201);
      assert.equal((await store.claim(0, 2_000)).length, 1_201);
      assert.equal(await store.release("a"), 1_201);
      assert.equal(await store.expire("all"), 1_201);
      assert.equal(await store.requeue("all"), 1_201);
      assert.equal(await store.remove(deferred.slice(0, 700)), 700);
      assert.equal(await store.remove("all"), 501);
      assert.deepEqual(await store.counts(), { active: 0, deferred: 0, hold: 0, corrupt: 0 });
      assert.deepEqual(await store.list(undefined, 10), []);
    });

    promise("the queue is listed in pages, in order of ids, and counted by state", async (bed) => {
      const store = await bed.open("a");
      const all: string[] = [];
      for (let i = 0; i < 7; i++) all.push(i % 2 === 0 ? await accept(store) : await defer(store));
      await store.hold([all[1] ?? ""]);
      const listed: string[] = [];
      for (let page = await store.list(undefined, 3); page.length > 0; page = await store.list(listed.at(-1), 3)) {
        listed.push(...page.map(({ envelope }) => envelope.id));
      }
      assert.deepEqual(listed, all);
      assert.deepEqual(await store.counts(), { active: 4, deferred: 2, hold: 1, corrupt: 0 });
    });
  });

  describe(`${name}: closing`, () => {
    promise("what was begun is finished, and nothing more is taken", async (bed) => {
      const store = await bed.open("a");
      const id = await accept(store);
      const begun = [accept(store), store.settle(settlement(id, { outcomes: [sent()] }))];
      const closed = store.close();
      await assert.rejects(accept(store), { kind: "retry" });
      await Promise.all([...begun, closed, store.close()]);
      await assert.rejects(store.claim(0, 1), { kind: "retry" });
      const next = await bed.open("b");
      assert.deepEqual(Object.values(await queues(next)), ["active"]);
    });
  });
}

/** Lets time pass, and what it wakes be done. */
async function pass(clock: ManualClock, ms: number, store: QueueStore): Promise<void> {
  clock.advance(ms);
  await store.flush({ ids: ["1"] });
}
