import assert from "node:assert/strict";
import { test } from "node:test";
import type { LogRecord } from "./log.ts";
import { facilityNumber, syslogSink } from "./syslog-sink.ts";

const record: LogRecord = { time_ms: 0, service: "smtp", slot: 12, tag: "postfix", level: "info", text: "text" };

function sink(taken: (text: string) => boolean = () => true) {
  const sent: string[] = [];
  const write = syslogSink(
    (datagram) => {
      const text = datagram.toString();
      if (!taken(text)) return false;
      sent.push(text);
      return true;
    },
    facilityNumber("mail") ?? -1,
    () => "Nov  3 04:26:31",
  );
  return { sent, write };
}

test("a datagram is as the C library sends it: facility and level, time, program, text, no line end", () => {
  const { sent, write } = sink();
  write(record);
  write({ ...record, level: "warning", text: "a\nb" });
  write({ ...record, level: "error" });
  assert.deepEqual(sent, [
    "<22>Nov  3 04:26:31 postfix/smtp[12]: text",
    "<20>Nov  3 04:26:31 postfix/smtp[12]: warning: a?b",
    "<19>Nov  3 04:26:31 postfix/smtp[12]: error: text",
  ]);
});

test("facilities are known by name, in any case; others are not", () => {
  assert.equal(facilityNumber("LOCAL7"), 23);
  assert.equal(facilityNumber("post"), undefined);
});

test("a long line is cut where syslog daemons would refuse it", () => {
  const { sent, write } = sink();
  write({ ...record, text: "é".repeat(10_000) });
  assert.ok(Buffer.byteLength(sent[0] ?? "") <= 8194);
});

test("lines that nobody takes are counted, and the number is sent once somebody does", () => {
  let listening = false;
  const { sent, write } = sink(() => listening);
  write(record);
  write(record);
  listening = true;
  write(record);
  write(record);
  assert.deepEqual(
    sent.map((text) => text.replace(/^.*\]: /, "")),
    ["warning: 2 log lines could not be sent", "text", "text"],
  );
});
