import { bool, int, list, type Params, time, type Values } from "../conf/param.ts";
import { feedback } from "./feedback.ts";

/** What the scheduler reads, for all transports. */
export const qmgrParams = {
  qmgr_message_active_limit: int({
    default: "20000",
    min: 1,
    since: "0.1",
    doc: "How many messages are in memory for delivery at once. What is beyond waits in the queue on disk.",
  }),
  qmgr_message_recipient_limit: int({
    default: "20000",
    min: 1,
    since: "0.1",
    doc: "How many recipients of messages with many recipients are in memory for delivery at once, by one message more. Messages of up to qmgr_message_recipient_minimum recipients do not count.",
  }),
  qmgr_message_recipient_minimum: int({
    default: "10",
    min: 1,
    since: "0.1",
    doc: "A message with up to this many recipients is taken into memory even while qmgr_message_recipient_limit is reached, so that large mailings do not keep small messages waiting.",
  }),
  default_extra_recipient_limit: int({
    default: "1000",
    min: 0,
    since: "0.1",
    doc: "How many recipients more are in memory while qmgr_message_recipient_limit is reached, of messages with up to a quarter of this number: so that a very large mailing does not keep middling ones waiting. It holds for all transports together; TRANSPORT_extra_recipient_limit is not looked at.",
  }),
  minimal_backoff_time: time({
    default: "300s",
    min: 1,
    since: "0.1",
    doc: "The least time between two attempts for one message, and how long deliveries to a destination that does not work are suspended.",
  }),
  maximal_backoff_time: time({
    default: "4000s",
    min: 1,
    since: "0.1",
    doc: "The longest time between two attempts for one message. In between, a message waits for as long as it has been in the queue already.",
  }),
  queue_run_delay: time({
    default: "300s",
    min: 1,
    since: "0.1",
    doc: "The queue is looked through for messages that are due at least this often. Postern also wakes up when the next one falls due.",
  }),
  maximal_queue_lifetime: time({
    default: "5d",
    unit: "d",
    min: 0,
    max: 8640000,
    since: "0.1",
    doc: "How long a message is tried before it is returned to its sender. A bare number counts days; 0 allows one attempt.",
  }),
  bounce_queue_lifetime: time({
    default: "5d",
    unit: "d",
    min: 0,
    max: 8640000,
    since: "0.1",
    doc: "How long a notification (a message from the null sender) is tried before it is given up. A bare number counts days.",
  }),
  initial_destination_concurrency: int({
    default: "5",
    min: 1,
    since: "0.1",
    doc: "How many deliveries to one destination are begun at once before anything is known of it. TRANSPORT_initial_destination_concurrency sets it for one transport.",
  }),
  default_destination_concurrency_limit: int({
    default: "20",
    min: 0,
    since: "0.1",
    doc: "The most deliveries to one destination at once; 0 for no limit. TRANSPORT_destination_concurrency_limit sets it for one transport.",
  }),
  default_destination_recipient_limit: int({
    default: "50",
    min: 0,
    since: "0.1",
    doc: "The most recipients of one message in one delivery; 0 for no limit. With 1, the limits for a destination hold for each recipient instead. TRANSPORT_destination_recipient_limit sets it for one transport.",
  }),
  default_destination_concurrency_failed_cohort_limit: int({
    default: "1",
    min: 0,
    since: "0.1",
    doc: "After how many rounds of failed deliveries (as many as were allowed at once) a destination is suspended; 0 for never. TRANSPORT_destination_concurrency_failed_cohort_limit sets it for one transport.",
  }),
  default_destination_concurrency_positive_feedback: feedback({
    default: "1",
    since: "0.1",
    doc: "By how much a delivery that works raises a destination's concurrency: a number from 0 to 1, 1/concurrency or 1/sqrt_concurrency. TRANSPORT_destination_concurrency_positive_feedback sets it for one transport.",
  }),
  default_destination_concurrency_negative_feedback: feedback({
    default: "1",
    since: "0.1",
    doc: "By how much a delivery that fails lowers a destination's concurrency, written as for the positive feedback. TRANSPORT_destination_concurrency_negative_feedback sets it for one transport.",
  }),
  default_destination_rate_delay: time({
    default: "0s",
    min: 0,
    since: "0.1",
    doc: "A pause between two deliveries to one destination, which are then made one at a time. TRANSPORT_destination_rate_delay sets it for one transport.",
  }),
  default_transport_rate_delay: time({
    default: "0s",
    min: 0,
    since: "0.1",
    doc: "A pause between two deliveries over one transport, whatever their destinations, which are then made one at a time. TRANSPORT_transport_rate_delay sets it for one transport.",
  }),
  in_flow_delay: time({
    default: "1s",
    min: 0,
    max: 10,
    since: "0.1",
    doc: "How long a message on its way in may be made to wait, before it is acknowledged, while there are four fifths of qmgr_message_active_limit in memory; it waits no longer once a message has gone out for it. 0 for not at all.",
  }),
  transport_retry_time: time({
    default: "60s",
    min: 1,
    since: "0.1",
    doc: "The least time between two warnings that a transport does not exist. Its mail is put off each time that it falls due.",
  }),
  defer_transports: list({
    default: "",
    since: "0.1",
    doc: "Transports whose mail is kept until the queue is flushed.",
  }),
  delay_warning_time: time({
    default: "0h",
    unit: "h",
    min: 0,
    since: "0.1",
    doc: "After how long the sender is told, once, that a message is late; 0 for never. A bare number counts hours.",
  }),
  confirm_delay_cleared: bool({
    default: "no",
    since: "0.1",
    doc: "Tell a sender who got a delay warning when the message has been delivered after all.",
  }),
  qmgr_clog_warn_time: time({
    default: "300s",
    min: 0,
    since: "0.1",
    doc: "The least time between two warnings that one destination takes up much of the active queue; 0 for no warnings.",
  }),
} as const;

/**
 * What can be set for one transport: its name, an underscore, then this. The
 * defaults are those of qmgrParams, whatever they are set to.
 */
export const transportParams = {
  initial_destination_concurrency: qmgrParams.initial_destination_concurrency,
  destination_concurrency_limit: qmgrParams.default_destination_concurrency_limit,
  destination_recipient_limit: qmgrParams.default_destination_recipient_limit,
  destination_concurrency_failed_cohort_limit: qmgrParams.default_destination_concurrency_failed_cohort_limit,
  destination_concurrency_positive_feedback: qmgrParams.default_destination_concurrency_positive_feedback,
  destination_concurrency_negative_feedback: qmgrParams.default_destination_concurrency_negative_feedback,
  destination_rate_delay: qmgrParams.default_destination_rate_delay,
  transport_rate_delay: qmgrParams.default_transport_rate_delay,
} as const satisfies Params;

export type QmgrConf = Values<typeof qmgrParams>;
