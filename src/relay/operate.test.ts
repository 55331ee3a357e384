import assert from "node:assert/strict";
import { test } from "node:test";
import type { QueueEntry, QueueStore } from "../queue/store.ts";
import { changePages } from "./operate.ts";

/** A queue of so many messages, which counts what is asked of it. */
function queueOf(count: number): { store: QueueStore; removed: string[]; lists: () => number } {
  const all = Array.from({ length: count }, (_, index) => (0x1000 + index).toString(16).toUpperCase());
  const removed: string[] = [];
  let lists = 0;
  const store = {
    async list(after: string | undefined, limit: number) {
      lists++;
      const page = all.filter((id) => after === undefined || id > after).slice(0, limit);
      return page.map((id) => ({ queue: "deferred", envelope: { id } }) as QueueEntry);
    },
    async remove(ids: readonly string[]) {
      const found = ids.filter((id) => all.includes(id));
      removed.push(...found);
      return found.length;
    },
  } as unknown as QueueStore;
  return { store, removed, lists: () => lists };
}

const request = { action: "remove", ids: "all", queues: undefined, pid: 1 } as const;

test("all messages are changed in pages, each once", async () => {
  const { store, removed } = queueOf(1200);
  const pages = await Array.fromAsync(changePages(store, request));
  assert.deepEqual(pages, [{ count: 500 }, { count: 500 }, { count: 200 }]);
  assert.equal(new Set(removed).size, 1200);
});

test("whoever stops reading stops the work", async () => {
  const { store, removed, lists } = queueOf(1200);
  for await (const _ of changePages(store, request)) break;
  assert.deepEqual([removed.length, lists()], [500, 1]);
});

test("of messages that are named those that were changed are told", async () => {
  const { store } = queueOf(2);
  const pages = await Array.fromAsync(changePages(store, { ...request, ids: ["1001", "FFFF", "1000"] }));
  assert.deepEqual(pages, [{ changed: ["1001", "1000"] }]);
});
