import { writeSync } from "node:fs";
import { crc32 } from "node:zlib";
import { memoryLog } from "../../src/log/log.ts";
import type { EngineStore } from "../../src/queue/engine-store.ts";
import { chunkSize_bytes, type NewEnvelope } from "../../src/queue/message.ts";
import { openSqliteStore, startSqliteWorker } from "../../src/queue/open.ts";
import { realRuntime } from "../../src/runtime/real.ts";

/**
 * A relay without mail: takes messages and settles them as fast as it can,
 * until it is killed. It says what it did on standard output, a line each:
 *
 *   accepted ID     after accept() resolved
 *   sending ID      before settle() is called with every recipient sent
 *   gone ID         after that settle() resolved
 *   deferred ID     after a settle() resolved that deferred it
 *
 * Arguments: directory, owner, generation, the owner before.
 */
const [directory = "", owner = "", generation = "0", predecessor = ""] = process.argv.slice(2);

export const bodyOf = (id: string): Buffer => {
  const kind = crc32(id) % 20;
  if (kind === 0) return Buffer.alloc(3 * chunkSize_bytes + (crc32(id) % chunkSize_bytes), id);
  return Buffer.alloc(1 + (crc32(id) % (kind < 15 ? 6_000 : 60_000)), id);
};

const say = (what: string, id: string): void => void writeSync(1, `${what} ${id}\n`);

const envelope = (size_bytes: number): NewEnvelope => {
  const address = "to@there.example";
  return {
    sender: "from@here.example",
    recipients: [
      {
        address,
        original: address,
        notify: undefined,
        orcpt: undefined,
        status: "pending",
        reason: undefined,
        dsn: undefined,
      },
    ],
    size_bytes,
    eightBit: false,
    smtputf8: false,
    envid: undefined,
    ret: undefined,
    origin: { service: "smtpd", client: "", helo: "", protocol: "", saslUsername: "" },
    headerEnd_bytes: 0,
  };
};

async function take(store: EngineStore): Promise<string> {
  const id = store.nextId();
  const whole = bodyOf(id);
  let body: Parameters<EngineStore["accept"]>[0]["body"] = whole;
  if (whole.length > chunkSize_bytes) {
    body = store.beginBody();
    for (let at = 0; at < whole.length; at += chunkSize_bytes) {
      await body.append(Buffer.from(whole.subarray(at, at + chunkSize_bytes)));
    }
  }
  await store.accept({ envelope: envelope(whole.length), body, id, arrival_ms: Date.now() });
  say("accepted", id);
  return id;
}

async function finish(store: EngineStore, id: string): Promise<void> {
  const outcomes = [{ index: 0, status: "sent", reason: "ok", dsn: "2.0.0" }] as const;
  say("sending", id);
  await store.settle({ id, outcomes, nextAttempt_ms: 0, destination: "", notifications: [] });
  say("gone", id);
}

async function work(store: EngineStore): Promise<never> {
  for (let count = 0; ; count++) {
    const id = await take(store);
    if (count % 4 === 3) {
      await store.settle({ id, outcomes: [], nextAttempt_ms: 0, destination: "smtp:x", notifications: [] });
      say("deferred", id);
      for (const claimed of await store.claim(Date.now(), 2)) await finish(store, claimed.id);
    } else if (count % 4 > 0) await finish(store, id);
  }
}

if (directory) {
  const engine = await startSqliteWorker();
  const options = { directory, owner, generation: Number(generation), runtime: realRuntime(), log: memoryLog() };
  const store = await openSqliteStore(engine, { ...options, checkpoint_bytes: 1_048_576 });
  await store.release(predecessor);
  await Promise.all(Array.from({ length: 16 }, () => work(store)));
}
