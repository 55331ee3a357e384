/**
 * The mail log. Callers write the text as Postfix writes it, queue id
 * included: `4FA0B1C: to=<a@b>, relay=…`. Where it goes, and in which form, is
 * decided elsewhere (sink.ts); a level that is off costs one comparison.
 */
export type Level = "debug" | "info" | "warning" | "error" | "fatal" | "panic";

export interface LogRecord {
  readonly time_ms: number;
  /** Postfix's program name: smtpd, cleanup, qmgr, smtp, bounce, pickup, master, … */
  readonly service: string;
  /** The number in brackets: a session slot's, or the process id. */
  readonly slot: number;
  /** `syslog_name` of this service instance. */
  readonly tag: string;
  readonly level: Level;
  readonly text: string;
}

/** Takes records; must not throw. */
export type LogSink = (record: LogRecord) => void;

export interface Log {
  debug(text: string): void;
  info(text: string): void;
  /** "warning: " is put before the text in the Postfix form, as are "error: ", "fatal: " and "panic: ". */
  warning(text: string): void;
  error(text: string): void;
  fatal(text: string): void;
  panic(text: string): void;
  /** Is anybody interested in debug()? Ask before building a costly text. */
  readonly verbose: boolean;
  /** The same log under another program name or slot number. */
  as(service: string, slot?: number, tag?: string): Log;
}

export interface LogOptions {
  readonly sink: LogSink;
  readonly now: () => number;
  readonly service: string;
  readonly slot: number;
  readonly tag: string;
  readonly verbose?: boolean;
}

class SinkLog implements Log {
  readonly verbose: boolean;
  readonly #options: LogOptions;

  constructor(options: LogOptions) {
    this.#options = options;
    this.verbose = options.verbose ?? false;
  }

  debug(text: string): void {
    if (this.verbose) this.#write("debug", text);
  }

  info(text: string): void {
    this.#write("info", text);
  }

  warning(text: string): void {
    this.#write("warning", text);
  }

  error(text: string): void {
    this.#write("error", text);
  }

  fatal(text: string): void {
    this.#write("fatal", text);
  }

  panic(text: string): void {
    this.#write("panic", text);
  }

  as(service: string, slot = this.#options.slot, tag = this.#options.tag): Log {
    return new SinkLog({ ...this.#options, service, slot, tag });
  }

  #write(level: Level, text: string): void {
    const { sink, now, service, slot, tag } = this.#options;
    sink({ time_ms: now(), service, slot, tag, level, text });
  }
}

export function createLog(options: LogOptions): Log {
  return new SinkLog(options);
}

/** A log that keeps its lines, for tests: "smtp: warning: text". */
export function memoryLog(): Log & { readonly lines: string[] } {
  const lines: string[] = [];
  const log = createLog({
    sink: ({ service, level, text }) => lines.push(`${service}: ${level === "info" ? "" : `${level}: `}${text}`),
    now: () => 0,
    service: "test",
    slot: 1,
    tag: "postfix",
  });
  return Object.assign(log, { lines });
}
