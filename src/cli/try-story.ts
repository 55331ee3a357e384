/** What the log says of a message, told to somebody who does not read logs. */
import type { FollowedLine } from "../relay/follow.ts";

/** What has become of one recipient, the last word so far. */
export interface Fate {
  readonly recipient: string;
  readonly status: "sent" | "deferred" | "bounced";
  readonly relay: string;
  readonly dsn: string;
  /** What was said: "250 2.0.0 Ok", "host … said: 451 …". */
  readonly text: string;
}

export class Story {
  readonly #tell: (text: string) => void;
  readonly #fates = new Map<string, Fate>();
  /** Known when the message is in the queue. */
  id: string | undefined;
  left = false;

  constructor(tell: (text: string) => void) {
    this.#tell = tell;
  }

  get fates(): readonly Fate[] {
    return [...this.#fates.values()];
  }

  line({ id, service, text }: FollowedLine): void {
    this.id = id;
    if (text.startsWith("message-id=")) this.#tell(`taken into the queue as ${id}`);
    else if (text === "removed") this.left = true;
    else if (/^from=<.*queue active/.test(text)) this.#tell("handed to the scheduler");
    else this.#delivery(text) || this.#remark(service, text);
  }

  #delivery(text: string): boolean {
    const fate = deliveryLine(text);
    if (!fate) return false;
    this.#fates.set(fate.recipient, fate);
    const over = fate.relay === "none" ? "" : ` by ${fate.relay}`;
    switch (fate.status) {
      case "sent":
        this.#tell(`<${fate.recipient}> accepted${over}: ${fate.text}`);
        break;
      case "deferred":
        this.#tell(`<${fate.recipient}> deferred${over}: ${fate.text}`);
        break;
      default:
        this.#tell(`<${fate.recipient}> refused for good${over}: ${fate.text}`);
    }
    return true;
  }

  #remark(service: string, text: string): void {
    if (/^(?:uid=|client=|from=)/.test(text)) return;
    this.#tell(service === "smtp" ? `another host was tried first: ${text}` : text);
  }
}

/** The fields of "to=<a@b>, relay=…, delay=…, delays=…, dsn=2.0.0, status=sent (…)"; undefined for other lines. */
export function deliveryLine(text: string): Fate | undefined {
  const found = /^to=<(.*?)>, (?:orig_to=<.*?>, )?relay=(.*?), .*?dsn=(\d\.\d+\.\d+), status=(\w+) \((.*)\)$/s.exec(
    text,
  );
  const [, recipient = "", relay = "", dsn = "", status = "", said = ""] = found ?? [];
  if (status !== "sent" && status !== "deferred" && status !== "bounced") return undefined;
  return { recipient, relay, dsn, status, text: said };
}
