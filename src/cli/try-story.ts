/** What the log says of a message, told to somebody who does not read logs. */
import type { FollowedLine } from "../relay/follow.ts";
import { type LogAttempt, parseAttempt } from "./log-story.ts";

/** What has become of one recipient, the last word so far. */
export type Fate = Omit<LogAttempt, "time">;

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
    const fate = parseAttempt(text);
    if (!fate) return false;
    this.#fates.set(fate.recipient, fate);
    const over = fate.relay === "none" ? "" : ` by ${fate.relay}`;
    switch (fate.status) {
      case "sent":
        this.#tell(`<${fate.recipient}> accepted${over}: ${fate.reason}`);
        break;
      case "deferred":
        this.#tell(`<${fate.recipient}> deferred${over}: ${fate.reason}`);
        break;
      default:
        this.#tell(`<${fate.recipient}> refused for good${over}: ${fate.reason}`);
    }
    return true;
  }

  #remark(service: string, text: string): void {
    if (/^(?:uid=|client=|from=)/.test(text)) return;
    this.#tell(service === "smtp" ? `another host was tried first: ${text}` : text);
  }
}
