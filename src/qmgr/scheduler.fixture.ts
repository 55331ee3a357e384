/** A scheduler over a memory store, with a clock that stands still and transports that do as they are told. For tests. */
import { setImmediate } from "node:timers/promises";
import { defaults } from "../conf/defaults.ts";
import { memoryLog } from "../log/log.ts";
import type {
  Deliver,
  DeliveryRequest,
  DeliveryResult,
  DestinationHealth,
  RecipientResult,
} from "../queue/delivery.ts";
import type { Engine } from "../queue/engine.ts";
import type { MemoryQueue } from "../queue/memory-engine.ts";
import { openMemoryStore } from "../queue/memory-store.ts";
import { pendingRecipient, plainEnvelope } from "../queue/message.fixture.ts";
import type { Envelope, NewEnvelope, Notify } from "../queue/message.ts";
import type { QueueStore } from "../queue/store.ts";
import type { Route } from "../routing/router.ts";
import { ManualClock } from "../runtime/manual-clock.ts";
import type { Answer } from "../table/maps.ts";
import type { NotificationDue, Notifications, SchedulerOptions } from "./options.ts";
import { qmgrParams } from "./params.ts";
import { Scheduler } from "./scheduler.ts";

export interface WorldOptions {
  readonly conf?: Partial<Record<keyof typeof qmgrParams, string>>;
  /** "smtp_destination_recipient_limit" and the like. */
  readonly transport?: Record<string, string>;
  readonly route?: (sender: string, recipient: string) => Answer<Route>;
  readonly notify?: (due: NotificationDue) => Promise<Notifications>;
  readonly slots?: number;
  readonly queue?: MemoryQueue;
  readonly owner?: string;
  readonly clock?: ManualClock;
  readonly wrapStore?: (store: QueueStore) => QueueStore;
  readonly wrapEngine?: (engine: Engine) => Engine;
  readonly transports?: ReadonlyMap<string, Deliver>;
  readonly untried?: SchedulerOptions["untried"];
  readonly softBounce?: boolean;
}

/** A delivery that a test has yet to answer. */
export interface Pending {
  readonly request: DeliveryRequest;
  readonly addresses: readonly string[];
  answer(health: DestinationHealth, each?: (index: number) => Partial<RecipientResult>): void;
  readonly reject: (error: Error) => void;
}

export const ok: DestinationHealth = { kind: "ok" };
export const down: DestinationHealth = {
  kind: "failed",
  dsn: "4.4.1",
  reason: "connect to mx[192.0.2.1]:25: Connection refused",
};

export type World = Awaited<ReturnType<typeof world>>;

export async function world(options: WorldOptions = {}) {
  const clock = options.clock ?? new ManualClock();
  const log = memoryLog();
  const { queue, owner = "us", wrapEngine: wrap } = options;
  const real = await openMemoryStore({ owner, clock, log, ...(queue ? { queue } : {}), ...(wrap ? { wrap } : {}) });
  const store = options.wrapStore?.(real) ?? real;
  const pending: Pending[] = [];
  const hold: Deliver = (request) =>
    new Promise((resolve, reject) => {
      const addresses = request.recipients.map((index) => request.envelope.recipients[index]?.address ?? "");
      pending.push({ request, addresses, reject, answer: (health, each) => resolve(resultOf(request, health, each)) });
    });
  const failures: unknown[] = [];
  const notified: NotificationDue[] = [];
  const schedulerOptions: SchedulerOptions = {
    conf: {
      ...defaults(qmgrParams, options.conf),
      delay_logging_resolution_limit: 2,
      recipient_delimiter: "+",
      double_bounce_sender: "double-bounce",
      soft_bounce: options.softBounce ?? false,
    },
    clock,
    log: log.as("qmgr"),
    store,
    route: options.route ?? byDomain,
    transports: options.transports ?? new Map([["smtp", hold]]),
    transportValue: (transport, suffix) => options.transport?.[`${transport}_${suffix}`],
    ...(options.untried ? { untried: options.untried } : {}),
    ...(options.slots === undefined ? {} : { slots: () => options.slots ?? 0 }),
    notify: (due) => {
      notified.push(due);
      return options.notify?.(due) ?? Promise.resolve([]);
    },
    failed: (error) => failures.push(error),
  };
  const scheduler = new Scheduler(schedulerOptions);

  const accept = async (
    sender: string,
    recipients: readonly (string | [string, Notify])[],
    more: Partial<NewEnvelope> = {},
  ) => {
    const body = Buffer.from("Subject: test\r\n\r\nHello\r\n");
    const accepted = await real.accept({
      id: real.nextId(),
      arrival_ms: clock.now(),
      body,
      envelope: { ...newEnvelope(sender, recipients, body.length), ...more },
    });
    return accepted.envelope;
  };
  return {
    clock,
    log,
    store: real,
    scheduler,
    pending,
    failures,
    notified,
    accept,
    /** Accepts a message and hands it to the scheduler. */
    async send(sender: string, ...recipients: (string | [string, Notify])[]): Promise<Envelope> {
      const envelope = await accept(sender, recipients);
      scheduler.enqueue(envelope);
      return envelope;
    },
    /** The next delivery, which has to be there. */
    next(): Pending {
      const next = pending.shift();
      if (!next) throw new Error("nothing is being delivered");
      return next;
    },
    async advance(by_ms: number): Promise<void> {
      await quiet();
      clock.advance(by_ms);
      await quiet();
    },
    lines: (pattern: RegExp) => log.lines.filter((line) => pattern.test(line)),
  };
}

/** Everything that can happen without time going on has happened. */
export async function quiet(): Promise<void> {
  for (let turn = 0; turn < 12; turn++) await setImmediate();
}

export function byDomain(_sender: string, recipient: string): Route {
  return { hop: { transport: "smtp", nexthop: recipient.slice(recipient.lastIndexOf("@") + 1) }, class: "other" };
}

export function resultOf(
  request: DeliveryRequest,
  health: DestinationHealth,
  each?: (index: number) => Partial<RecipientResult>,
): DeliveryResult {
  const good = {
    status: "sent",
    dsn: "2.0.0",
    reason: "250 2.0.0 Ok",
    remoteHost: "mx.example",
    remoteReply: "250 2.0.0 Ok",
  } as const;
  const common =
    health.kind === "ok"
      ? good
      : ({
          status: "deferred",
          dsn: health.dsn,
          reason: health.reason,
          remoteHost: "",
          remoteReply: undefined,
        } as const);
  return { health, recipients: request.recipients.map((index) => ({ index, ...common, ...each?.(index) })) };
}

function newEnvelope(
  sender: string,
  recipients: readonly (string | [string, Notify])[],
  size_bytes: number,
): NewEnvelope {
  const all = recipients.map((each) =>
    typeof each === "string" ? pendingRecipient(each) : pendingRecipient(each[0], { notify: each[1] }),
  );
  return plainEnvelope(sender, all, size_bytes, { headerEnd_bytes: 15 });
}
