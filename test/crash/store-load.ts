import { writeSync } from "node:fs";
import { crc32 } from "node:zlib";
import type { EngineStore } from "../../src/queue/engine-store.ts";
import { plainEnvelope } from "../../src/queue/message.fixture.ts";
import { chunkSize_bytes, type NewEnvelope } from "../../src/queue/message.ts";

/**
 * A relay's work on its store, without mail: messages are taken and settled as fast as it goes. What was done is said on
 * standard output, a line each:
 *
 *   accepted ID     after accept() resolved
 *   refused ID      after accept() was rejected
 *   sending ID      before settle() is called with every recipient sent
 *   gone ID         after that settle() resolved
 *   deferred ID     after a settle() resolved that deferred it
 */
export const say = (what: string, id: string): void => void writeSync(1, `${what} ${id}\n`);

/** A message's body follows from its id, so that whoever finds it knows what it must be. */
export const bodyOf = (id: string): Buffer => {
  const kind = crc32(id) % 20;
  if (kind === 0) return Buffer.alloc(3 * chunkSize_bytes + (crc32(id) % chunkSize_bytes), id);
  return Buffer.alloc(1 + (crc32(id) % (kind < 15 ? 6_000 : 60_000)), id);
};

const envelope = (size_bytes: number): NewEnvelope =>
  plainEnvelope("from@here.example", ["to@there.example"], size_bytes);

/** Accepts one message. */
export async function take(store: EngineStore, id: string, arrival_ms = Date.now()): Promise<void> {
  const whole = bodyOf(id);
  let body: Parameters<EngineStore["accept"]>[0]["body"] = whole;
  if (whole.length > chunkSize_bytes) {
    body = store.beginBody();
    for (let at = 0; at < whole.length; at += chunkSize_bytes) {
      await body.append(Buffer.from(whole.subarray(at, at + chunkSize_bytes)));
    }
  }
  await store.accept({ envelope: envelope(whole.length), body, id, arrival_ms });
}

async function takeAndSay(store: EngineStore): Promise<string> {
  const id = store.nextId();
  try {
    await take(store, id);
  } catch (error) {
    // Whoever watches store.failed says first what has to be said before.
    setImmediate(() => say("refused", id));
    throw error;
  }
  say("accepted", id);
  return id;
}

/** Settles a message: all is sent. */
export async function finish(store: EngineStore, id: string): Promise<void> {
  const outcomes = [{ index: 0, status: "sent", reason: "ok", dsn: "2.0.0" }] as const;
  say("sending", id);
  await store.settle({ id, outcomes, nextAttempt_ms: 0, destination: "", notifications: [] });
  say("gone", id);
}

/** Takes so many messages, one after the other: of four one stays, two are settled, one is deferred and tried again. */
export async function work(store: EngineStore, messages: number): Promise<void> {
  for (let count = 0; count < messages; count++) {
    const id = await takeAndSay(store);
    if (count % 4 === 3) {
      await store.settle({ id, outcomes: [], nextAttempt_ms: 0, destination: "smtp:x", notifications: [] });
      say("deferred", id);
      for (const claimed of await store.claim(Date.now(), 2)) await finish(store, claimed.id);
    } else if (count % 4 > 0) await finish(store, id);
  }
}
