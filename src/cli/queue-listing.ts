import type { QueueEntry } from "../queue/store.ts";

/**
 * The queue as mailq prints it, and as `postqueue -j` does. Columns are those that
 * Postfix has for long queue ids, since ours are longer than its short ones.
 */
export class QueueListing {
  readonly #zoneOffset_min: (time_ms: number) => number;
  #count = 0;
  #size_bytes = 0;

  constructor(zoneOffset_min: (time_ms: number) => number) {
    this.#zoneOffset_min = zoneOffset_min;
  }

  /** One message's lines, the heading before the first. */
  entry({ queue, envelope }: QueueEntry): string {
    const mark = `${queue === "active" ? "*" : queue === "hold" ? "!" : ""}${envelope.expired ? "#" : ""}`;
    const size = String(envelope.size_bytes).padStart(8);
    const date = this.#date(envelope.arrival_ms).padStart(19);
    const sender = printed(envelope.sender || "MAILER-DAEMON");
    const lines = [this.#count === 0 ? heading : "", `${`${envelope.id}${mark}`.padEnd(17)} ${size} ${date} ${sender}`];
    let reason = "";
    for (const recipient of envelope.recipients) {
      if (recipient.status !== "pending") continue;
      if ((recipient.reason ?? "") !== reason) {
        reason = recipient.reason ?? "";
        lines.push(`(${printed(reason || "reason unavailable")})`.padStart(78));
      }
      lines.push(`${" ".repeat(47)}${printed(recipient.address)}`);
    }
    this.#count++;
    this.#size_bytes += envelope.size_bytes;
    return `${lines.join("\n")}\n`;
  }

  /** The last line. */
  summary(): string {
    if (this.#count === 0) return "Mail queue is empty\n";
    const kilobytes = Math.floor(this.#size_bytes / 1024);
    return `\n-- ${kilobytes} Kbytes in ${this.#count} Request${this.#count === 1 ? "" : "s"}.\n`;
  }

  /** "Mon Nov 23 04:26:31" */
  #date(time_ms: number): string {
    const local = new Date(time_ms + this.#zoneOffset_min(time_ms) * 60_000);
    const [weekday, day, month] = local.toUTCString().split(/[ ,]+/);
    return `${weekday} ${month} ${String(Number(day)).padStart(2)} ${local.toISOString().slice(11, 19)}`;
  }
}

const heading = "----Queue ID----- --Size-- ---Arrival Time---- --Sender/Recipient------";

/** One JSON object on one line (postqueue(1), -j). */
export function jsonEntry({ queue, envelope }: QueueEntry): string {
  const recipients = envelope.recipients
    .filter(({ status }) => status === "pending")
    .map(({ address, original, reason }) => ({
      ...(original === address ? {} : { orig_address: original }),
      address,
      ...(reason ? { delay_reason: reason } : {}),
    }));
  const entry = {
    queue_name: queue,
    queue_id: envelope.id,
    arrival_time: Math.floor(envelope.arrival_ms / 1000),
    message_size: envelope.size_bytes,
    forced_expire: envelope.expired,
    sender: envelope.sender || "MAILER-DAEMON",
    recipients,
  };
  return `${spaced(JSON.stringify(entry))}\n`;
}

/** Postfix puts a space behind each colon and comma between values; programs that cut lines apart may rely on it. */
function spaced(json: string): string {
  return json.replaceAll(
    /("(?:[^"\\]|\\.)*")|([,:])/g,
    (_whole, text: string | undefined, mark: string) => text ?? `${mark} `,
  );
}

const printed = (text: string): string => text.replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, "?");
