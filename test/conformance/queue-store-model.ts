import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { EngineStore } from "../../src/queue/engine-store.ts";
import type { RecipientRoom } from "../../src/queue/store.ts";
import { type Bed, newMessage, recipient, settlement, wholeBody } from "./queue-store.ts";

/**
 * Random sequences of operations by two owners, held against a model that
 * says in a few lines what a queue is. A failing sequence is shrunk and printed.
 */

interface Modelled {
  readonly id: string;
  readonly body: string;
  state: "active" | "deferred" | "hold";
  owner: number | undefined;
  holdWanted: boolean;
  expired: boolean;
  due: number;
  destination: string;
  pending: boolean[];
}

type Step = (world: World) => Promise<void>;

/** Steps of one kind; a failing sequence is printed as calls. */
function steps<Args extends unknown[]>(args: fc.Arbitrary<Args>, step: (...args: Args) => Step): fc.Arbitrary<Step> {
  return args.map((given) => {
    const print = () => `${step.name}(${given.map((each) => JSON.stringify(each)).join(", ")})`;
    return Object.assign(step(...given), { [fc.toStringMethod]: print });
  });
}

class World {
  readonly stores: EngineStore[] = [];
  readonly model = new Map<string, Modelled>();
  /** Every id ever given, in order: steps name messages by position. */
  readonly given: string[] = [];

  store(which: number): EngineStore {
    return this.stores[which] as EngineStore;
  }

  id(position: number): string {
    return this.given[position % Math.max(this.given.length, 1)] ?? "1";
  }

  changed(ids: readonly string[], change: (message: Modelled) => boolean): number {
    return ids.filter((id) => {
      const message = this.model.get(id);
      return message !== undefined && change(message);
    }).length;
  }
}

const disown = (message: Modelled, due: number, destination: string): void => {
  message.state = message.holdWanted ? "hold" : "deferred";
  Object.assign(message, { owner: undefined, holdWanted: false, due, destination });
};

const which = fc.nat(1);
const position = fc.nat(30);
const due = fc.integer({ min: 1, max: 20 });
const destination = fc.constantFrom("smtp:x", "smtp:y", "");

const recipientRoom: fc.Arbitrary<RecipientRoom> = fc.record(
  {
    upTo: fc.constantFrom(Number.POSITIVE_INFINITY, 3, 2, 1),
    most: fc.constantFrom(Number.POSITIVE_INFINITY, 5, 2, 1),
  },
  { noNullPrototype: true },
);

const acceptStep = (by: number, recipients: number, held: boolean): Step => {
  return async ({ stores, model, given }) => {
    const store = stores[by] as EngineStore;
    const body = `body ${given.length}\r\n`;
    const list = Array.from({ length: recipients }, (_, each) => recipient(`r${each}@x.example`));
    const message = newMessage(store, { recipients: list, held }, Buffer.from(body));
    await store.accept(message);
    given.push(message.id);
    const state = held ? "hold" : "active";
    const owner = held ? undefined : by;
    const pending = list.map(() => true);
    model.set(message.id, {
      id: message.id,
      body,
      state,
      owner,
      holdWanted: false,
      expired: false,
      due: 0,
      destination: "",
      pending,
    });
  };
};

const settleStep = (
  by: number,
  at: number,
  done: readonly number[],
  at_ms: number,
  to: string,
  unfinished: boolean,
): Step => {
  return async (world) => {
    const id = world.id(at);
    const message = world.model.get(id);
    const outcomes = done.map((index) => ({ index, status: "sent", reason: "ok", dsn: "2.0.0" }) as const);
    const result = await world
      .store(by)
      .settle(settlement(id, { outcomes, nextAttempt_ms: at_ms, destination: to, unfinished }));
    const ours = message?.state === "active" && message.owner === by;
    assert.equal(result.applied, ours);
    if (!ours) return;
    for (const index of done) if (index < message.pending.length) message.pending[index] = false;
    const gone = !message.pending.includes(true);
    assert.equal(result.gone, gone);
    if (gone) world.model.delete(id);
    else if (!unfinished) disown(message, at_ms, to);
  };
};

const claimStep = (by: number, now: number, limit: number, excluded: readonly string[], room: RecipientRoom): Step => {
  return async (world) => {
    const excluding = new Set(excluded);
    let recipients = 0;
    const eligible = [...world.model.values()]
      .filter((each) => each.state === "deferred" && each.due <= now && !excluding.has(each.destination))
      .filter((each) => each.pending.length <= room.upTo)
      .sort((a, b) => a.due - b.due || (a.id < b.id ? -1 : 1))
      .slice(0, limit)
      .filter((each) => {
        const fits = recipients < room.most;
        recipients += each.pending.length;
        return fits;
      });
    const claimed = await world.store(by).claim(now, limit, excluding, room);
    assert.deepEqual(
      claimed.map(({ id }) => id),
      eligible.map(({ id }) => id),
    );
    for (const message of eligible) Object.assign(message, { state: "active", owner: by });
  };
};

const operators = {
  hold: (message: Modelled) => {
    if (message.state === "hold" || message.holdWanted) return false;
    if (message.state === "active") message.holdWanted = true;
    else message.state = "hold";
    return true;
  },
  unhold: (message: Modelled) => {
    if (message.state !== "hold" && !message.holdWanted) return false;
    message.holdWanted = false;
    if (message.state === "hold") Object.assign(message, { state: "deferred", due: 0 });
    return true;
  },
  requeue: (message: Modelled) => {
    if (message.state === "active") return false;
    Object.assign(message, { state: "deferred", due: 0, destination: "" });
    return true;
  },
  expire: (message: Modelled) => {
    if (message.expired) return false;
    message.expired = true;
    return true;
  },
};

const operateStep = (by: number, action: keyof typeof operators | "remove", at: readonly number[] | "all"): Step => {
  return async (world) => {
    const ids = at === "all" ? [...world.model.keys()] : [...new Set(at.map((each) => world.id(each)))];
    const count = await world.store(by)[action](at === "all" ? "all" : ids);
    const change = action === "remove" ? (message: Modelled) => world.model.delete(message.id) : operators[action];
    assert.equal(count, world.changed(ids, change));
  };
};

const flushStep = (by: number, to: string | undefined): Step => {
  return async (world) => {
    const count = await world.store(by).flush(to === undefined ? "all" : { destination: to });
    const expected = world.changed([...world.model.keys()], (message) => {
      if (message.state !== "deferred" || message.due === 0) return false;
      if (to !== undefined && message.destination !== to) return false;
      message.due = 0;
      return true;
    });
    assert.equal(count, expected);
  };
};

const releaseStep = (by: number, owner: number): Step => {
  return async (world) => {
    const count = await world.store(by).release(names[owner] ?? "");
    const expected = world.changed([...world.model.keys()], (message) => {
      if (message.owner !== owner) return false;
      disown(message, 0, "");
      return true;
    });
    assert.equal(count, expected);
  };
};

const names = ["a", "b"];

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: steps(
      fc.tuple(which, fc.integer({ min: 1, max: 3 }), fc.constantFrom(false, false, false, true)),
      acceptStep,
    ),
  },
  {
    weight: 6,
    arbitrary: steps(fc.tuple(which, position, fc.uniqueArray(fc.nat(2)), due, destination, fc.boolean()), settleStep),
  },
  {
    weight: 3,
    arbitrary: steps(
      fc.tuple(which, due, fc.integer({ min: 1, max: 5 }), fc.uniqueArray(destination), recipientRoom),
      claimStep,
    ),
  },
  {
    weight: 3,
    arbitrary: steps(
      fc.tuple(
        which,
        fc.constantFrom("hold" as const, "unhold" as const, "requeue" as const, "expire" as const, "remove" as const),
        fc.oneof(
          { weight: 6, arbitrary: fc.array(position, { maxLength: 3 }) },
          { weight: 1, arbitrary: fc.constant("all" as const) },
        ),
      ),
      operateStep,
    ),
  },
  { weight: 1, arbitrary: steps(fc.tuple(which, fc.option(destination, { nil: undefined })), flushStep) },
  { weight: 1, arbitrary: steps(fc.tuple(which, which), releaseStep) },
);

async function assertEqual(world: World): Promise<void> {
  const { model, stores } = world;
  const store = stores[0] as EngineStore;
  const listed = await store.list(undefined, 1_000);
  const messages = [...model.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
  assert.deepEqual(
    listed.map(({ queue, envelope: { id, held, expired, recipients } }) => ({
      id,
      queue,
      held,
      expired,
      pending: recipients.map(({ status }) => status === "pending"),
    })),
    messages.map(({ id, state, holdWanted, expired, pending }) => ({
      id,
      queue: state,
      held: state === "hold" || holdWanted,
      expired,
      pending,
    })),
  );
  const counts = { active: 0, deferred: 0, hold: 0, corrupt: 0 };
  for (const { state } of messages) counts[state]++;
  assert.deepEqual(await store.counts(), counts);
  const dues = messages.filter(({ state }) => state === "deferred").map(({ due }) => due);
  assert.equal(await store.nextDue(), dues.length > 0 ? Math.min(...dues) : undefined);
  const small = messages.filter(({ state, pending }) => state === "deferred" && pending.length < 2);
  const smallDues = small.map(({ due }) => due);
  assert.equal(await store.nextDue(undefined, 1), smallDues.length > 0 ? Math.min(...smallDues) : undefined);
  for (const { id, body, owner } of messages) {
    assert.equal(String(await wholeBody(store, id)), body);
    // A store learns only when it settles that another took a message from it.
    for (const [index, each] of stores.entries()) assert.ok(owner !== index || each.owns(id));
  }
}

export function queueStoreModel(name: string, makeBed: () => Promise<Bed>): void {
  test(`${name}: any sequence of operations by two owners leaves what the model says`, async () => {
    const bed = await makeBed();
    try {
      const stores = [await bed.open("a", { generation: 0 }), await bed.open("b", { generation: 1 })];
      const run = async (steps: readonly Step[]): Promise<void> => {
        const world = new World();
        world.stores.push(...stores);
        await stores[0]?.remove("all");
        for (const each of stores) await each.release(each.owner);
        for (const each of steps) await each(world);
        await assertEqual(world);
      };
      await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 40 }), run), { numRuns: 200 });
    } finally {
      await bed.end();
    }
  });
}
