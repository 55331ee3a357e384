import type { Envelope } from "../queue/message.ts";

/** The log line for a recipient that no transport was asked to deliver to. */
export interface UntriedLine {
  readonly envelope: Envelope;
  readonly index: number;
  readonly status: "deferred" | "bounced" | "sent" | "SOFTBOUNCE";
  readonly dsn: string;
  readonly reason: string;
  readonly now_ms: number;
  /** How long it has been in the active set. */
  readonly inActive_ms: number;
  /** delay_logging_resolution_limit. */
  readonly digits: number;
}

/** `ID: to=<…>, relay=none, delay=…, delays=a/b/0/0, dsn=…, status=deferred (…)` */
export function untriedLine(line: UntriedLine): string {
  const { envelope, index, status, dsn, reason, now_ms, inActive_ms, digits } = line;
  const recipient = envelope.recipients[index];
  const address = recipient?.address ?? "";
  const original = recipient?.original ?? "";
  const orig = original !== "" && original.toLowerCase() !== address.toLowerCase() ? `, orig_to=<${original}>` : "";
  const total = Math.max(0, now_ms - envelope.arrival_ms);
  const before = Math.max(0, total - inActive_ms);
  const seconds = (value_ms: number) => formatSeconds(value_ms, digits);
  return (
    `${envelope.id}: to=<${address}>${orig}, relay=none, delay=${seconds(total)}, ` +
    `delays=${seconds(before)}/${seconds(inActive_ms)}/0/0, dsn=${dsn}, status=${status} (${reason})`
  );
}

/**
 * Seconds with two significant digits, at most `digits` of them behind the
 * point, and no trailing zeros: 0.03, 0.5, 1.2, 15, 86400.
 */
export function formatSeconds(value_ms: number, digits: number): string {
  let seconds = Math.floor(value_ms / 1000);
  let micros = Math.floor((value_ms - seconds * 1000) * 1000);
  let resolution = 10 ** (6 - digits);
  if (resolution < 1e6) {
    if (seconds > 0) {
      let scale = 1;
      while (seconds >= scale && scale <= 10) scale *= 10;
      resolution = Math.max(resolution, 1e4 * scale);
    } else {
      while (micros >= 100 * resolution) resolution *= 10;
    }
  }
  if (resolution > 1) {
    micros += resolution / 2;
    if (micros >= 1e6) {
      seconds++;
      micros -= 1e6;
    }
  }
  if (micros < resolution) return String(seconds);
  let text = `${seconds}.`;
  for (let unit = 1e5; micros >= resolution && unit >= 1; unit /= 10) {
    text += Math.floor(micros / unit);
    micros %= unit;
  }
  return text;
}
