import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { ServerReply } from "../rfc5321/reply-parser.ts";
import { said } from "./testing/replies.ts";
import { type Step, Transaction } from "./transaction.ts";

const ok = said("250 2.1.5 Ok");
const go = said("354 go ahead");
const noSuchUser = said("550 5.1.1 User unknown");
const badSender = said("553 5.1.8 Sender refused");

interface Played {
  readonly decided: Map<string, ServerReply>;
  readonly delivered: number;
  readonly sent: string[];
  readonly machine: Transaction;
  readonly unused: number;
}

/** Plays replies until it is over. */
function play(
  recipients: readonly string[],
  pipelining: boolean,
  replies: readonly ServerReply[],
  eachAtEnd = false,
): Played {
  const machine = new Transaction(
    "MAIL",
    recipients.map((each) => `RCPT ${each}`),
    pipelining,
    eachAtEnd,
  );
  const decided = new Map<string, ServerReply>();
  const sent: string[] = [];
  let delivered = 0;
  let used = 0;
  for (let step: Step = machine.begin(); ; ) {
    if (typeof step.send === "string") sent.push(step.send);
    else sent.push(...(step.send ?? []));
    for (const position of step.settled?.recipients ?? []) {
      const recipient = recipients[position] as string;
      assert.ok(!decided.has(recipient), `${recipient} was settled twice`);
      decided.set(recipient, step.settled?.by as ServerReply);
      if (step.settled?.accepted) delivered++;
    }
    const reply = replies[used];
    if (step.awaits === undefined || !reply)
      return { decided, delivered, sent, machine, unused: replies.length - used };
    used++;
    step = machine.onReply(reply);
  }
}

for (const pipelining of [true, false]) {
  const how = pipelining ? "in one burst" : "one at a time";

  test(`a refused recipient does not stop the others, ${how}`, () => {
    const { decided, sent, machine } = play(["gone", "here"], pipelining, [ok, noSuchUser, ok, go, ok]);
    assert.equal(decided.get("gone"), noSuchUser);
    assert.equal(decided.get("here"), ok);
    assert.deepEqual(sent, ["MAIL", "RCPT gone", "RCPT here", "DATA", "body"]);
    assert.equal(machine.resetDue, false);
  });

  test(`a message refused at its end leaves a reset due, ${how}`, () => {
    const spam = said("554 5.7.1 spam");
    const { decided, machine } = play(["a", "b"], pipelining, [ok, ok, ok, go, spam]);
    assert.deepEqual([...decided.values()], [spam, spam]);
    assert.equal(machine.resetDue, true);
  });

  test(`a refused DATA decides those who were accepted, ${how}`, () => {
    const no = said("451 4.3.0 no");
    const { decided, sent } = play(["gone", "here"], pipelining, [ok, noSuchUser, ok, no]);
    assert.equal(decided.get("gone"), noSuchUser);
    assert.equal(decided.get("here"), no);
    assert.ok(!sent.includes("body"));
  });
}

test("a refused sender decides every recipient, whatever is said of them later", () => {
  const { decided } = play(["a", "b"], true, [badSender, noSuchUser, ok, said("503 5.5.1 no")]);
  assert.deepEqual([...decided.values()], [badSender, badSender]);
});

test("a refused sender ends it at once where nothing was sent ahead", () => {
  const { decided, sent } = play(["a"], false, [badSender]);
  assert.equal(decided.get("a"), badSender);
  assert.deepEqual(sent, ["MAIL"]);
});

test("a 354 that nobody is left for is answered with the bare dot, and its reply counts for nothing", () => {
  const { decided, sent } = play(["a"], true, [ok, noSuchUser, go, ok]);
  assert.equal(decided.get("a"), noSuchUser);
  assert.deepEqual(sent.slice(-1), ["dot"]);
});

test("without pipelining DATA is not said when nobody was accepted", () => {
  assert.deepEqual(play(["a"], false, [ok, noSuchUser]).sent, ["MAIL", "RCPT a"]);
});

test("a reply after the end is a bug of the driver", () => {
  const { machine } = play(["a"], false, [badSender]);
  assert.throws(() => machine.onReply(ok));
});

test("whatever a server says, every recipient is settled exactly once, and nobody is sent whom it has not accepted", () => {
  const codes = fc.constantFrom(
    "250 ok",
    "251 ok",
    "354 go",
    "421 bye",
    "450 4.1.1 no",
    "550 5.1.1 no",
    "666 what",
    "200",
  );
  fc.assert(
    fc.property(
      fc.boolean(),
      fc.integer({ min: 1, max: 5 }),
      fc.array(codes, { minLength: 12, maxLength: 12 }),
      (pipelining, count, words) => {
        const recipients = Array.from({ length: count }, (_, index) => `r${index}`);
        const replies = words.map((each) => said(each));
        const { decided, delivered, sent } = play(recipients, pipelining, replies);
        assert.equal(decided.size, count);
        if (delivered > 0) assert.ok(sent.includes("body"));
      },
    ),
    { numRuns: 300 },
  );
});

test("with LMTP each accepted recipient is settled by its own answer, in order, and nobody by another's", () => {
  const answers = fc.array(fc.tuple(fc.boolean(), fc.boolean()), { minLength: 1, maxLength: 8 });
  fc.assert(
    fc.property(answers, fc.boolean(), (each, pipelining) => {
      const names = each.map((_, index) => `r${index}`);
      const atRcpt = each.map(([taken]) => (taken ? ok : noSuchUser));
      const atEnd = each.map(([, kept], index) => said(kept ? `250 2.1.5 kept ${index}` : `452 4.2.2 full ${index}`));
      const due = atEnd.filter((_, index) => each[index]?.[0]);
      const data = due.length > 0 ? [go, ...due] : pipelining ? [said("503 5.5.1 nobody")] : [];
      const { decided, machine, unused, sent } = play(names, pipelining, [ok, ...atRcpt, ...data], true);
      assert.equal(unused, 0);
      assert.equal(decided.size, each.length);
      for (const [index, [taken]] of each.entries()) {
        assert.equal(decided.get(`r${index}`), taken ? atEnd[index] : noSuchUser);
      }
      assert.equal(sent.includes("body"), due.length > 0);
      assert.equal(machine.stranded, false);
    }),
  );
});

test("with LMTP a server that goes on although nobody is left gets the bare dot, and its session is not used again", () => {
  const { machine, sent } = play(["gone"], true, [ok, noSuchUser, go], true);
  assert.deepEqual(sent, ["MAIL", "RCPT gone", "DATA", "dot"]);
  assert.equal(machine.stranded, true);
});
