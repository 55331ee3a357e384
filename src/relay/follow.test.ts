import assert from "node:assert/strict";
import { test } from "node:test";
import { createLog, type LogRecord } from "../log/log.ts";
import { ManualClock } from "../runtime/manual-clock.ts";
import { Followers } from "./follow.ts";

function world() {
  const clock = new ManualClock();
  const followers = new Followers(clock);
  const written: LogRecord[] = [];
  const log = createLog({
    sink: followers.tap((record) => void written.push(record)),
    ...{ now: () => clock.now(), service: "cleanup", slot: 1, tag: "postfix" },
  });
  return { clock, followers, written, log };
}

/** What can go on by itself has done so. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

const texts = (values: readonly object[]): unknown[] => values.map((each) => ("text" in each ? each.text : each));

test("what is logged of one message is told from its Message-ID on until it has left, and nothing of others", async () => {
  const { followers, written, log } = world();
  const lines = followers.follow("<x@example>");
  assert.deepEqual((await lines.next()).value, { waiting: true });
  log.info("AA: message-id=<other@example>");
  log.info("BB: message-id=<x@example>");
  log.info("BBB: from=<a@b>");
  log.info("AA: removed");
  log.as("smtp").info("BB: to=<a@b>, status=sent (250 ok)");
  log.as("qmgr").info("BB: removed");
  log.info("BB: message-id=<x@example>");
  const told: object[] = [];
  for await (const each of lines) told.push(each);
  assert.deepEqual(texts(told), ["message-id=<x@example>", "to=<a@b>, status=sent (250 ok)", "removed"]);
  assert.deepEqual(
    told.map((each) => "service" in each && each.service),
    ["cleanup", "smtp", "qmgr"],
  );
  assert.equal(written.length, 7);
});

test("lines that come while nobody reads are kept, and while nothing comes that is said", async () => {
  const { followers, log, clock } = world();
  const lines = followers.follow("<x@example>");
  await lines.next();
  const next = lines.next();
  await settled();
  await clock.advance(10_000);
  assert.deepEqual((await next).value, { waiting: true });
  log.info("BB: message-id=<x@example>");
  log.info("BB: from=<>");
  assert.deepEqual(texts([(await lines.next()).value as object]), ["message-id=<x@example>"]);
  log.info("BB: removed");
  const told: object[] = [];
  for await (const each of lines) told.push(each);
  assert.deepEqual(texts(told), ["from=<>", "removed"]);
});

test("somebody who goes away makes room for others", async () => {
  const { followers } = world();
  const all = Array.from({ length: 20 }, (_, index) => followers.follow(`<${index}@example>`));
  for (const each of all) await each.next();
  await assert.rejects(followers.follow("<y@example>").next(), /too many/);
  await all[0]?.return(undefined);
  assert.deepEqual((await followers.follow("<y@example>").next()).value, { waiting: true });
});

test("somebody who never sends his message is let go after a minute", async () => {
  const { followers, clock } = world();
  const lines = followers.follow("<x@example>");
  await lines.next();
  let next = lines.next();
  for (let waited_s = 0; waited_s < 60; waited_s += 10) {
    await settled();
    await clock.advance(10_000);
    const { done } = await next;
    if (done) return;
    next = lines.next();
  }
  assert.equal((await next).done, true);
});
