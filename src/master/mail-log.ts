import { LineSink, type LineWriter } from "../log/line-sink.ts";
import { createLog, type Log, type LogSink } from "../log/log.ts";
import { PostfixForm } from "../log/postfix-form.ts";
import { facilityNumber, syslogSink } from "../log/syslog-sink.ts";
import type { Clock } from "../runtime/clock.ts";
import { type Files, type OpenFile, openFlags } from "../runtime/files.ts";
import { openSyslog, type Syslog } from "../runtime/syslog.ts";

/** What decides where the mail log goes. */
export interface MailLogConf {
  readonly maillog_file: string;
  readonly maillog_file_prefixes: readonly string[];
  readonly maillog_file_permissions: string;
  readonly syslog_facility: string;
  readonly syslog_name: string;
}

/** What the log needs of the world. */
export interface MailLogWorld {
  readonly files: Files;
  readonly clock: Clock;
  /** As it stands in log lines. */
  readonly host: string;
  readonly pid: number;
  /** Writes to standard output. */
  readonly output: (bytes: Uint8Array) => Promise<void>;
  /** Nobody reads standard output: we have been started in the background. */
  readonly background: boolean;
  /** openSyslog, unless a test has its own. */
  readonly syslog?: () => Promise<Syslog | undefined>;
}

/** A log in a file. */
interface LogFile {
  readonly sink: LineSink;
  file: OpenFile;
  readonly path: string;
  readonly mode: number;
  readonly prefixes: readonly string[];
  readonly files: Files;
}

export class MailLogError extends Error {}

/**
 * The mail log, written by the master alone: it keeps the file open as root across
 * the relays' drop of privileges and across rotation, and what a relay had logged
 * before it died is not lost with it. Relays send their lines over the channel;
 * with syslog as the destination (`syslog`) each writes to /dev/log itself.
 */
export class MailLog {
  readonly log: Log;
  readonly syslog: boolean;
  /** What its owner should know of where the log goes. */
  readonly notes: readonly string[];
  readonly #sink: LineSink | undefined;
  readonly #file: LogFile | undefined;

  private constructor(log: Log, notes: readonly string[], sink: LineSink | undefined, file: LogFile | undefined) {
    this.log = log;
    this.syslog = sink === undefined;
    this.notes = notes;
    this.#sink = sink;
    this.#file = file;
  }

  /** Throws MailLogError. */
  static async open(world: MailLogWorld, conf: MailLogConf): Promise<MailLog> {
    const { files, clock, output } = world;
    const form = new PostfixForm(world.host, (time_ms) => clock.zoneOffset_min(time_ms));
    const logTo = (sink: LogSink): Log =>
      createLog({ sink, now: () => clock.now(), service: "master", slot: world.pid, tag: conf.syslog_name });
    const linesTo = (writer: LineWriter): LineSink => new LineSink(writer, clock, (record) => form.line(record));
    const notes: string[] = [];
    if (conf.maillog_file === "") {
      const facility = facilityNumber(conf.syslog_facility);
      if (facility === undefined) throw new MailLogError(`syslog_facility = ${conf.syslog_facility}: no such facility`);
      const syslog = await (world.syslog ?? openSyslog)();
      const heard = syslog?.heard() === true;
      if (!heard) notes.push(nobodyListens(world.background));
      // In the background there is nothing else, and a daemon may still come.
      if (syslog && (heard || world.background)) {
        const sink = syslogSink(syslog.send, facility, (time_ms) => form.stamp(time_ms));
        return new MailLog(logTo(sink), notes, undefined, undefined);
      }
    }
    if (conf.maillog_file === "" || conf.maillog_file === standardOutput) {
      const sink = linesTo((lines) => output(Buffer.from(lines)));
      return new MailLog(logTo(sink.write), notes, sink, undefined);
    }
    const mode = Number.parseInt(conf.maillog_file_permissions, 8) || 0o600;
    const prefixes = conf.maillog_file_prefixes;
    const file = await openLogFile(files, conf.maillog_file, mode, prefixes);
    const sink = linesTo(writerTo(file));
    return new MailLog(logTo(sink.write), notes, sink, { sink, file, path: conf.maillog_file, mode, prefixes, files });
  }

  /** Lines of a relay, complete as they are. */
  append(text: string): void {
    this.#sink?.append(text);
  }

  /** The file was renamed: goes on in a new one of the same name. */
  async reopen(): Promise<void> {
    const log = this.#file;
    if (!log) return;
    const old = log.file;
    log.file = await openLogFile(log.files, log.path, log.mode, log.prefixes);
    await log.sink.change(writerTo(log.file));
    await old.close();
  }

  async flush(): Promise<void> {
    await this.#sink?.flush();
  }

  /** Writes what is left. Nothing may be logged afterwards. */
  async close(): Promise<void> {
    await this.flush();
    await this.#file?.file.close();
  }
}

export const standardOutput = "/dev/stdout";

function nobodyListens(background: boolean): string {
  const where = background ? "nowhere" : "to standard output";
  return `warning: maillog_file is not set and no syslog daemon listens on /dev/log: the mail log goes ${where}. Set maillog_file = /var/log/mail.log, or start one`;
}

const writerTo =
  (file: OpenFile): LineWriter =>
  (lines) =>
    file.write(Buffer.from(lines));

async function openLogFile(files: Files, path: string, mode: number, prefixes: readonly string[]): Promise<OpenFile> {
  if (!prefixes.some((prefix) => path.startsWith(prefix))) {
    throw new MailLogError(
      `maillog_file = ${path}: it does not begin with one of maillog_file_prefixes (${prefixes.join(", ")}): add its directory there`,
    );
  }
  const { write, create, append, noFollow } = openFlags;
  try {
    return await files.open(path, write | create | append | noFollow, mode);
  } catch (error) {
    throw new MailLogError(`maillog_file = ${path}: ${error instanceof Error ? error.message : String(error)}`);
  }
}
