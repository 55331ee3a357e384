import assert from "node:assert/strict";
import { test } from "node:test";
import { memoryLog } from "../log/log.ts";
import { ManualClock } from "../runtime/manual-clock.ts";
import { NameError, type Names } from "../runtime/names.ts";
import { realNet } from "../runtime/net.ts";
import { TableError } from "../table/table.ts";
import { ClientLimits, clientKey } from "./limits.ts";
import { PeerNames } from "./peername.ts";
import { settled, type TestRelay, testRelay, type Wire } from "./test-relay.ts";

const envelope = "EHLO x\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<c@here.test>\r\nDATA\r\n".split(/(?<=\n)/);

/** A session that waits for the text of a message. */
function upToData(relay: TestRelay, address?: string): Wire {
  const wire = relay.connect(address);
  for (const line of envelope) wire.send(line);
  assert.match(wire.take(), /354 End data with <CR><LF>\.<CR><LF>\r\n$/);
  return wire;
}

test("a whole session: replies, the message, and the log of Postfix", async () => {
  const relay = testRelay();
  const wire = relay.connect();
  assert.equal(wire.take(), "220 mail.test ESMTP Postfix\r\n");
  wire.send("EHLO x\r\n");
  assert.match(wire.take(), /^250-mail\.test\r\n(250-.*\r\n)+250 SMTPUTF8\r\n$/);
  wire.send("MAIL FROM:<a@b.test>\r\nRCPT TO:<c@here.test>\r\nDATA\r\n");
  assert.deepEqual(wire.writes.splice(0), ["250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n354 End data with <CR><LF>.<CR><LF>\r\n"]);
  wire.send("Subject: x\r\n\r\n..body\r\n.\r\nQUIT\r\n");
  await settled();
  assert.deepEqual(wire.writes, ["250 2.0.0 Ok: queued as A1\r\n221 2.0.0 Bye\r\n"]);
  assert.ok(wire.over);
  wire.destroy();
  assert.equal(relay.taken[0]?.body, "Subject: x\r\n\r\n.body\r\n");
  assert.deepEqual(relay.log.lines, [
    "smtpd: connect from unknown[192.0.2.7]",
    "smtpd: A1: client=unknown[192.0.2.7]",
    "smtpd: disconnect from unknown[192.0.2.7] ehlo=1 mail=1 rcpt=1 data=1 quit=1 commands=5",
  ]);
  assert.equal(relay.server.sessions, 0);
});

test("the same session, cut into single bytes", async () => {
  const relay = testRelay({ smtpd_forbid_unauth_pipelining: "no" });
  const wire = relay.connect();
  for (const char of `${envelope.join("")}a\r\n.\r\nNOOP\r\n`) wire.send(char);
  await settled();
  assert.match(wire.take(), /354 .*\r\n250 2\.0\.0 Ok: queued as A1\r\n250 2\.0\.0 Ok\r\n$/);
  assert.equal(relay.taken[0]?.body, "a\r\n");
});

test("250 to a message comes only once the queue has it", async () => {
  const relay = testRelay();
  let commit = (): void => {};
  relay.answer = () => new Promise((resolve) => (commit = () => resolve({ kind: "queued", id: "A1" })));
  const wire = upToData(relay);
  wire.send("a\r\n.\r\nMAIL FROM:<>\r\n");
  await settled();
  assert.equal(wire.take(), "");
  commit();
  await settled();
  assert.equal(wire.take(), "250 2.0.0 Ok: queued as A1\r\n250 2.1.0 Ok\r\n");
});

test("a message that the queue does not take is answered with its reply; a failure with come back later", async () => {
  const relay = testRelay();
  relay.answer = async () => ({
    kind: "rejected",
    reply: { code: 554, enhanced: "5.4.0", text: "Error: too many hops" },
  });
  upToData(relay).send(".\r\n");
  const wire = upToData(relay);
  wire.send(".\r\n");
  await settled();
  assert.equal(wire.take(), "554 5.4.0 Error: too many hops\r\n");
  relay.answer = () => Promise.reject(new Error("a bug"));
  const unlucky = upToData(relay);
  unlucky.send(".\r\n");
  await settled();
  assert.equal(unlucky.take(), "451 4.3.0 Error: queue file write error\r\n");
});

test("a message larger than message_size_limit is refused, and nothing of it is kept", async () => {
  const relay = testRelay({ message_size_limit: "1000" });
  const wire = upToData(relay);
  for (let line = 0; line < 20; line++) wire.send(`${"x".repeat(98)}\r\n`);
  wire.send(".\r\nNOOP\r\n");
  await settled();
  assert.equal(wire.take(), "552 5.3.4 Error: message file too big\r\n250 2.0.0 Ok\r\n");
  assert.equal(relay.taken[0]?.fate, "abandoned");
  assert.ok(relay.log.lines.includes("smtpd: warning: A1: queue file size limit exceeded"));
  const exact = upToData(relay);
  exact.send(`${`${"x".repeat(98)}\r\n`.repeat(10)}.\r\n`);
  await settled();
  assert.match(exact.take(), /^250 2\.0\.0 Ok: queued/);
});

test("a client that goes away in the middle of a message leaves nothing behind", () => {
  const relay = testRelay();
  const wire = upToData(relay);
  wire.send("half a mess");
  wire.destroy();
  assert.equal(relay.taken[0]?.fate, "abandoned");
  assert.deepEqual(relay.log.lines.slice(-2), [
    "smtpd: lost connection after DATA (11 bytes) from unknown[192.0.2.7]",
    "smtpd: disconnect from unknown[192.0.2.7] ehlo=1 mail=1 rcpt=1 data=0/1 commands=3/4",
  ]);
});

test("a client that goes away while the queue works loses no message, and the session ends after it", async () => {
  const relay = testRelay();
  let commit = (): void => {};
  relay.answer = () => new Promise((resolve) => (commit = () => resolve({ kind: "queued", id: "A1" })));
  const wire = upToData(relay);
  wire.send("a\r\n.\r\n");
  wire.destroy();
  assert.equal(relay.server.sessions, 1);
  commit();
  await settled();
  assert.equal(relay.server.sessions, 0);
  assert.equal(relay.taken[0]?.fate, "committed");
  assert.ok(!relay.log.lines.some((line) => line.includes("lost connection")));
});

test("an intake that is full holds the client back, and gets every byte in order", async () => {
  const relay = testRelay();
  const waiting: (() => void)[] = [];
  relay.pressure = () => new Promise<void>((resolve) => waiting.push(resolve));
  const wire = upToData(relay);
  wire.send("one\r\n..two\r\nthree\r\n");
  assert.ok(wire.paused);
  wire.send("four\r\n.\r\n");
  for (let turn = 0; turn < 10; turn++) {
    waiting.shift()?.();
    await settled();
  }
  assert.ok(!wire.paused);
  assert.equal(relay.taken[0]?.body, "one\r\n.two\r\nthree\r\nfour\r\n");
  assert.match(wire.take(), /^250 2\.0\.0 Ok: queued/);
});

test("a client that does not read its replies is not read from, and has a deadline", () => {
  const relay = testRelay();
  const wire = relay.connect();
  wire.full = true;
  for (let count = 0; count < 50; count++) wire.send("NOOP\r\n");
  assert.equal(wire.writes.length, 2);
  relay.clock.advance(300_000);
  assert.ok(wire.dead);
});

test("a command that dribbles in has the time of a whole command, and no more", () => {
  const relay = testRelay({ smtpd_timeout: "60s" });
  const wire = relay.connect();
  relay.clock.advance(50_000);
  wire.send("NOOP\r\n");
  for (let second = 0; second < 59; second++) {
    relay.clock.advance(1000);
    wire.send("N");
  }
  assert.ok(!wire.over);
  wire.take();
  relay.clock.advance(1000);
  assert.equal(wire.take(), "421 4.4.2 mail.test Error: timeout exceeded\r\n");
  assert.ok(relay.log.lines.includes("smtpd: timeout after NOOP from unknown[192.0.2.7]"));
});

test("a message has to arrive at the least rate", () => {
  const relay = testRelay({ smtpd_timeout: "60s", smtpd_min_data_rate: "100" });
  const fast = upToData(relay);
  for (let second = 0; second < 300; second++) {
    relay.clock.advance(1000);
    fast.send("x".repeat(200));
  }
  assert.ok(!fast.over);
  const slow = upToData(relay);
  for (let second = 0; second < 120; second++) {
    relay.clock.advance(1000);
    slow.send("x".repeat(10));
  }
  assert.ok(slow.over);
});

test("the deadline does not run while the queue is slow", async () => {
  const relay = testRelay({ smtpd_timeout: "10s" });
  let commit = (): void => {};
  relay.answer = () => new Promise((resolve) => (commit = () => resolve({ kind: "queued", id: "A1" })));
  const wire = upToData(relay);
  wire.send(".\r\n");
  relay.clock.advance(600_000);
  commit();
  await settled();
  assert.match(wire.take(), /^250/);
});

test("a client that was told goodbye and stays is cut off", () => {
  const relay = testRelay();
  const wire = relay.connect();
  wire.send("QUIT\r\n");
  relay.clock.advance(10_000);
  assert.ok(wire.dead);
  assert.equal(relay.server.sessions, 0);
});

test("a line that is too long is refused without being kept, and the next one is read", () => {
  const relay = testRelay();
  const wire = relay.connect();
  wire.take();
  for (let count = 0; count < 100; count++) wire.send("x".repeat(100_000));
  wire.send("\r\nNOOP\r\n");
  assert.equal(wire.take(), "500 5.5.2 mail.test Error: command too long\r\n250 2.0.0 Ok\r\n");
});

test("bytes that are not UTF-8 are no command", () => {
  const relay = testRelay();
  const wire = relay.connect();
  wire.take();
  wire.send(Buffer.from("NOOP \xff\r\n", "latin1"));
  assert.equal(wire.take(), "500 5.5.2 Error: bad UTF-8 syntax\r\n");
});

test("a table that cannot tell what a recipient is refuses it for now, and the session goes on", async () => {
  const relay = testRelay();
  const wire = relay.connect();
  wire.send("MAIL FROM:<>\r\n");
  wire.take();
  relay.classify = () => {
    throw new TableError("retry", "down");
  };
  wire.send("RCPT TO:<c@here.test>\r\n");
  relay.classify = () => Promise.reject(new TableError("retry", "down"));
  wire.send("RCPT TO:<c@here.test>\r\n");
  relay.classify = async () => ({ class: "local" });
  wire.send("RCPT TO:<c@here.test>\r\n");
  await settled();
  const refused = "451 4.3.0 <c@here.test>: Temporary lookup failure\r\n";
  assert.equal(wire.take(), `${refused}${refused}250 2.1.5 Ok\r\n`);
});

test("replies to a client that makes errors are held back", () => {
  const relay = testRelay({ smtpd_soft_error_limit: "2", smtpd_forbid_unauth_pipelining: "no" });
  const wire = relay.connect();
  wire.take();
  wire.send("FOO\r\nFOO\r\nNOOP\r\nNOOP\r\n");
  assert.equal(wire.take(), "500 5.5.2 Error: command not recognized\r\n".repeat(2));
  relay.clock.advance(1000);
  assert.equal(wire.take(), "250 2.0.0 Ok\r\n");
  relay.clock.advance(1000);
  assert.equal(wire.take(), "250 2.0.0 Ok\r\n");
});

test("one client may not have all sessions; those on the list of exceptions may", () => {
  const relay = testRelay({ smtpd_client_connection_count_limit: "2" });
  const wires = [1, 2, 3].map(() => relay.connect("203.0.113.5"));
  assert.match(wires[2]?.take() ?? "", /^421 4\.7\.0 mail\.test Error: too many connections from 203\.0\.113\.5\r\n$/);
  wires[0]?.destroy();
  wires[2]?.destroy();
  assert.match(relay.connect("203.0.113.5").take(), /^220/);
  for (let count = 0; count < 5; count++) assert.match(relay.connect("192.0.2.1").take(), /^220/);
});

test("beyond smtpd_session_limit clients get 421; near it time limits are short", () => {
  const relay = testRelay({ smtpd_session_limit: "10" });
  const wires = Array.from({ length: 11 }, () => relay.connect());
  assert.equal(wires[10]?.take(), "421 4.3.2 All server ports are busy\r\n");
  relay.clock.advance(10_000);
  assert.ok(wires[0]?.over);
  assert.match(wires[0]?.take() ?? "", /421 4\.4\.2/);
});

test("close() ends idle sessions with 421 and waits for messages in hand", async () => {
  const relay = testRelay();
  let commit = (): void => {};
  relay.answer = () => new Promise((resolve) => (commit = () => resolve({ kind: "queued", id: "A1" })));
  const idle = relay.connect();
  const working = upToData(relay);
  const committing = upToData(relay);
  committing.send(".\r\n");
  idle.take();
  let gone = false;
  void relay.server.close().then(() => (gone = true));
  assert.equal(idle.take(), "421 4.3.2 mail.test Service shutting down\r\n");
  assert.ok(!working.over);
  commit();
  await settled();
  assert.match(committing.take(), /^250 2\.0\.0 Ok: queued as A1\r\n421/);
  working.send(".\r\n");
  commit();
  await settled();
  assert.match(working.take(), /^250 .*\r\n421 4\.3\.2/);
  for (const wire of [idle, working, committing]) wire.destroy();
  await settled();
  assert.ok(gone);
});

test("finish() lets sessions go on with further messages, up to smtpd_drain_time_limit", async () => {
  const relay = testRelay({ smtpd_drain_time_limit: "100s", smtpd_timeout: "1000s" });
  const wire = relay.connect();
  wire.send("EHLO x\r\n");
  let gone = false;
  void relay.server.finish().then(() => (gone = true));
  for (const line of envelope.slice(1)) wire.send(line);
  wire.send("a\r\n.\r\n");
  await settled();
  assert.match(wire.take(), /queued as A1\r\n$/);
  wire.send("MAIL FROM:<>\r\n");
  relay.clock.advance(100_000);
  assert.equal(wire.take(), "250 2.1.0 Ok\r\n");
  wire.send("RSET\r\n");
  assert.equal(wire.take(), "250 2.0.0 Ok\r\n421 4.3.2 mail.test Service shutting down\r\n");
  wire.destroy();
  await settled();
  assert.ok(gone);
});

test("what nobody expected ends that session with come back later, and no other", async () => {
  const relay = testRelay();
  const other = upToData(relay);
  const wire = relay.connect();
  for (const line of envelope.slice(0, 3)) wire.send(line);
  wire.take();
  relay.taken.push = () => {
    throw new Error("a bug");
  };
  wire.send("DATA\r\n");
  assert.match(wire.take(), /421 4\.3\.0 mail\.test Server local error\r\n$/);
  other.send("a\r\n.\r\n");
  await settled();
  assert.match(other.take(), /^250 2\.0\.0 Ok: queued/);
});

test("a message with a bare LF is refused where that is asked for, and nothing of it is kept", async () => {
  const relay = testRelay({ smtpd_forbid_bare_newline: "reject" });
  const wire = upToData(relay);
  wire.send("a\nb\r\n.\r\nNOOP\r\n");
  await settled();
  assert.equal(wire.take(), "550 5.5.2 mail.test Error: bare <LF> received\r\n250 2.0.0 Ok\r\n");
  assert.equal(relay.taken[0]?.fate, "abandoned");
});

test("commands are counted against rates", () => {
  const relay = testRelay({ smtpd_client_message_rate_limit: "1", smtpd_client_recipient_rate_limit: "1" });
  const wire = relay.connect("203.0.113.5");
  wire.take();
  wire.send("MAIL FROM:<>\r\nRCPT TO:<c@here.test>\r\n".split(/(?<=\n)/)[0] ?? "");
  wire.send("RCPT TO:<c@here.test>\r\n");
  wire.send("RCPT TO:<d@here.test>\r\n");
  wire.send("RSET\r\n");
  wire.send("MAIL FROM:<>\r\n");
  assert.deepEqual(wire.take().trimEnd().split("\r\n"), [
    "250 2.1.0 Ok",
    "250 2.1.5 Ok",
    "450 4.7.1 Error: too many recipients from 203.0.113.5",
    "250 2.0.0 Ok",
    "450 4.7.1 Error: too much mail from 203.0.113.5",
  ]);
  relay.clock.advance(60_000);
  wire.send("MAIL FROM:<>\r\n");
  assert.equal(wire.take(), "250 2.1.0 Ok\r\n");
});

test("clients that are gone are forgotten", () => {
  const clock = new ManualClock();
  const limits = new ClientLimits(clock, 60);
  for (let count = 0; count < 100; count++) {
    limits.connected(`client ${count}`);
    if (count > 0) limits.disconnected(`client ${count}`);
  }
  clock.advance(120_000);
  limits.connected("another");
  assert.equal(limits.size, 2);
  assert.equal(clientKey("192.0.2.77", 24, 84), clientKey("192.0.2.1", 24, 84));
  assert.notEqual(clientKey("2001:db8::1", 32, 64), clientKey("2001:db8:0:1::1", 32, 64));
  assert.equal(clientKey("2001:db8::1", 32, 64), clientKey("2001:db8::2", 32, 64));
});

function names(reverse: Record<string, string>, forward: Record<string, string[]>): Names {
  const absent = (name: string): Promise<never> => Promise.reject(new NameError("notFound", name));
  return {
    addresses: async (name) => forward[name] ?? absent(name),
    mx: absent,
    srv: absent,
    reverse: async (address) => (reverse[address] === undefined ? absent(address) : [reverse[address]]),
    native: absent,
  };
}

test("a client's name is believed only if it leads back to its address", async () => {
  const found = names(
    { "192.0.2.1": "Good.Test", "192.0.2.2": "forged.test", "192.0.2.3": "nowhere.test", "192.0.2.4": "a b\r\nc" },
    { "good.test": ["192.0.2.9", "192.0.2.1"], "forged.test": ["198.51.100.1"] },
  );
  const log = memoryLog();
  const peers = new PeerNames({ names: found, clock: new ManualClock(), log, timeout_s: 5 });
  assert.equal(await peers.nameOf("192.0.2.1"), "good.test");
  assert.equal(peers.nameOf("192.0.2.1"), "good.test", "kept");
  for (const last of [2, 3, 4, 5]) assert.equal(await peers.nameOf(`192.0.2.${last}`), "unknown");
  assert.equal(peers.nameOf("127.0.0.1"), "localhost");
  assert.equal(peers.nameOf("::1"), "localhost");
  assert.deepEqual(log.lines, [
    "test: warning: hostname forged.test does not resolve to address 192.0.2.2",
    "test: warning: hostname nowhere.test does not resolve to address 192.0.2.3: notFound",
  ]);
});

test("a name service that does not answer holds the greeting back for a bounded time", async () => {
  const silent: Names = { ...names({}, {}), reverse: () => new Promise(() => {}) };
  const relay = testRelay({ smtpd_peername_lookup: "yes", smtpd_peername_timeout: "3s" }, silent);
  const wire = relay.connect();
  await settled();
  assert.equal(wire.take(), "");
  relay.clock.advance(3000);
  await settled();
  assert.match(wire.take(), /^220/);
});

test("over real sockets: many clients at once, and every message arrives whole", async () => {
  const relay = testRelay({ mynetworks: "127.0.0.0/8", smtpd_client_event_limit_exceptions: "127.0.0.0/8" });
  const listener = await realNet.listen({ address: "127.0.0.1", port: 0 }, (connection) =>
    relay.server.take(connection),
  );
  const send = async (number: number): Promise<string> => {
    const connection = await realNet.connect({ address: "127.0.0.1", port: listener.bound.port, timeout_ms: 5000 });
    const body = `number ${number}\r\n..dot\r\n`.repeat(500 * (number % 3) + 1);
    const turns = ["EHLO x\r\n", "MAIL FROM:<a@b.test>\r\nRCPT TO:<c@here.test>\r\nDATA\r\n", `${body}.\r\nQUIT\r\n`];
    let received = "";
    await new Promise<void>((resolve) => {
      connection.listen({
        data(bytes) {
          received += bytes.toString("latin1");
          if (/(?:^220 .*|SMTPUTF8|^354 .*)\r\n$/m.test(received)) {
            const turn = turns.shift();
            if (turn) connection.write(turn);
          }
        },
        ended: () => connection.end(),
        drained() {},
        closed: () => resolve(),
      });
    });
    assert.match(received, /queued as \w+\r\n221 2\.0\.0 Bye\r\n$/);
    return body.replaceAll("\r\n..", "\r\n.");
  };
  const sent = await Promise.all(Array.from({ length: 30 }, (_, number) => send(number)));
  assert.deepEqual(relay.taken.map(({ body }) => body).sort(), sent.sort());
  await listener.close();
  await relay.server.close();
});

test("clients that are turned away are not waited for, and only so many at a time are told why", () => {
  const relay = testRelay({ smtpd_session_limit: "1" });
  relay.connect();
  const wires = Array.from({ length: 600 }, () => relay.connect());
  assert.equal(wires[0]?.take(), "421 4.3.2 All server ports are busy\r\n");
  assert.ok(wires.at(-1)?.dead, "the last one was cut off without a word");
  assert.ok(!wires[0]?.dead);
  relay.clock.advance(1000);
  assert.ok(wires.every(({ dead }) => dead));
  const later = relay.connect();
  assert.equal(later.take(), "421 4.3.2 All server ports are busy\r\n");
});

test("a client with too many connections is refused without waiting for its name, and gives its place back soon", async () => {
  const never: Names = { ...silentNames, reverse: () => new Promise(() => {}) };
  const settings = {
    smtpd_client_connection_count_limit: "2",
    smtpd_peername_lookup: "yes",
    smtpd_session_limit: "20",
  };
  const relay = testRelay(settings, never);
  const wires = Array.from({ length: 5 }, () => relay.connect("203.0.113.9"));
  assert.deepEqual(
    wires.map((wire) => wire.take()),
    [
      "",
      "",
      ...Array.from({ length: 3 }, () => "421 4.7.0 mail.test Error: too many connections from 203.0.113.9\r\n"),
    ],
  );
  assert.equal(relay.server.sessions, 3);
  relay.clock.advance(1000);
  assert.equal(relay.server.sessions, 0);
  assert.ok(wires.slice(2).every(({ dead }) => dead));
  relay.clock.advance(5000);
  await settled();
  assert.equal(wires[0]?.take(), "220 mail.test ESMTP Postfix\r\n");
});

test("a bug behind a look-up, or behind a pause, ends that session alone", async () => {
  const relay = testRelay({ smtpd_soft_error_limit: "1" });
  const broken = {
    get class(): never {
      throw new Error("a bug");
    },
  };
  relay.classify = async () => broken;
  const waiting = relay.connect();
  waiting.send("EHLO x\r\n");
  waiting.send("MAIL FROM:<a@b.test>\r\nRCPT TO:<c@here.test>\r\n");
  await settled();
  assert.match(waiting.take(), /421 4\.3\.0 mail\.test Server local error\r\n$/);
  relay.classify = () => broken;
  const slow = relay.connect();
  for (const line of ["FOO\r\n", "EHLO x\r\n", "MAIL FROM:<a@b.test>\r\n", "RCPT TO:<c@here.test>\r\n"]) {
    slow.send(line);
    relay.clock.advance(1000);
  }
  assert.match(slow.take(), /421 4\.3\.0 mail\.test Server local error\r\n$/);
  relay.clock.advance(10_000);
  assert.ok(waiting.dead && slow.dead);
  assert.equal(relay.server.sessions, 0);
});

test("a client that was told goodbye behind a pause is not waited for any longer than others", () => {
  const relay = testRelay({ smtpd_soft_error_limit: "1", smtpd_hard_error_limit: "2" });
  const wire = relay.connect();
  wire.send("FOO\r\nFOO\r\n");
  relay.clock.advance(1000);
  assert.match(wire.take(), /421 4\.7\.0 mail\.test Error: too many errors\r\n$/);
  relay.clock.advance(10_000);
  assert.ok(wire.dead);
});

const silentNames: Names = {
  addresses: () => new Promise(() => {}),
  mx: () => new Promise(() => {}),
  srv: () => new Promise(() => {}),
  reverse: () => new Promise(() => {}),
  native: () => new Promise(() => {}),
};
