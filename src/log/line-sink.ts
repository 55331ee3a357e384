import type { Clock } from "../runtime/clock.ts";
import type { LogRecord } from "./log.ts";

/** How much text may wait for a slow disk before lines are dropped (and counted). */
const backlogLimit_chars = 8 * 1024 * 1024;

/** Lines are gathered this long, so that a busy second costs tens of writes and not thousands. */
const gather_ms = 20;

/** Where complete lines go. Resolves when they are out of our hands. */
export type LineWriter = (lines: string) => Promise<void>;

/**
 * Hands log lines on in batches, in order.
 *
 * Logging never fails and never blocks: where they cannot be written, lines are dropped,
 * and their number is written once they can again.
 */
export class LineSink {
  #writer: LineWriter;
  readonly #clock: Pick<Clock, "now" | "after">;
  readonly #form: (record: LogRecord) => string;
  #waiting = "";
  #dropped = 0;
  #writing: Promise<void> | undefined;
  #scheduled = false;
  /** In whose name the number of dropped lines is told. */
  #last: LogRecord | undefined;

  constructor(writer: LineWriter, clock: Pick<Clock, "now" | "after">, form: (record: LogRecord) => string) {
    this.#writer = writer;
    this.#clock = clock;
    this.#form = form;
  }

  readonly write = (record: LogRecord): void => {
    this.#last = record;
    this.append(this.#form(record));
  };

  /** Complete lines, formed elsewhere. */
  append(lines: string): void {
    if (this.#waiting.length > backlogLimit_chars) {
      this.#dropped += count(lines);
      return;
    }
    this.#waiting += lines;
    if (this.#scheduled || this.#writing) return;
    this.#scheduled = true;
    this.#clock.after(gather_ms, () => {
      this.#scheduled = false;
      this.#drain();
    });
  }

  /** Resolves when all that was logged before has been handed on, or dropped. */
  async flush(): Promise<void> {
    while (this.#waiting || this.#writing) {
      this.#drain();
      await this.#writing;
    }
  }

  /** Another writer from now on; the old one gets what was logged before. */
  async change(writer: LineWriter): Promise<void> {
    await this.flush();
    this.#writer = writer;
  }

  #drain(): void {
    if (this.#writing || !this.#waiting) return;
    const lines = this.#waiting;
    this.#waiting = "";
    this.#writing = this.#writer(lines).then(
      () => this.#wrote(undefined),
      () => this.#wrote(lines),
    );
  }

  #wrote(lost: string | undefined): void {
    this.#writing = undefined;
    if (lost !== undefined) this.#dropped += count(lost);
    else if (this.#dropped > 0) this.#tellDropped();
    if (this.#waiting) this.#drain();
  }

  #tellDropped(): void {
    const text = `${this.#dropped} log lines could not be written`;
    this.#waiting += this.#last
      ? this.#form({ ...this.#last, time_ms: this.#clock.now(), level: "warning", text })
      : `(${text})\n`;
    this.#dropped = 0;
  }
}

const count = (lines: string): number => lines.split("\n").length - 1;
