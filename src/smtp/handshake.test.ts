import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Handshake, type HandshakeSetup, type Move } from "./handshake.ts";
import { said } from "./testing/replies.ts";

const setup: HandshakeSetup = {
  protocol: "smtp" as const,
  server: "mx.test[192.0.2.1]",
  relay: "mx.test[192.0.2.1]:25",
  nexthop: "dest.test",
  heloName: "relay.test",
  ownName: "relay.test",
  bestHost: true,
  alwaysEhlo: true,
  neverEhlo: false,
  skip5xxGreeting: true,
  discard: new Set(),
  tls: "none",
  wrapper: false,
  login: false,
  needsSmtpUtf8: false,
};

const greeting = ["220 mx.test ESMTP"];
const ehlo = (...words: string[]): string[] => ["250-mx.test", ...words.map((word) => `250-${word}`), "250 HELP"];

/** Plays replies; a move "tls" succeeds. What is said, and how it ends. */
function play(changes: Partial<HandshakeSetup>, ...replies: readonly string[][]): { commands: string[]; last: Move } {
  const machine = new Handshake({ ...setup, ...changes });
  const commands: string[] = [];
  let used = 0;
  for (let move = machine.begin(); ; ) {
    if (move.kind === "ask" && move.command !== undefined) commands.push(move.command);
    if (move.kind === "tls") {
      commands.push("(tls)");
      move = machine.onTls();
      continue;
    }
    const reply = replies[used++];
    if (move.kind !== "ask" || !reply) return { commands, last: move };
    move = machine.onReply(said(...reply), false);
  }
}

function failureOf({ last }: { last: Move }): string {
  assert.equal(last.kind, "failed");
  return last.kind === "failed" ? `${last.failure.dsn} ${last.failure.reason}` : "";
}

test("a server that does not know EHLO is greeted with HELO", () => {
  for (const refusal of ["500 what", "502 5.5.1 no", "450 not now"]) {
    const { commands, last } = play({}, greeting, [refusal], ["250 mx.test"]);
    assert.deepEqual(commands, ["EHLO relay.test", "HELO relay.test"]);
    assert.equal(last.kind, "ready");
  }
});

test("421 to EHLO is no reason to say HELO", () => {
  assert.equal(
    failureOf(play({}, greeting, ["421 4.3.2 bye"])),
    "4.3.2 host mx.test[192.0.2.1] refused to talk to me: 421 4.3.2 bye",
  );
});

test("a 5xx greeting waits, unless the configuration says otherwise", () => {
  assert.match(failureOf(play({}, ["554 5.7.1 no"])), /^4\.7\.1 /);
  assert.match(failureOf(play({ skip5xxGreeting: false }, ["554 5.7.1 no"])), /^5\.7\.1 /);
});

test("a code that is neither yes nor no waits", () => {
  assert.match(failureOf(play({}, ["354 what"])), /^4\.5\.0 /);
});

test("STARTTLS is used where it is offered, and EHLO is said again", () => {
  const { commands, last } = play({ tls: "may" }, greeting, ehlo("STARTTLS"), ["220 go"], ehlo("AUTH PLAIN"));
  assert.deepEqual(commands, ["EHLO relay.test", "STARTTLS", "(tls)", "EHLO relay.test"]);
  assert.equal(last.kind, "ready");
});

test("what was offered before TLS is forgotten with it", () => {
  const machine = new Handshake({ ...setup, tls: "may", login: true });
  machine.begin();
  machine.onReply(said(...greeting), false);
  machine.onReply(said(...ehlo("STARTTLS", "AUTH PLAIN", "PIPELINING")), false);
  machine.onReply(said("220 go"), false);
  machine.onTls();
  assert.equal(machine.onReply(said("250 mx.test"), false).kind, "ready");
  assert.equal(machine.features.pipelining, false);
  assert.equal(machine.features.mechanisms, undefined);
});

test("replies that came in clear behind the one to STARTTLS end the session", () => {
  const machine = new Handshake({ ...setup, tls: "may" });
  machine.begin();
  machine.onReply(said(...greeting), false);
  machine.onReply(said(...ehlo("STARTTLS")), false);
  const move = machine.onReply(said("220 go"), true);
  assert.match(failureOf({ last: move }), /^4\.7\.0 .* sent more behind its reply to STARTTLS/);
});

test("required TLS that is not offered, or refused in whatever way, waits and says nothing more", () => {
  const missing = play({ tls: "required", login: true }, greeting, ehlo("AUTH PLAIN"));
  assert.equal(failureOf(missing), "4.7.4 TLS is required, but was not offered by host mx.test[192.0.2.1]");
  for (const refusal of ["454 4.7.0 no", "500 5.5.1 what", "666 what"]) {
    assert.match(failureOf(play({ tls: "required" }, greeting, ehlo("STARTTLS"), [refusal])), /^4\./);
  }
});

test("TLS that is only wished for is done without", () => {
  assert.equal(play({ tls: "may" }, greeting, ehlo("STARTTLS"), ["454 4.7.0 no"]).last.kind, "ready");
});

test("in wrapper mode TLS comes before the greeting, and STARTTLS is not said", () => {
  const { commands, last } = play({ tls: "required", wrapper: true }, greeting, ehlo("STARTTLS"));
  assert.deepEqual(commands, ["(tls)", "EHLO relay.test"]);
  assert.equal(last.kind, "ready");
});

test("a login is asked for only where AUTH is offered", () => {
  assert.equal(play({ login: true }, greeting, ehlo("AUTH PLAIN")).last.kind, "login");
  assert.equal(play({ login: true }, greeting, ehlo("AUTH")).last.kind, "login");
  assert.equal(play({ login: true }, greeting, ehlo()).last.kind, "ready");
  assert.equal(play({ login: false }, greeting, ehlo("AUTH PLAIN")).last.kind, "ready");
});

test("a server with our own name is a loop: for good at the best host, for now elsewhere", () => {
  const own = ["250 RELAY.test"];
  assert.equal(failureOf(play({}, greeting, own)), "5.4.6 mail for dest.test loops back to myself");
  assert.match(failureOf(play({ bestHost: false }, greeting, own)), /^4\.4\.6 /);
  assert.equal(play({ ownName: "" }, greeting, own).last.kind, "ready");
});

test("mail that needs SMTPUTF8 goes only to servers that have it", () => {
  assert.match(failureOf(play({ needsSmtpUtf8: true }, greeting, ehlo())), /^5\.6\.7 SMTPUTF8 is required/);
  assert.equal(play({ needsSmtpUtf8: true }, greeting, ehlo("SMTPUTF8")).last.kind, "ready");
});

test("where TLS is required, no reply of any kind gets to a login or to mail without it", () => {
  const reply = fc.constantFrom(
    greeting,
    ehlo("STARTTLS"),
    ehlo("AUTH PLAIN"),
    ehlo(),
    ["500 no"],
    ["454 no"],
    ["250 ok"],
    ["354 x"],
  );
  fc.assert(
    fc.property(fc.array(reply, { minLength: 1, maxLength: 8 }), (replies) => {
      const { commands, last } = play({ tls: "required", login: true }, ...replies);
      if (last.kind === "ready" || last.kind === "login") assert.ok(commands.includes("(tls)"));
    }),
  );
});
