import assert from "node:assert/strict";
import { test } from "node:test";
import { Traffic } from "../qmgr/traffic.ts";
import type { Envelope } from "../queue/message.ts";
import type { QueueEntry } from "../queue/store.ts";
import { noPaint } from "./paint.ts";
import { keysIn } from "./screen.ts";
import type { RelayStatus } from "./status-text.ts";
import { TopModel } from "./top-model.ts";
import { topRows } from "./top-rows.ts";

const now_ms = Date.UTC(2026, 10, 25, 10, 0, 0);
const refusal = "SASL authentication failed; server mail.example[192.0.2.1] said: 535 5.7.8 no";
const result = {
  index: 0,
  status: "sent",
  dsn: "2.0.0",
  reason: "250 ok",
  remoteHost: "",
  remoteReply: undefined,
} as const;

/** A relay that has sent so many recipients to busy.example so far. */
function status(sent: number): RelayStatus {
  const traffic = new Traffic(now_ms);
  for (let n = 0; n < sent; n++) {
    traffic.result("sent", 0);
    traffic.delivered("smtp:busy.example", [result], 1500, now_ms);
  }
  traffic.delivered(
    "smtp:idle.example",
    [{ ...result, status: "deferred", reason: "450 \u001b[2J later" }],
    10,
    now_ms,
  );
  const suspension = { kind: "refused", dsn: "4.7.8", reason: refusal, until_ms: now_ms + 240_000 } as const;
  const common = { transport: "smtp", busy: 0, concurrency: 0, waiting: 0 };
  return {
    counts: { active: 1, deferred: 1204, hold: 3, corrupt: 0 },
    sessions: 4,
    scheduler: {
      ...{ active: 1, inHand: 2, settling: 0, destinationCount: 2, suspendedCount: 1 },
      destinations: [
        {
          ...common,
          key: "smtp:busy.example",
          nexthop: "busy.example",
          busy: 2,
          concurrency: 5,
          waiting: 7,
          suspension: undefined,
        },
        { ...common, key: "smtp:[mail.example]:587", nexthop: "[mail.example]:587", suspension },
      ],
      refusedLogins: [{ key: "smtp:[mail.example]:587", reason: refusal, seen_ms: now_ms }],
      traffic: traffic.figures(0),
    },
  };
}

const message = (id: string, queue: QueueEntry["queue"] = "deferred"): QueueEntry => {
  const recipients = [{ address: "you@far.example", status: "pending" }];
  const envelope = { id, sender: "a@here.example", recipients, arrival_ms: now_ms - 60_000 } as unknown as Envelope;
  return { queue, envelope, nextAttempt_ms: now_ms, destination: "smtp:busy.example" };
};

function model(): TopModel {
  const made = new TopModel({ paint: noPaint, zone: () => 0 });
  made.sample(status(10), now_ms);
  made.sample(status(25), now_ms + 1000);
  return made;
}

test("what needs somebody is first, then what works, then what was at work lately, with rates and latency", () => {
  const rows = topRows(status(25), status(10), 1);
  assert.deepEqual(
    rows.map(({ nexthop, state, sentPerSecond, latency_ms }) => [nexthop, state, sentPerSecond, latency_ms]),
    [
      ["[mail.example]:587", "login refused", 0, undefined],
      ["busy.example", "working", 15, 1500],
      ["idle.example", "idle", 0, 10],
    ],
  );
});

test("the screen tells of the queue, of rates, and of the last error of what is chosen, with what it means", () => {
  const lines = model().lines(24, 80);
  assert.equal(lines[1], "queue: 1 active, 1,204 deferred, 3 held; sessions in: 4; deliveries: 2");
  assert.match(lines[2] ?? "", /sent: 15\.0\/s/);
  assert.match(lines[5] ?? "", /^> \[mail\.example\]:587 .* login refused$/);
  assert.match(
    lines.join("\n"),
    /last error, 1 s ago: SASL authentication failed.*\n {2}The server does not take our user name/,
  );
});

test("whatever the size of the terminal, it is filled and not exceeded, and others' text steers nothing", () => {
  const made = model();
  const views = [
    () => {},
    () =>
      made.showMessages(
        "",
        Array.from({ length: 300 }, (_, n) => message(`A${n}`)),
      ),
  ];
  for (const view of [...views, () => made.showStory(`x\n${"long ".repeat(100)}`)]) {
    view();
    for (let rows = 1; rows < 60; rows += 3) {
      for (let columns = 1; columns < 200; columns += 13) {
        const lines = made.lines(rows, columns);
        assert.equal(lines.length, Math.min(rows, lines.length));
        assert.ok(lines.length <= rows && lines.every((line) => [...line].length <= columns), `${rows} x ${columns}`);
        assert.doesNotMatch(lines.join(""), /[\u0000-\u001f]/);
      }
    }
  }
});

test("keys choose, and give orders about what is chosen; the chosen one stays chosen when others come before it", () => {
  const made = model();
  assert.deepEqual(made.key("f"), { kind: "flush", destination: "smtp:[mail.example]:587" });
  made.key("down");
  made.sample(status(30), now_ms + 2000);
  assert.deepEqual(made.key("enter"), { kind: "open", destination: "smtp:busy.example" });
  made.showMessages("smtp:busy.example", [message("B1"), message("B2", "hold")]);
  made.key("j");
  assert.deepEqual(
    [made.key("h"), made.key("r"), made.key("f"), made.key("enter")],
    [
      { kind: "hold", id: "B2" },
      { kind: "release", id: "B2" },
      { kind: "flush", id: "B2" },
      { kind: "look", id: "B2" },
    ],
  );
  made.showMessages("smtp:busy.example", [message("B0"), message("B1"), message("B2")]);
  assert.deepEqual(made.key("h"), { kind: "hold", id: "B2" });
  made.showStory("one\ntwo");
  assert.equal(made.key("h"), undefined);
  made.key("back");
  assert.equal(made.open, "smtp:busy.example");
  made.key("back");
  assert.equal(made.open, undefined);
  assert.deepEqual(
    [made.key("F"), made.key("q"), made.key("interrupt")],
    [{ kind: "flush" }, { kind: "quit" }, { kind: "quit" }],
  );
});

test("without a relay there is nothing to choose, and top says what is the matter", () => {
  const made = new TopModel({ paint: noPaint, zone: () => 0 });
  made.sample(undefined, now_ms);
  assert.match(made.lines(24, 80).join("\n"), /the mail system does not answer/);
  assert.equal(made.key("f"), undefined);
});

test("keys are told apart as terminals send them", () => {
  assert.deepEqual(keysIn("\x1b[A\x1bOBj\r\x1b[5~\x1b[1;5Cq\x1b\x7f\x03\u00e9"), [
    ...["up", "down", "j", "enter", "pageup", "q", "back", "back", "interrupt", "\u00e9"],
  ]);
});
