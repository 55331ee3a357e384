import type { Level, LogRecord } from "./log.ts";

/**
 * A record as Postfix writes it to a maillog_file:
 * `Nov 23 04:26:31 host postfix/smtp[123]: warning: text`.
 *
 * Control characters are replaced by "?" (Postfix: printable()), so that nothing
 * that came over the network can begin a line of its own or steer a terminal.
 */
export class PostfixForm {
  readonly #host: string;
  readonly #zoneOffset_min: (time_ms: number) => number;
  #second = -1;
  #stamp = "";

  constructor(host: string, zoneOffset_min: (time_ms: number) => number) {
    this.#host = host;
    this.#zoneOffset_min = zoneOffset_min;
  }

  line(record: LogRecord): string {
    return `${this.stamp(record.time_ms)} ${this.#host} ${labelled(record)}\n`;
  }

  /** "Nov 23 04:26:31" in local time. Kept while the second lasts: there may be thousands of lines in one. */
  stamp(time_ms: number): string {
    const second = Math.floor(time_ms / 1000);
    if (second !== this.#second) {
      this.#second = second;
      const local = new Date(time_ms + this.#zoneOffset_min(time_ms) * 60_000);
      const day = String(local.getUTCDate()).padStart(2, " ");
      this.#stamp = `${months[local.getUTCMonth()]} ${day} ${local.toISOString().slice(11, 19)}`;
    }
    return this.#stamp;
  }
}

const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** "postfix/smtp[123]: warning: text" */
export function labelled({ tag, service, slot, level, text }: LogRecord): string {
  return `${tag}/${service}[${slot}]: ${labels[level]}${printable(text)}`;
}

const labels: Readonly<Record<Level, string>> = {
  debug: "",
  info: "",
  warning: "warning: ",
  error: "error: ",
  fatal: "fatal: ",
  panic: "panic: ",
};

const unprintable = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/;

export function printable(text: string): string {
  return unprintable.test(text) ? text.replaceAll(new RegExp(unprintable, "g"), "?") : text;
}
