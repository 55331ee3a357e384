import type { Log } from "../log/log.ts";
import type { Deliver, RecipientResult } from "../queue/delivery.ts";
import type { BodyReader, Envelope } from "../queue/message.ts";
import type { QueueStore, Settlement } from "../queue/store.ts";
import type { Route } from "../routing/router.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Answer } from "../table/maps.ts";
import type { TransportValue } from "./limits.ts";
import type { QmgrConf } from "./params.ts";
import type { Untried } from "./verdict.ts";

/** What the scheduler works with. */
export interface SchedulerOptions {
  readonly conf: SchedulerConf;
  readonly clock: Clock;
  /** Lines of the queue manager; those about recipients that no transport was asked about go out as `error` or `discard`. */
  readonly log: Log;
  readonly store: QueueStore;
  /** Throws, or rejects, where a table cannot tell: the recipient is deferred. `filter`: Envelope.filter. */
  readonly route: (sender: string, recipient: string, filter?: string) => Answer<Route>;
  /** By transport name. */
  readonly transports: ReadonlyMap<string, Deliver>;
  /** Services that hand their mail to nobody; `error`, `retry` and `discard` where this is not given. */
  readonly untried?: ReadonlyMap<string, Untried>;
  readonly transportValue: TransportValue;
  /** How many deliveries a transport may have under way (maxproc of master.cf; 0 for no limit). 100 where this is not given. */
  readonly slots?: (transport: string) => number;
  /** The notifications that results cause: one, several, or none. Rejects where they cannot be written; the recipients are then kept. */
  readonly notify: (due: NotificationDue) => Promise<Notifications>;
  /** The store is broken: the relay has to end. Called once. */
  readonly failed: (error: unknown) => void;
}

export type SchedulerConf = QmgrConf & {
  readonly delay_logging_resolution_limit: number;
  readonly recipient_delimiter: string;
  readonly double_bounce_sender: string;
  readonly soft_bounce: boolean;
};

export type Notifications = Settlement["notifications"];

/**
 * failure  given up: refused for good, or too old
 * delay    late, and still being tried
 * success  delivered, where that was asked for
 */
export interface NotificationDue {
  readonly kind: "failure" | "delay" | "success";
  readonly envelope: Envelope;
  readonly results: readonly RecipientResult[];
  readonly body: BodyReader;
}

export function errorText(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
