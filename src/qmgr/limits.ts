import type { Param } from "../conf/param.ts";
import type { ConcurrencyLimits } from "./concurrency.ts";
import { type QmgrConf, transportParams } from "./params.ts";

/** What holds for one transport, and for every destination of it. */
export interface TransportLimits {
  readonly concurrency: ConcurrencyLimits;
  /** Recipients in one delivery; Infinity for no limit. */
  readonly recipients: number;
  /** Pause after each delivery to one destination. */
  readonly rateDelay_ms: number;
  /** Pause after each delivery over the transport, whatever the destination. */
  readonly transportDelay_ms: number;
}

/** The expanded text of `TRANSPORT_SUFFIX`; undefined or "" where it is not set. */
export type TransportValue = (transport: string, suffix: keyof typeof transportParams) => string | undefined;

/**
 * The limits of a transport: its own parameters, or else the common ones.
 * Throws ParamError for a value that does not parse; the configuration's check
 * has reported that long before.
 */
export function transportLimits(transport: string, conf: QmgrConf, value: TransportValue): TransportLimits {
  const own = <T>(suffix: keyof typeof transportParams, param: Param<T>, common: T): T => {
    const text = value(transport, suffix);
    return text === undefined || text === "" ? common : param.parse(text);
  };
  const p = transportParams;
  const rateDelay_s = own("destination_rate_delay", p.destination_rate_delay, conf.default_destination_rate_delay);
  const transportDelay_s = own("transport_rate_delay", p.transport_rate_delay, conf.default_transport_rate_delay);
  const recipients = own(
    "destination_recipient_limit",
    p.destination_recipient_limit,
    conf.default_destination_recipient_limit,
  );
  const configured = own(
    "destination_concurrency_limit",
    p.destination_concurrency_limit,
    conf.default_destination_concurrency_limit,
  );
  const limit = rateDelay_s > 0 ? 1 : configured;
  const initial = own(
    "initial_destination_concurrency",
    p.initial_destination_concurrency,
    conf.initial_destination_concurrency,
  );
  return {
    recipients: recipients === 0 ? Number.POSITIVE_INFINITY : recipients,
    rateDelay_ms: rateDelay_s * 1000,
    transportDelay_ms: transportDelay_s * 1000,
    concurrency: {
      limit,
      initial: limit !== 0 ? Math.min(initial, limit) : initial,
      failedCohorts: own(
        "destination_concurrency_failed_cohort_limit",
        p.destination_concurrency_failed_cohort_limit,
        conf.default_destination_concurrency_failed_cohort_limit,
      ),
      positive: own(
        "destination_concurrency_positive_feedback",
        p.destination_concurrency_positive_feedback,
        conf.default_destination_concurrency_positive_feedback,
      ),
      negative: own(
        "destination_concurrency_negative_feedback",
        p.destination_concurrency_negative_feedback,
        conf.default_destination_concurrency_negative_feedback,
      ),
    },
  };
}
