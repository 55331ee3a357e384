import type { RecipientResult } from "../queue/delivery.ts";
import type { Envelope } from "../queue/message.ts";
import type { BounceConf } from "./params.ts";
import type { Kind } from "./templates.ts";

/** One notification that is to be written. */
export interface Planned {
  readonly kind: Kind;
  /** "" or the double-bounce sender. */
  readonly sender: string;
  readonly to: string;
  readonly results: readonly RecipientResult[];
  /** How much of the original comes back. */
  readonly original: "FULL" | "HDRS";
  /** For the postmaster: another subject, no polite words. */
  readonly copy: boolean;
  /** As the log calls it. */
  readonly name: string;
}

export interface Plan {
  readonly planned: readonly Planned[];
  /** Said in the log when nobody is told. */
  readonly remark?: { readonly level: "info" | "warning"; readonly text: string };
}

const names = {
  failure: "non-delivery notification",
  delay: "delay notification",
  success: "delivery status notification",
} as const;

/**
 * Who is told of what (RFC 3461 section 4.1, RFC 5321 section 6.1). The null
 * sender is never answered, except, where notify_classes asks for it, to the
 * postmaster from the double-bounce sender; and that one is never answered at all.
 */
export function plan(kind: Kind, envelope: Envelope, results: readonly RecipientResult[], conf: BounceConf): Plan {
  if (envelope.sender.toLowerCase() === doubleBounceSender(conf).toLowerCase())
    return { planned: [], remark: endOfTheLine(kind) };
  if (envelope.sender === "") return unanswered(kind, results, conf);
  const wanted = results.filter(({ index }) => wants(kind, envelope, index));
  const original = kind === "failure" ? (envelope.ret ?? "FULL") : "HDRS";
  const planned: Planned[] = [];
  if (wanted.length > 0) {
    const name = `sender ${names[kind]}`;
    planned.push({ kind, sender: "", to: envelope.sender, results: wanted, original, copy: false, name });
  }
  const copyTo = copyRecipient(kind, conf);
  if (copyTo) planned.push({ ...toPostmaster(kind, copyTo, results, conf), original: "HDRS" });
  return { planned };
}

export function doubleBounceSender({ double_bounce_sender, myhostname }: BounceConf): string {
  return double_bounce_sender.includes("@") ? double_bounce_sender : `${double_bounce_sender}@${myhostname}`;
}

function endOfTheLine(kind: Kind): NonNullable<Plan["remark"]> {
  return kind === "success"
    ? { level: "info", text: "not sending trace/success notification for double-bounce message" }
    : { level: "warning", text: "undeliverable postmaster notification discarded" };
}

function unanswered(kind: Kind, results: readonly RecipientResult[], conf: BounceConf): Plan {
  const has = (name: BounceConf["notify_classes"][number]) => conf.notify_classes.includes(name);
  const twice = conf["2bounce_notice_recipient"];
  if (kind === "failure") {
    return { planned: has("bounce") || has("2bounce") ? [toPostmaster(kind, twice, results, conf)] : [] };
  }
  if (kind === "delay") {
    return { planned: has("delay") ? [toPostmaster(kind, conf.delay_notice_recipient, results, conf)] : [] };
  }
  if (!has("2bounce")) {
    return {
      planned: [],
      remark: { level: "info", text: "not sending trace/success notification for single-bounce message" },
    };
  }
  const name = `sender ${names[kind]}`;
  return { planned: [{ ...toPostmaster(kind, twice, results, conf), original: "HDRS", copy: false, name }] };
}

function toPostmaster(kind: Kind, to: string, results: readonly RecipientResult[], conf: BounceConf): Planned {
  const name = `postmaster ${names[kind]}`;
  return { kind, sender: doubleBounceSender(conf), to, results, original: "FULL", copy: true, name };
}

function copyRecipient(kind: Kind, conf: BounceConf): string | undefined {
  if (kind === "failure" && conf.notify_classes.includes("bounce")) return conf.bounce_notice_recipient;
  if (kind === "delay" && conf.notify_classes.includes("delay")) return conf.delay_notice_recipient;
  return undefined;
}

/** Success was looked at by whoever knows the transport. */
function wants(kind: Kind, envelope: Envelope, index: number): boolean {
  const notify = envelope.recipients[index]?.notify;
  if (kind === "success" || notify === undefined) return true;
  return notify.includes(kind === "failure" ? "FAILURE" : "DELAY");
}
