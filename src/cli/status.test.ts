import assert from "node:assert/strict";
import { test } from "node:test";
import type { DestinationFigures, SchedulerFigures } from "../qmgr/figures.ts";
import { Traffic } from "../qmgr/traffic.ts";
import type { Envelope, Recipient } from "../queue/message.ts";
import type { QueueEntry, QueueName } from "../queue/store.ts";
import { noPaint } from "./paint.ts";
import { QueueSurvey } from "./queue-survey.ts";
import { statusReport } from "./status-report.ts";
import { type StatusState, statusText } from "./status-text.ts";

const now_ms = Date.UTC(2026, 10, 25, 10, 0, 0);
const refusal = "SASL authentication failed; server mail.example[192.0.2.1] said: 535 5.7.8 no";
const unreachable = "connect to dead.example[192.0.2.9]:25: Connection refused";

function destination(nexthop: string, reason?: string, kind: "failed" | "refused" = "failed"): DestinationFigures {
  const suspension = reason === undefined ? undefined : { kind, dsn: "4.4.1", reason, until_ms: now_ms + 240_000 };
  return { key: `smtp:${nexthop}`, transport: "smtp", nexthop, busy: 2, concurrency: 5, waiting: 7, suspension };
}

function state(scheduler: Partial<SchedulerFigures>, entries: readonly QueueEntry[] = []): StatusState {
  const none = { active: 0, inHand: 2, settling: 0, destinations: [], destinationCount: 0, suspendedCount: 0 };
  const survey = new QueueSurvey();
  for (const each of entries) survey.add(each);
  const relay = {
    counts: { active: 1, deferred: 2, hold: 3, corrupt: 0 },
    sessions: 4,
    scheduler: { ...none, refusedLogins: [], traffic: new Traffic(now_ms).figures(0), ...scheduler },
  };
  return { running: true, master: "running", relay, survey: survey.result(), now_ms };
}

const text = (of: StatusState): string[] => statusText(of, { paint: noPaint, zone: () => 0 }).split("\n");

let count = 0;

function entry(to: string, addresses: readonly string[], reason?: string, queue: QueueName = "deferred"): QueueEntry {
  const recipients = addresses.map((address) => ({ address, status: "pending", reason, dsn: "4.0.0" }) as Recipient);
  const envelope = { id: String(count++), recipients, arrival_ms: now_ms - 7_200_000 } as unknown as Envelope;
  return { queue, envelope, nextAttempt_ms: now_ms + 60_000, destination: to };
}

test("status names a destination that refuses our login once, first, and why, whether or not it is suspended now", () => {
  const refusing = { key: "smtp:[mail.example]:587", reason: refusal, seen_ms: 1 };
  for (const suspended of [true, false]) {
    const destinations = suspended ? [destination("[mail.example]:587", refusal, "refused")] : [];
    const lines = text(state({ destinations, suspendedCount: destinations.length, refusedLogins: [refusing] }));
    assert.deepEqual(lines.slice(3, 7), [
      "",
      "our login is refused, which somebody has to mend:",
      "  [mail.example]:587",
      `    ${refusal}`,
    ]);
    assert.ok(lines.some((line) => line.startsWith("    The server does not take our user name and password.")));
    assert.equal(lines.includes("    tried again at 10:04:00, in 4 min, or when the login changes"), suspended);
    assert.ok(!lines.some((line) => line.startsWith("left alone")));
  }
});

test("status shows suspended destinations, why and until when, before what waits and the busy ones", () => {
  const destinations = [destination("busy.example"), destination("dead.example", unreachable)];
  const waiting = [entry("smtp:dead.example", ["a@dead.example"], unreachable)];
  const lines = text(state({ destinations, suspendedCount: 1 }, waiting));
  assert.deepEqual(lines.slice(0, 8), [
    "queue: 1 active, 2 deferred, 3 held",
    "sessions in: 4; deliveries under way: 2",
    "in the last minute: 0 messages in; 0 recipients sent, 0 put off, 0 given up",
    "",
    "left alone for a while, since deliveries fail:",
    "  dead.example: 1 message, the oldest 2 h old",
    `    ${unreachable}`,
    "    tried again at 10:04:00, in 4 min",
  ]);
  const at = lines.indexOf("in the queue, by destination:");
  assert.deepEqual(lines.slice(at, at + 5), [
    "in the queue, by destination:",
    "  dead.example",
    "    1 message; oldest since 08:00:00 (2 h); next try at 10:01:00, in 1 min",
    `    1 × ${unreachable}`,
    "        Nothing takes connections at that address and port: the server is",
  ]);
  assert.deepEqual(lines.slice(-3), [
    "under way:",
    "  busy.example: 2 of 5 deliveries under way, 7 messages waiting",
    "",
  ]);
});

test("status says how many destinations it does not show", () => {
  const destinations = Array.from({ length: 25 }, (_, n) => destination(`d${n}.example`, "no"));
  const lines = text(state({ destinations, suspendedCount: 4000 }));
  assert.equal(lines.filter((line) => /^ {2}d\d+\.example$/.test(line)).length, 20);
  assert.equal(lines.at(-2), "  and 3,980 more");
});

test("reasons that differ in hosts and numbers are counted together, and mail that was not tried goes by domain", () => {
  const { groups, elsewhere, counts } = state({}, [
    entry("smtp:[mail.example]", ["a@x.example", "b@y.example"], unreachable),
    entry("smtp:[mail.example]", ["c@x.example"], unreachable.replaceAll("9", "7")),
    entry("smtp:[mail.example]", ["c@x.example"], "something odd 17"),
    entry("smtp:[mail.example]", ["c@x.example"], "something odd 18"),
    entry("", ["a@X.example", "b@x.example", "c@y.example"], undefined, "active"),
    entry("", ["a@x.example"], undefined, "hold"),
  ]).survey ?? { groups: [], elsewhere: 0, counts: undefined };
  assert.deepEqual(
    groups.map(({ name, messages, recipients, held, next_ms }) => [name, messages, recipients, held, next_ms]),
    [
      ["[mail.example]", 4, 5, 0, now_ms + 60_000],
      ["x.example", 2, 3, 1, undefined],
      ["y.example", 1, 1, 0, undefined],
    ],
  );
  assert.deepEqual(
    groups[0]?.reasons.map(({ recipients, reason, explanation }) => [recipients, reason, explanation?.code]),
    [
      [3, unreachable, "connection-refused"],
      [2, "something odd 17", undefined],
    ],
  );
  assert.equal(elsewhere, 0);
  assert.deepEqual(counts, { active: 1, deferred: 4, hold: 1, corrupt: 0 });
});

test("a survey is bounded, and counts what it does not tell apart", () => {
  const survey = new QueueSurvey();
  for (let n = 0; n < 1500; n++) survey.add(entry("", [`a@d${n}.example`], `odd ${"x".repeat(n % 40)}`));
  for (let n = 0; n < 50; n++) survey.add(entry("", ["a@d0.example"], `other ${"y".repeat(n)}`));
  const { groups, elsewhere } = survey.result();
  assert.deepEqual([groups.length, elsewhere], [1000, 500]);
  assert.equal(groups[0]?.reasons.length, 20);
});

test("what waits without a relay is shown, and that nothing is delivered", () => {
  const waiting = state({}, [entry("smtp:dead.example", ["a@dead.example"], unreachable)]);
  const lines = text({ ...waiting, running: false, relay: undefined });
  assert.deepEqual(lines.slice(0, 2), [
    "queue: 0 active, 1 deferred, 0 held",
    "this is what the queue on disk holds; nothing is delivered until the mail system runs",
  ]);
  assert.deepEqual(text({ ...state({}), running: false, relay: undefined }), [""]);
});

test("nothing that others wrote reaches the terminal as a command", () => {
  const evil = "host said: 450 \u001b[2J\u202e";
  const lines = statusText(state({}, [entry("smtp:x\u001bc", ["a@x.example"], evil)]), {
    paint: noPaint,
    zone: () => 0,
  });
  assert.doesNotMatch(lines, /[\u0000-\u0009\u000b-\u001f\u202e]/);
});

test("the JSON has the documented fields, with times in ISO 8601", () => {
  const destinations = [destination("[mail.example]:587", refusal, "refused"), destination("busy.example")];
  const refusing = { key: "smtp:[mail.example]:587", reason: refusal, seen_ms: now_ms };
  const waiting = [entry("smtp:[mail.example]:587", ["a@x.example"], refusal)];
  const report = JSON.parse(JSON.stringify(statusReport(state({ destinations, refusedLogins: [refusing] }, waiting))));
  assert.deepEqual(Object.keys(report), [
    ...[
      "time",
      "running",
      "master",
      "counts",
      "relay",
      "refusedLogins",
      "suspended",
      "suspendedCount",
      "busy",
      "queue",
    ],
    "elsewhere",
  ]);
  assert.deepEqual(
    [report.time, report.refusedLogins[0].until, report.refusedLogins[0].code, report.queue[0].next],
    ["2026-11-25T10:00:00.000Z", "2026-11-25T10:04:00.000Z", "login-refused", "2026-11-25T10:01:00.000Z"],
  );
  const alone = JSON.parse(
    JSON.stringify(statusReport({ ...state({}), running: false, relay: undefined, master: undefined })),
  );
  assert.deepEqual([alone.running, alone.relay, alone.master], [false, null, null]);
});
