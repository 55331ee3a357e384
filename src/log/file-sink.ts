import type { Clock } from "../runtime/clock.ts";
import type { OpenFile } from "../runtime/files.ts";
import type { LogRecord } from "./log.ts";

/** How much text may wait for a slow disk before lines are dropped (and counted). */
const backlogLimit_chars = 8 * 1024 * 1024;

/** Lines are gathered this long, so that a busy second costs tens of writes and not thousands. */
const gather_ms = 20;

/**
 * Writes log lines to an open file (or standard output) in batches, in order.
 *
 * Logging never fails and never blocks: where the file cannot take more, lines
 * are dropped, and their number is written once it can again. `reopen` follows a
 * rotation; the old file gets what was logged before.
 */
export class FileSink {
  #file: OpenFile;
  readonly #clock: Clock;
  readonly #form: (record: LogRecord) => string;
  #waiting = "";
  #dropped = 0;
  #writing: Promise<void> | undefined;
  #scheduled = false;

  constructor(file: OpenFile, clock: Clock, form: (record: LogRecord) => string) {
    this.#file = file;
    this.#clock = clock;
    this.#form = form;
  }

  readonly write = (record: LogRecord): void => {
    if (this.#waiting.length > backlogLimit_chars) {
      this.#dropped++;
      return;
    }
    this.#waiting += this.#form(record);
    if (this.#scheduled || this.#writing) return;
    this.#scheduled = true;
    this.#clock.after(gather_ms, () => {
      this.#scheduled = false;
      this.#drain();
    });
  };

  /** Resolves when all that was logged before has been handed to the kernel. */
  async flush(): Promise<void> {
    while (this.#waiting || this.#writing) {
      this.#drain();
      await this.#writing;
    }
  }

  async reopen(file: OpenFile): Promise<void> {
    await this.flush();
    const old = this.#file;
    this.#file = file;
    await old.close();
  }

  #drain(): void {
    if (this.#writing || !this.#waiting) return;
    const text = this.#waiting;
    this.#waiting = "";
    this.#writing = this.#file.write(Buffer.from(text)).then(
      () => this.#wrote(true),
      () => this.#wrote(false, text),
    );
  }

  #wrote(ok: boolean, lost = ""): void {
    this.#writing = undefined;
    if (!ok) {
      this.#dropped += lost.split("\n").length - 1;
    } else if (this.#dropped > 0) {
      this.#waiting += `(${this.#dropped} log lines could not be written)\n`;
      this.#dropped = 0;
    }
    if (ok && this.#waiting) this.#drain();
  }
}
