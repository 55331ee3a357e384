import type { NextHop, RecipientResult } from "../queue/delivery.ts";

/** What is decided about a recipient without asking a transport. */
export interface Verdict {
  readonly status: "deferred" | "bounced" | "sent";
  readonly dsn: string;
  readonly reason: string;
  /** As logged: SOFTBOUNCE is a bounce that soft_bounce turned into a deferral. */
  readonly logged: "deferred" | "bounced" | "sent" | "SOFTBOUNCE";
}

/** The transports that deliver nothing: `error:` bounces with its next hop as the text, `retry:` defers. */
export function isVerdict(hop: NextHop): boolean {
  return hop.transport === "error" || hop.transport === "retry";
}

/** "5.1.1 no such user here": an enhanced status code is taken from the text where it stands at the beginning and suits. */
export function verdictOf(hop: NextHop, softBounce: boolean): Verdict {
  const [, code, rest] = /^\s*(?:([245]\.\d{1,3}\.\d{1,3})(?=\s|$))?\s*(.*)$/s.exec(hop.nexthop) ?? [];
  const reason = rest || "delivery not possible";
  if (hop.transport === "retry") return deferral(code?.startsWith("4") ? code : "4.0.0", reason);
  const dsn = code?.startsWith("5") ? code : "5.0.0";
  if (softBounce) return { status: "deferred", dsn: `4${dsn.slice(1)}`, reason, logged: "SOFTBOUNCE" };
  return { status: "bounced", dsn, reason, logged: "bounced" };
}

export function deferral(dsn: string, reason: string): Verdict {
  return { status: "deferred", dsn, reason, logged: "deferred" };
}

export function resultOf(verdict: Verdict, index: number): RecipientResult {
  const { status, dsn, reason } = verdict;
  return { index, status, dsn, reason, remoteHost: "", remoteReply: undefined };
}
