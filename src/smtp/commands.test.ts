import assert from "node:assert/strict";
import { test } from "node:test";
import { PathError } from "../rfc5321/path.ts";
import { mailCommand, rcptCommand } from "./commands.ts";
import { noFeatures } from "./features.ts";
import { requestTo, type TestMessage } from "./testing/client.ts";
import { CommandGroup, commandLine, WireError } from "./wire.ts";

const options = { converted: false, dummyAuth: false, unquoted: false };
const all = { ...noFeatures("mx.test"), size: true, eightBitMime: true, dsn: true, smtpUtf8: true };
const envelopeOf = (message: TestMessage) => requestTo("x", message).envelope;

test("parameters are sent only where the server offers them", () => {
  const envelope = envelopeOf({ body: "\xfc\r\n", envelope: { ret: "HDRS", envid: "a+2Bb" } });
  assert.equal(mailCommand(envelope, noFeatures(""), options), "MAIL FROM:<sender@local.test>");
  assert.equal(
    mailCommand(envelope, all, options),
    "MAIL FROM:<sender@local.test> SIZE=3 BODY=8BITMIME ENVID=a+2Bb RET=HDRS",
  );
});

test("SMTPUTF8 is said only for mail that needs it", () => {
  assert.equal(mailCommand(envelopeOf({}), all, options).includes("SMTPUTF8"), false);
  assert.match(mailCommand(envelopeOf({ envelope: { smtputf8: true } }), all, options), / SMTPUTF8$/);
});

test("a body that is converted on the way has no known size", () => {
  assert.equal(mailCommand(envelopeOf({}), all, { ...options, converted: true }), "MAIL FROM:<sender@local.test>");
});

test("ORCPT is sent wherever DSN is offered", () => {
  const envelope = envelopeOf({
    to: [{ address: "a@b.test", original: "x=y+z@b.test", notify: ["SUCCESS", "DELAY"] }],
  });
  const [recipient] = envelope.recipients;
  assert.ok(recipient);
  assert.equal(
    rcptCommand(recipient, envelope, all, false),
    "RCPT TO:<a@b.test> ORCPT=rfc822;x+3Dy+2Bz@b.test NOTIFY=SUCCESS,DELAY",
  );
  assert.equal(rcptCommand(recipient, envelope, noFeatures(""), false), "RCPT TO:<a@b.test>");
});

test("an address that could end the line is refused, and so is whatever else gets to the writer", () => {
  assert.throws(() => mailCommand(envelopeOf({ sender: "a\r\nRCPT TO:<x@y>@b" }), all, options), PathError);
  for (const bad of ["a\rb", "a\nb", "a\0b"]) assert.throws(() => commandLine(bad), WireError);
});

test("a group is one piece of bytes, UTF-8 where it is not ASCII", () => {
  assert.equal(new CommandGroup().add("A").add("B").take(), "A\r\nB\r\n");
  assert.deepEqual(new CommandGroup().add("A").add("ü").take(), Buffer.from("A\r\nü\r\n"));
});
