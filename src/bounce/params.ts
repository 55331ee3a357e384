import { int, text, type Values, words } from "../conf/param.ts";
import type { globalParams } from "../conf/params.ts";

/** What delivery status notifications depend on. */
export const bounceParams = {
  bounce_size_limit: int({
    default: "50000",
    min: 0,
    since: "0.1",
    doc: "Of a message larger than this, in bytes, a notification carries the header only; 0 for no limit.",
  }),
  notify_classes: words({
    of: ["bounce", "2bounce", "data", "delay", "policy", "protocol", "resource", "software"],
    default: "resource, software",
    since: "0.1",
    doc: "What the postmaster is told of: bounce for copies of notifications about failures, 2bounce for notifications that could not be delivered, delay for copies of delay warnings. Without bounce and 2bounce, undeliverable notifications end in the log. The other classes are accepted and have no effect.",
  }),
  bounce_notice_recipient: text({
    default: "postmaster",
    since: "0.1",
    doc: "Who gets copies of notifications about failures (notify_classes: bounce).",
  }),
  "2bounce_notice_recipient": text({
    default: "postmaster",
    since: "0.1",
    doc: "Who gets notifications that could not be delivered (notify_classes: 2bounce).",
  }),
  delay_notice_recipient: text({
    default: "postmaster",
    since: "0.1",
    doc: "Who gets copies of delay warnings (notify_classes: delay).",
  }),
  double_bounce_sender: text({
    default: "double-bounce",
    since: "0.1",
    doc: "The sender of mail to the postmaster. What cannot be delivered from this sender is discarded, so that notifications never go round in circles.",
  }),
} as const;

export type BounceConf = Values<typeof bounceParams> &
  Pick<Values<typeof globalParams>, "myhostname" | "myorigin" | "mail_name" | "smtputf8_enable"> & {
    /** Seconds. */
    readonly delay_warning_time: number;
    readonly maximal_queue_lifetime: number;
  };
