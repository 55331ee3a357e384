import type { Level, LogRecord } from "./log.ts";
import { labelled } from "./postfix-form.ts";

/** RFC 5424 section 6.2.1. */
const severities: Readonly<Record<Level, number>> = { debug: 7, info: 6, warning: 4, error: 3, fatal: 2, panic: 2 };

const facilities: Readonly<Record<string, number>> = {
  kern: 0,
  user: 1,
  mail: 2,
  daemon: 3,
  auth: 4,
  syslog: 5,
  lpr: 6,
  news: 7,
  uucp: 8,
  cron: 9,
  authpriv: 10,
  ftp: 11,
  local0: 16,
  local1: 17,
  local2: 18,
  local3: 19,
  local4: 20,
  local5: 21,
  local6: 22,
  local7: 23,
};

/** The longest datagram that every syslog daemon takes. */
const datagramLimit_bytes = 8192;

export function facilityNumber(name: string): number | undefined {
  return facilities[name.toLowerCase()];
}

/**
 * Log lines as the C library's syslog(3) sends them: `<22>Nov 23 04:26:31 postfix/smtp[123]: text`. Lines that nobody
 * takes (no daemon, or one that is too busy) are dropped, and their number is sent once one is taken again.
 */
export function syslogSink(
  send: (datagram: Buffer) => boolean,
  facility: number,
  stamp: (time_ms: number) => string,
): (record: LogRecord) => void {
  let dropped = 0;
  const sent = (record: LogRecord): boolean => {
    const priority = facility * 8 + severities[record.level];
    const line = Buffer.from(`<${priority}>${stamp(record.time_ms)} ${labelled(record)}`);
    return send(line.length > datagramLimit_bytes ? line.subarray(0, datagramLimit_bytes) : line);
  };
  return (record) => {
    if (dropped > 0 && sent({ ...record, level: "warning", text: `${dropped} log lines could not be sent` }))
      dropped = 0;
    if (!sent(record)) dropped++;
  };
}
