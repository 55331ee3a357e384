import assert from "node:assert/strict";
import { before, test } from "node:test";
import { missing } from "../peers/place.ts";
import { checkSyncs, type Event, type SyncEvent, type WriteEvent } from "./sync-oracle.ts";
import { recordSyncs } from "./sync-order-run.ts";

const skip = missing("strace", "smtp-source") ?? false;
const messages = Number(process.env.POSTERN_TRACED_MESSAGES ?? 1000);

let events: Event[] = [];

before(async () => {
  if (!skip) events = await recordSyncs(messages);
});

test(`a sync that covers the message precedes each 250, over ${messages} messages from 20 sessions`, {
  skip,
}, (context) => {
  const { replies, violations } = checkSyncs(events);
  assert.deepEqual(violations, []);
  assert.equal(replies, messages);
  const syncs = events.filter(({ kind }) => kind === "sync").length;
  context.diagnostic(`${replies} replies, ${syncs} syncs`);
});

const isSync = (event: Event): event is SyncEvent => event.kind === "sync";

test("the oracle sees that there is no sync at all", { skip }, () => {
  const doctored = events.filter((event) => !isSync(event));
  assert.equal(checkSyncs(doctored).violations.length, messages);
});

test("the oracle sees that every sync has failed", { skip }, () => {
  const doctored = events.map((event) => (isSync(event) ? { ...event, ok: false } : event));
  assert.equal(checkSyncs(doctored).violations.length, messages);
});

test("the oracle sees that syncs end only after the replies", { skip }, () => {
  const last = Math.max(...events.map(({ begin }) => begin));
  const doctored = events.map((event) => (isSync(event) ? { ...event, end: last + 1 } : event));
  assert.equal(checkSyncs(doctored).violations.length, messages);
});

test("the oracle sees that syncs began before the writes they should cover had ended", { skip }, () => {
  const last = Math.max(...events.map(({ begin }) => begin));
  const doctored = events.map((event) => (event.kind === "write" ? { ...event, end: last + 1 } : event));
  assert.equal(checkSyncs(doctored).violations.length, messages);
});

test("the oracle sees that another file was synced", { skip }, () => {
  const doctored = events.map((event) => (isSync(event) ? { ...event, file: `${event.file}.other` } : event));
  assert.equal(checkSyncs(doctored).violations.length, messages);
});

test("the oracle sees replies without a message, and messages whose transaction has no end", { skip }, () => {
  const unwritten = events.map((event) => (event.kind === "write" ? { ...event, ids: [] } : event));
  assert.equal(checkSyncs(unwritten).violations.length, messages);
  const open = events.map((event) => (event.kind === "write" ? { ...event, commits: false } : event));
  assert.equal(checkSyncs(open).violations.length, messages);
});

test("the oracle sees each single sync that is missing before a reply", { skip }, () => {
  const intact = checkSyncs(events).violations.length;
  assert.equal(intact, 0);
  let seen = 0;
  const syncs = events.filter(isSync);
  for (const sync of syncs) {
    const next = syncs.find(({ begin }) => begin > sync.begin)?.end ?? Number.POSITIVE_INFINITY;
    const covers = events.some(
      (event) => event.kind === "reply" && event.begin > sync.end && event.begin < next && writtenSince(event.id, sync),
    );
    if (!covers) continue;
    seen++;
    assert.notEqual(checkSyncs(events.filter((event) => event !== sync)).violations.length, 0);
  }
  assert.ok(seen > 10, `${seen} syncs with a reply of their own`);

  /** Its row was written after the sync before this one had begun: no other can stand in. */
  function writtenSince(id: string, sync: SyncEvent): boolean {
    const previous = syncs.findLast(({ begin, file }) => begin < sync.begin && file === sync.file)?.begin ?? 0;
    const row = events.find((event): event is WriteEvent => event.kind === "write" && event.ids.includes(id));
    return row !== undefined && row.file === sync.file && row.begin > previous && row.begin < sync.begin;
  }
});
