import type { Values } from "../conf/param.ts";
import type { Envelope } from "../queue/message.ts";
import type { qmgrParams } from "./params.ts";

/** When a message is tried again, and when it has been tried long enough. Pure: times are handed in. */

type BackoffConf = Pick<Values<typeof qmgrParams>, "minimal_backoff_time" | "maximal_backoff_time">;
type LifetimeConf = Pick<Values<typeof qmgrParams>, "maximal_queue_lifetime" | "bounce_queue_lifetime">;

/**
 * The delay until the next attempt, in milliseconds: the message's age, kept
 * between minimal_backoff_time and maximal_backoff_time. It grows with age and
 * not with the number of attempts, so a reload does not make a message start
 * over. A clock that went back counts as no age. (RFC 5321 section 4.5.4.1)
 */
export function backoff_ms(arrival_ms: number, now_ms: number, conf: BackoffConf): number {
  const age_ms = Math.max(0, now_ms - arrival_ms);
  return Math.max(Math.min(age_ms, conf.maximal_backoff_time * 1000), conf.minimal_backoff_time * 1000);
}

/** Has it been here for its whole lifetime? Notifications (the null sender) have their own. */
export function isExpired(
  envelope: Pick<Envelope, "sender" | "arrival_ms">,
  now_ms: number,
  conf: LifetimeConf,
): boolean {
  const lifetime_s = envelope.sender === "" ? conf.bounce_queue_lifetime : conf.maximal_queue_lifetime;
  return now_ms >= envelope.arrival_ms + lifetime_s * 1000;
}

/** Is a "delayed mail" warning due? Once a message, and only where delay_warning_time is set. */
export function isWarningDue(
  envelope: Pick<Envelope, "arrival_ms" | "warned">,
  now_ms: number,
  conf: Pick<Values<typeof qmgrParams>, "delay_warning_time">,
): boolean {
  const after_ms = conf.delay_warning_time * 1000;
  return after_ms > 0 && !envelope.warned && now_ms >= envelope.arrival_ms + after_ms;
}
