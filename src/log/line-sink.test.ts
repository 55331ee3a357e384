import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "../runtime/manual-clock.ts";
import { LineSink, type LineWriter } from "./line-sink.ts";
import type { LogRecord } from "./log.ts";

const record: LogRecord = { time_ms: 0, service: "smtp", slot: 1, tag: "postfix", level: "info", text: "x" };
const form = ({ level, text }: LogRecord): string => `${level}: ${text}\n`;

/** Writes into a list; `blocked` and `failing` writers wait and refuse. */
class Paper {
  readonly written: string[] = [];
  failing = false;
  gate: Promise<void> | undefined;
  readonly write: LineWriter = async (lines) => {
    await this.gate;
    if (this.failing) throw new Error("no space");
    this.written.push(lines);
  };
}

test("lines are gathered for a moment, and written in order", async () => {
  const clock = new ManualClock();
  const paper = new Paper();
  const sink = new LineSink(paper.write, clock, form);
  sink.append("a\n");
  sink.write({ ...record, text: "b" });
  assert.deepEqual(paper.written, []);
  clock.advance(20);
  await sink.flush();
  sink.append("c\n");
  await sink.flush();
  assert.deepEqual(paper.written, ["a\ninfo: b\n", "c\n"]);
});

test("flush writes what came while it was writing", async () => {
  const paper = new Paper();
  const gate = Promise.withResolvers<void>();
  paper.gate = gate.promise;
  const sink = new LineSink(paper.write, new ManualClock(), form);
  sink.append("a\n");
  const flushed = sink.flush();
  sink.append("b\n");
  gate.resolve();
  await flushed;
  assert.equal(paper.written.join(""), "a\nb\n");
});

test("lines that cannot be written are dropped, and their number is written once they can", async () => {
  const paper = new Paper();
  paper.failing = true;
  const sink = new LineSink(paper.write, new ManualClock(), form);
  sink.write(record);
  sink.append("two\nlines\n");
  await sink.flush();
  paper.failing = false;
  sink.write(record);
  await sink.flush();
  assert.deepEqual(paper.written, ["info: x\n", "warning: 3 log lines could not be written\n"]);
});

test("what waits for a slow disk is bounded, and each line that is dropped for it is counted", async () => {
  const paper = new Paper();
  const gate = Promise.withResolvers<void>();
  paper.gate = gate.promise;
  const sink = new LineSink(paper.write, new ManualClock(), form);
  sink.append("first\n");
  const flushed = sink.flush();
  const line = `${"x".repeat(1023)}\n`;
  for (let count = 0; count < 10_000; count++) sink.append(line + line);
  gate.resolve();
  await flushed;
  const text = paper.written.join("");
  assert.ok(text.length < 9 * 1024 * 1024, `${text.length} characters were kept`);
  const kept = text.split("\n").length - 3;
  assert.match(text, new RegExp(`^\\(${20_000 - kept} log lines could not be written\\)$`, "m"));
});

test("another writer gets only what is logged after the change", async () => {
  const [first, second] = [new Paper(), new Paper()];
  const sink = new LineSink(first.write, new ManualClock(), form);
  sink.append("old\n");
  await sink.change(second.write);
  sink.append("new\n");
  await sink.flush();
  assert.deepEqual([first.written, second.written], [["old\n"], ["new\n"]]);
});
