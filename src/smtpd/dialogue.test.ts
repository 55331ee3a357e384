import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { memoryLog } from "../log/log.ts";
import { type Action, Dialogue } from "./dialogue.ts";
import type { RecipientFacts } from "./ports.ts";
import { testConf, testRules } from "./test-relay.ts";

interface Options {
  readonly settings?: Record<string, string>;
  readonly friend?: boolean;
  readonly room?: boolean;
}

function dialogue({ settings = {}, friend = false, room = true }: Options = {}) {
  const conf = testConf(settings);
  const rules = testRules(conf);
  const log = memoryLog();
  const state = { following: undefined as Buffer | undefined, counted: 0 };
  let ids = 0;
  const machine = new Dialogue(
    { conf, ...rules, service: "smtp", nextId: () => `ID${++ids}`, freeSpace: () => room, now: () => 1000 },
    {
      client: { name: "client.test", address: "203.0.113.1", port: 1, shown: "client.test[203.0.113.1]" },
      inMynetworks: friend,
      mayBareLf: false,
      count: () => ++state.counted * 0,
      following: () => state.following,
    },
    log,
  );
  const facts = (recipient: string): RecipientFacts => ({ class: /@here\.test$/.test(recipient) ? "local" : "other" });
  const act = (line: string): Action => {
    const action = machine.line(line, false);
    return action.kind === "check" ? machine.checked(facts(action.recipient)) : action;
  };
  /** The texts of the replies to lines. */
  const say = (...lines: string[]): string[] => lines.map((line) => text(act(line)));
  return { machine, log, state, act, say };
}

const text = (action: Action): string => (action.kind === "check" ? "" : action.text);

test("a message goes from MAIL to DATA with everything that was said about it", () => {
  const { act, machine, log } = dialogue();
  act("EHLO client.test");
  act("MAIL FROM:<a@b.test> SIZE=100 BODY=8BITMIME RET=HDRS ENVID=x+20y");
  act("RCPT TO:<c@here.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;o@p.test");
  act('RCPT TO:<"two words"@here.test>');
  const data = act("DATA");
  assert.equal(data.kind, "data");
  if (data.kind !== "data") return;
  const { client, ...told } = data.transaction;
  assert.equal(client.shown, "client.test[203.0.113.1]");
  assert.deepEqual(told, {
    id: "ID1",
    arrival_ms: 1000,
    sender: "a@b.test",
    recipients: [
      { address: "c@here.test", notify: ["SUCCESS", "DELAY"], orcpt: "rfc822;o@p.test" },
      { address: '"two words"@here.test', notify: undefined, orcpt: undefined },
    ],
    helo: "client.test",
    protocol: "ESMTP",
    smtputf8: false,
    body: "8BITMIME",
    declaredSize_bytes: 100,
    envid: "x+20y",
    ret: "HDRS",
    saslUsername: "",
  });
  assert.equal(text(machine.finished({ kind: "queued", id: "ID1" })), "250 2.0.0 Ok: queued as ID1");
  assert.deepEqual(log.lines, ["test: ID1: client=client.test[203.0.113.1]"]);
});

test("a refused recipient is logged as Postfix does", () => {
  const { say, log } = dialogue();
  say("EHLO client.test", "MAIL FROM:<a@b.test>", "RCPT TO:<x@else.test>");
  assert.deepEqual(log.lines, [
    "test: NOQUEUE: reject: RCPT from client.test[203.0.113.1]: 554 5.7.1 <x@else.test>: Relay access denied; " +
      "from=<a@b.test> to=<x@else.test> proto=ESMTP helo=<client.test>",
  ]);
});

test("recipients that nobody can deliver to are refused, but only after the restrictions", () => {
  const { machine, say } = dialogue({ friend: true });
  say("MAIL FROM:<>");
  const refusal = { code: 550, enhanced: "5.1.1", text: "User unknown" };
  machine.line("RCPT TO:<x@here.test>", false);
  assert.equal(
    text(machine.checked({ class: "local", refusal })),
    "550 5.1.1 <x@here.test>: Recipient address rejected: User unknown",
  );
  machine.line("RCPT TO:<x@here.test>", false);
  assert.equal(text(machine.checked(undefined)), "451 4.3.0 <x@here.test>: Temporary lookup failure");
  const stranger = dialogue();
  stranger.say("MAIL FROM:<>");
  stranger.machine.line("RCPT TO:<x@else.test>", false);
  assert.equal(
    text(stranger.machine.checked({ class: "other", refusal })),
    "554 5.7.1 <x@else.test>: Relay access denied",
  );
});

test("both lists of restrictions have to be passed", () => {
  const { say } = dialogue({ friend: true, settings: { smtpd_recipient_restrictions: "reject_unauth_destination" } });
  assert.deepEqual(say("MAIL FROM:<>", "RCPT TO:<x@else.test>").at(-1), "554 5.7.1 <x@else.test>: Relay access denied");
});

test("a domain of ours does not authorise an address that leads on from it", () => {
  const { say } = dialogue();
  say("MAIL FROM:<>");
  for (const address of ["x%else.test@here.test", "else.test!x@here.test", '"x@else.test"@here.test']) {
    assert.match(say(`RCPT TO:<${address}>`)[0] ?? "", /Relay access denied/, address);
  }
});

test("soft_bounce turns every 5xx into a 4xx", () => {
  const { say } = dialogue({ settings: { soft_bounce: "yes" } });
  assert.deepEqual(say("FOO", "HELO", "RCPT TO:<x>"), [
    "400 4.5.2 Error: command not recognized",
    "401 Syntax: HELO hostname",
    "403 4.5.1 Error: need MAIL command",
  ]);
});

test("without room for a message MAIL is refused for now", () => {
  const { say } = dialogue({ room: false });
  assert.deepEqual(say("MAIL FROM:<>", "RCPT TO:<c@here.test>"), [
    "452 4.3.1 Insufficient system storage",
    "503 5.5.1 Error: need MAIL command",
  ]);
});

test("a client that has to wait and does not is sent away", () => {
  const { act, state, log } = dialogue();
  state.following = Buffer.from("MAIL FROM:<>\r\n");
  assert.deepEqual(act("EHLO x"), { kind: "end", text: "554 5.5.0 Error: SMTP protocol synchronization" });
  assert.deepEqual(log.lines, [
    "test: improper command pipelining after EHLO from client.test[203.0.113.1]: MAIL FROM:<>\\r\\n",
  ]);
  const patient = dialogue();
  patient.act("EHLO x");
  patient.state.following = Buffer.from("RCPT TO:<>\r\n");
  assert.equal(text(patient.act("MAIL FROM:<>")), "250 2.1.0 Ok");
});

test("a name that a client gives itself cannot forge a log line or a header", () => {
  const { say, log } = dialogue();
  say("EHLO a\x07b <c>;(d)@\u00e9", "MAIL FROM:<>", "RCPT TO:<x@else.test>");
  assert.match(log.lines[0] ?? "", /helo=<a\?b\?\?c\?\?\?d\?\?é>$/);
});

test("keywords that are discarded are neither offered nor honoured", () => {
  const { say } = dialogue({ settings: { smtpd_discard_ehlo_keywords: "dsn, smtputf8, silent-discard, size" } });
  assert.equal(
    say("EHLO x")[0],
    "250-mail.test\r\n250-PIPELINING\r\n250-VRFY\r\n250-ENHANCEDSTATUSCODES\r\n250 8BITMIME",
  );
  assert.equal(say("MAIL FROM:<a@b.test> RET=FULL")[0], "501 5.7.1 DSN support is disabled");
  assert.equal(say("MAIL FROM:<a@b.test> SMTPUTF8")[0], "555 5.5.4 Unsupported option: SMTPUTF8");
});

test("with smtpd_forbid_bare_newline = reject, a command without CR ends the session", () => {
  const { machine } = dialogue({ settings: { smtpd_forbid_bare_newline: "reject" } });
  assert.deepEqual(machine.line("NOOP", true), { kind: "end", text: "550 5.5.2 mail.test Error: bare <LF> received" });
});

test("errors are forgiven with the next message", () => {
  const { say, machine } = dialogue({ settings: { smtpd_hard_error_limit: "4" } });
  say("FOO", "FOO", "FOO", "MAIL FROM:<>", "RCPT TO:<c@here.test>", "DATA");
  machine.finished({ kind: "queued", id: "ID1" });
  assert.deepEqual(say("FOO", "FOO", "FOO").at(-1), "500 5.5.2 Error: command not recognized");
  assert.match(say("FOO")[0] ?? "", /\r\n421 4\.7\.0 mail\.test Error: too many errors$/);
});

type Step =
  | "EHLO"
  | "HELO"
  | "MAIL"
  | "badMAIL"
  | "RCPT"
  | "badRCPT"
  | "refusedRCPT"
  | "DATA"
  | "badDATA"
  | "RSET"
  | "NOOP"
  | "VRFY"
  | "FOO"
  | "refused"
  | "queued";

const lines: Readonly<Record<string, string>> = {
  EHLO: "EHLO x",
  HELO: "HELO x",
  MAIL: "MAIL FROM:<a@b.test>",
  badMAIL: "MAIL FROM:<a@b.test> FOO=1",
  RCPT: "RCPT TO:<c@here.test>",
  badRCPT: "RCPT TO:<>",
  refusedRCPT: "RCPT TO:<c@else.test>",
  DATA: "DATA",
  badDATA: "DATA x",
  RSET: "RSET",
  NOOP: "NOOP",
  VRFY: "VRFY c@here.test",
  FOO: "FOO",
};

test("whatever a client sends, in whatever order, the state is that of the model", () => {
  const steps = fc.array(fc.constantFrom<Step>(...(Object.keys(lines) as Step[]), "refused", "queued"), {
    maxLength: 60,
  });
  const patient = { smtpd_hard_error_limit: "1000", smtpd_junk_command_limit: "1000", smtpd_soft_error_limit: "1000" };
  fc.assert(
    fc.property(steps, (sequence) => {
      const { act, machine } = dialogue({ settings: patient });
      let mail = false;
      let accepted = 0;
      let inData = false;
      for (const step of sequence) {
        if (step === "refused" || step === "queued") {
          if (!inData) continue;
          const reply = { code: 451, enhanced: "4.3.0", text: "no" };
          machine.finished(step === "queued" ? { kind: "queued", id: "X" } : { kind: "deferred", reply });
          inData = mail = false;
          accepted = 0;
        } else if (!inData) {
          const action = act(lines[step] ?? "");
          const code = Number(text(action).slice(0, 3));
          assert.equal(action.kind === "data", step === "DATA" && accepted > 0, step);
          if (step === "EHLO" || step === "HELO" || step === "RSET") {
            mail = false;
            accepted = 0;
          } else if (step === "MAIL") {
            assert.equal(code, mail ? 503 : 250);
            mail = true;
          } else if (step === "RCPT") {
            assert.equal(code, mail ? 250 : 503);
            if (mail) accepted++;
          } else if (step === "refusedRCPT") assert.equal(code, mail ? 554 : 503);
          else if (step === "DATA") {
            inData = accepted > 0;
            assert.equal(code, !mail ? 503 : accepted > 0 ? 354 : 554);
            if (action.kind === "data") assert.equal(action.transaction.recipients.length, accepted);
          }
        }
        assert.equal(machine.idle, !mail);
        assert.equal(machine.queueId === "NOQUEUE", accepted === 0);
      }
    }),
    { numRuns: 500 },
  );
});

test("no line whatever makes the machine throw", () => {
  const words = fc.constantFrom(
    "MAIL",
    "RCPT",
    "FROM:",
    "TO:",
    "<",
    ">",
    '"',
    "\\",
    "a@b.test",
    " ",
    "SIZE=",
    "1",
    "NOTIFY=",
    "ORCPT=",
    "ENVID=",
    ";",
    "+",
    "\0",
    "ü",
    "VRFY",
    "EHLO",
    "SMTPUTF8",
    "AUTH=",
    ":",
  );
  fc.assert(
    fc.property(fc.array(words, { maxLength: 20 }), (parts) => {
      const { act } = dialogue();
      act("MAIL FROM:<a@b.test>");
      const said = text(act(parts.join("")));
      assert.match(said, /^\d{3}[ -]/);
      assert.doesNotMatch(said, /[\x00-\x09\x0b\x0c\x0e-\x1f]/);
    }),
    { numRuns: 1000 },
  );
});
