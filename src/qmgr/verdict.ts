import type { Log } from "../log/log.ts";
import type { NextHop, RecipientResult } from "../queue/delivery.ts";
import type { Clock } from "../runtime/clock.ts";

/** What is decided about a recipient without asking a transport. */
export interface Verdict {
  readonly status: "deferred" | "bounced" | "sent";
  readonly dsn: string;
  readonly reason: string;
  /** As logged: SOFTBOUNCE is a bounce that soft_bounce turned into a deferral. */
  readonly logged: "deferred" | "bounced" | "sent" | "SOFTBOUNCE";
}

/**
 * A service of master.cf that hands its mail to nobody.
 *   error        returns it, with the next hop as the text
 *   retry        defers it, the same way
 *   discard      takes it for delivered
 *   unavailable  defers it: there is no such service here
 */
export type Untried =
  | { readonly kind: "error" | "retry" | "discard" }
  | { readonly kind: "unavailable"; readonly why: string };

/** Those that there are in any case. */
export const builtInUntried: ReadonlyMap<string, Untried> = new Map([
  ["error", { kind: "error" }],
  ["retry", { kind: "retry" }],
  ["discard", { kind: "discard" }],
]);

interface UntriedOptions {
  /** By the service's name; what is neither here nor in `transports` is unavailable. */
  readonly services: ReadonlyMap<string, Untried>;
  readonly transports: { has(name: string): boolean };
  readonly softBounce: boolean;
  /** How often it is said that a transport does not exist: transport_retry_time. */
  readonly sayAgain_ms: number;
  readonly clock: Clock;
  readonly log: Log;
}

const mostNames = 1000;

/** Which next hops lead to nobody, and what becomes of mail for them. */
export class UntriedHops {
  readonly #options: UntriedOptions;
  /** Monotonic, by transport: nothing is said before. */
  readonly #silentUntil_ms = new Map<string, number>();

  constructor(options: UntriedOptions) {
    this.#options = options;
  }

  includes({ transport }: NextHop): boolean {
    return this.#options.services.has(transport) || !this.#options.transports.has(transport);
  }

  /** Of a hop that is included. A name that master.cf does not know is logged. */
  verdict(hop: NextHop): Verdict {
    const service = this.#options.services.get(hop.transport);
    switch (service?.kind) {
      case "error":
        return this.#bounce(hop.nexthop);
      case "retry":
        return deferral(...split(hop.nexthop, "4"));
      case "discard": {
        const [dsn, reason] = split(hop.nexthop, "2");
        return { status: "sent", logged: "sent", dsn, reason };
      }
      case "unavailable":
        return deferral("4.3.0", `mail transport unavailable: ${service.why}`);
      default:
        this.#say(hop.transport);
        return deferral("4.3.0", "mail transport unavailable");
    }
  }

  #bounce(text: string): Verdict {
    return this.refusal(...split(text, "5"));
  }

  /** `dsn` of class 5; with soft_bounce it is put off. */
  refusal(dsn: string, reason: string): Verdict {
    if (!this.#options.softBounce) return { status: "bounced", logged: "bounced", dsn, reason };
    return { status: "deferred", logged: "SOFTBOUNCE", dsn: `4${dsn.slice(1)}`, reason };
  }

  #say(transport: string): void {
    const now_ms = this.#options.clock.monotonic();
    if ((this.#silentUntil_ms.get(transport) ?? 0) > now_ms) return;
    if (this.#silentUntil_ms.size >= mostNames) this.#silentUntil_ms.clear();
    this.#silentUntil_ms.set(transport, now_ms + this.#options.sayAgain_ms);
    this.#options.log.warning(`connect to transport private/${transport}: No such file or directory`);
  }
}

/** "5.1.1 no such user here": an enhanced status code is taken from the text where it stands at the beginning and suits. */
function split(text: string, digit: "2" | "4" | "5"): [dsn: string, reason: string] {
  const [, code, rest = ""] = /^\s*(?:([245]\.\d{1,3}\.\d{1,3})(?=\s|$))?\s*(.*)$/s.exec(text) ?? [];
  return [code?.startsWith(digit) ? code : `${digit}.0.0`, rest];
}

export function deferral(dsn: string, reason: string): Verdict {
  return { status: "deferred", dsn, reason, logged: "deferred" };
}

export function resultOf(verdict: Verdict, index: number): RecipientResult {
  const { status, dsn, reason } = verdict;
  const result = { index, status, dsn, reason, remoteHost: "", remoteReply: undefined };
  return status === "sent" ? { ...result, reports: "delivered" } : result;
}
