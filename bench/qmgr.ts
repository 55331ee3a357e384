/**
 * What the scheduler costs a message: accepted into the memory store, routed,
 * delivered by a transport that answers at once, settled. The store's own part
 * is measured by itself and subtracted.
 */
import { defaults } from "../src/conf/defaults.ts";
import { createLog } from "../src/log/log.ts";
import { qmgrParams } from "../src/qmgr/params.ts";
import { Scheduler } from "../src/qmgr/scheduler.ts";
import type { Deliver, DeliveryResult } from "../src/queue/delivery.ts";
import { openMemoryStore } from "../src/queue/memory-store.ts";
import type { Envelope } from "../src/queue/message.ts";
import type { NewMessage, QueueStore } from "../src/queue/store.ts";
import { realClock } from "../src/runtime/clock.ts";

const count = Number(process.argv[2] ?? 50_000);
const atOnce = 20;
const conf = {
  ...defaults(qmgrParams),
  delay_logging_resolution_limit: 2,
  recipient_delimiter: "",
  double_bounce_sender: "double-bounce",
  soft_bounce: false,
};
let lines = 0;
const log = createLog({ sink: () => lines++, now: Date.now, service: "qmgr", slot: 1, tag: "postfix" });
const body = Buffer.alloc(4096, "x");
const okResult = (index: number): DeliveryResult => ({
  recipients: [
    { index, status: "sent", dsn: "2.0.0", reason: "250 2.0.0 Ok", remoteHost: "mx.example", remoteReply: undefined },
  ],
  health: { kind: "ok" },
});
const answer = Promise.resolve(okResult(0));
const deliver: Deliver = () => answer;

function message(store: QueueStore): NewMessage {
  const recipient = { address: "user@example.com", original: "user@example.com", notify: undefined, orcpt: undefined };
  return {
    id: store.nextId(),
    arrival_ms: Date.now(),
    body,
    envelope: {
      sender: "sender@example.org",
      recipients: [{ ...recipient, status: "pending", reason: undefined, dsn: undefined }],
      size_bytes: body.length,
      eightBit: false,
      smtputf8: false,
      envid: undefined,
      ret: undefined,
      origin: { service: "smtpd", client: "", helo: "", protocol: "", saslUsername: "" },
      headerEnd_bytes: 0,
    },
  };
}

async function measure(
  name: string,
  run: (store: QueueStore, envelope: Envelope) => void,
  store: QueueStore,
): Promise<number> {
  const cpu = process.cpuUsage();
  const send = async () => {
    for (let sent = 0; sent < count / atOnce; sent++) run(store, (await store.accept(message(store))).envelope);
  };
  await Promise.all(Array.from({ length: atOnce }, send));
  for (let counts = await store.counts(); counts.active > 0; counts = await store.counts()) {
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  const { user, system } = process.cpuUsage(cpu);
  const each_us = (user + system) / count;
  console.log(`${name}: ${each_us.toFixed(2)} µs of CPU a message`);
  return each_us;
}

const open = () => openMemoryStore({ owner: "bench", clock: realClock, log });

async function round(): Promise<number> {
  const alone = await measure(
    "store alone (accept, settle)      ",
    (store, { id }) => {
      const outcomes = [{ index: 0, status: "sent", reason: "250 2.0.0 Ok", dsn: "2.0.0" }] as const;
      void store.settle({ id, outcomes, nextAttempt_ms: 0, destination: "", notifications: [] });
    },
    await open(),
  );
  const store = await open();
  const scheduler = new Scheduler({
    conf,
    clock: realClock,
    log,
    store,
    route: () => ({ hop: { transport: "smtp", nexthop: "[mail.example]:587" }, class: "other" }),
    transports: new Map([["smtp", deliver]]),
    transportValue: () => undefined,
    notify: async () => [],
    failed: (error) => {
      throw error;
    },
  });
  scheduler.start();
  const both = await measure("with the scheduler                ", (_, envelope) => scheduler.enqueue(envelope), store);
  await scheduler.close();
  return both - alone;
}

await round();
console.log("-- warm");
const costs: number[] = [];
for (let turn = 0; turn < 3; turn++) costs.push(await round());
costs.sort((a, b) => a - b);
console.log(
  `scheduler: ${(costs[1] ?? Number.NaN).toFixed(2)} µs a message (median of ${costs.length}; ${lines} log lines discarded)`,
);
process.exit(0);
