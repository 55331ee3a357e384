import { LineSink, type LineWriter } from "../log/line-sink.ts";
import { createLog, type Log, type LogSink } from "../log/log.ts";
import { PostfixForm } from "../log/postfix-form.ts";
import { facilityNumber, syslogSink } from "../log/syslog-sink.ts";
import type { Clock } from "../runtime/clock.ts";
import { type Files, type OpenFile, openFlags } from "../runtime/files.ts";
import { openSyslog } from "../runtime/syslog.ts";

/** What decides where the mail log goes. */
export interface MailLogConf {
  readonly maillog_file: string;
  readonly maillog_file_prefixes: readonly string[];
  readonly maillog_file_permissions: string;
  readonly syslog_facility: string;
  readonly syslog_name: string;
}

/** A log in a file or on standard output, as opposed to syslog. */
interface LogFile {
  readonly sink: LineSink;
  file: OpenFile;
  readonly path: string;
  readonly mode: number;
  readonly files: Files;
}

export class MailLogError extends Error {}

/**
 * The mail log, written by the master alone: it keeps the file open as root across
 * the relays' drop of privileges and across rotation, and what a relay had logged
 * before it died is not lost with it. Relays send their lines over the channel;
 * with syslog as the destination each writes to /dev/log itself.
 */
export class MailLog {
  readonly log: Log;
  readonly #append: (text: string) => void;
  readonly #file: LogFile | undefined;

  private constructor(log: Log, append: (text: string) => void, file: LogFile | undefined) {
    this.log = log;
    this.#append = append;
    this.#file = file;
  }

  /** Throws MailLogError. `fallback` is where lines go when there is no syslog to take them: standard output. */
  static async open(
    world: { readonly files: Files; readonly clock: Clock; readonly host: string; readonly pid: number; readonly fallback: OpenFile },
    conf: MailLogConf,
  ): Promise<MailLog> {
    const { files, clock } = world;
    const form = new PostfixForm(world.host, (time_ms) => clock.zoneOffset_min(time_ms));
    const logTo = (sink: LogSink): Log =>
      createLog({ sink, now: () => clock.now(), service: "master", slot: world.pid, tag: conf.syslog_name });
    if (conf.maillog_file === "") {
      const send = await openSyslog();
      const facility = facilityNumber(conf.syslog_facility);
      if (facility === undefined) throw new MailLogError(`syslog_facility = ${conf.syslog_facility}: no such facility`);
      if (send) {
        const sink = syslogSink(send, facility, (time_ms) => form.stamp(time_ms));
        return new MailLog(logTo(sink), () => {}, undefined);
      }
    }
    const path = conf.maillog_file === "" ? "/dev/stdout" : conf.maillog_file;
    const mode = Number.parseInt(conf.maillog_file_permissions, 8) || 0o600;
    const isStdout = path === "/dev/stdout";
    const file = isStdout ? world.fallback : await openLogFile(files, path, mode, conf.maillog_file_prefixes);
    const sink = new LineSink(writerTo(file), clock, (record) => form.line(record));
    return new MailLog(logTo(sink.write), (text) => sink.append(text), { sink, file, path, mode, files });
  }

  /** Lines of a relay, complete as they are. */
  append(text: string): void {
    this.#append(text);
  }

  /** The file was renamed: goes on in a new one of the same name. */
  async reopen(): Promise<void> {
    const log = this.#file;
    if (!log || log.path === "/dev/stdout") return;
    const old = log.file;
    log.file = await openLogFile(log.files, log.path, log.mode, ["/"]);
    await log.sink.change(writerTo(log.file));
    await old.close();
  }

  async flush(): Promise<void> {
    await this.#file?.sink.flush();
  }
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
