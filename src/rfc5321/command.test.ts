import assert from "node:assert/strict";
import { test } from "node:test";
import { parseCommand, splitParameter } from "./command.ts";
import { agreeing, splitEnhanced, withClass } from "./enhanced.ts";
import { addressBytes, withoutMapping } from "./ip.ts";
import { decodeXtext, encodeXtext } from "./xtext.ts";

test("verb and words, with FROM: and TO: as words of their own", () => {
  assert.deepEqual(parseCommand("mail From:<a@b> SIZE=1"), {
    verb: "MAIL",
    words: ["From:", "<a@b>", "SIZE=1"],
    unclosed: [],
  });
  assert.deepEqual(parseCommand("RCPT  TO: <a@b>\t").words, ["TO:", "<a@b>"]);
  assert.deepEqual(parseCommand("Subject: x").verb, "SUBJECT:");
  assert.deepEqual(parseCommand("  "), { verb: "", words: [], unclosed: [] });
});

test("quotes and brackets hold white space and each other", () => {
  assert.deepEqual(parseCommand('MAIL FROM:<"a> b"@c> X').words, ["FROM:", '<"a> b"@c>', "X"]);
  assert.deepEqual(parseCommand('MAIL FROM:"a b"@c X').words, ["FROM:", '"a b"@c', "X"]);
  assert.deepEqual(parseCommand("MAIL FROM:<a\\> b> X").words, ["FROM:", "<a\\> b>", "X"]);
});

test("what never closes is told", () => {
  assert.deepEqual(parseCommand("MAIL FROM:<a b").unclosed, [1]);
  assert.deepEqual(parseCommand('MAIL FROM:<"a> b').unclosed, [1]);
  assert.deepEqual(parseCommand("MAIL FROM:<a\\").unclosed, [1]);
});

test("parameters are names with or without a value", () => {
  assert.deepEqual(splitParameter("size=1=2"), { name: "SIZE", value: "1=2" });
  assert.deepEqual(splitParameter("SMTPUTF8"), { name: "SMTPUTF8", value: undefined });
});

test("enhanced codes are taken off texts, and agree with the reply", () => {
  assert.deepEqual(splitEnhanced("5.1.1 no such user"), { enhanced: "5.1.1", text: "no such user" });
  assert.deepEqual(splitEnhanced("5.1.1000 x"), { enhanced: "", text: "5.1.1000 x" });
  assert.deepEqual(splitEnhanced("3.1.1 x"), { enhanced: "", text: "3.1.1 x" });
  assert.equal(agreeing(550, "4.1.1"), "5.0.0");
  assert.equal(agreeing(450, "4.1.1"), "4.1.1");
  assert.equal(agreeing(354, ""), "5.0.0");
  assert.equal(withClass("5.7.1", 4), "4.7.1");
});

test("xtext both ways", () => {
  for (const text of ["plain", "a+b=c d", "grüße", "\x00\x7f", ""]) assert.equal(decodeXtext(encodeXtext(text)), text);
  for (const bad of ["+", "+2", "+2b", "a=b", "a b", "+FF", "grüße"]) assert.equal(decodeXtext(bad), undefined, bad);
});

test("addresses as bytes", () => {
  assert.deepEqual([...(addressBytes("192.0.2.1") ?? [])], [192, 0, 2, 1]);
  assert.deepEqual([...(addressBytes("2001:db8::1") ?? [])], [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
  assert.deepEqual(addressBytes("::ffff:192.0.2.1")?.slice(10), new Uint8Array([255, 255, 192, 0, 2, 1]));
  for (const bad of [
    "",
    "1.2.3",
    "01.2.3.4",
    "1.2.3.256",
    "1.2.3.4.5",
    ":",
    ":::",
    "1:2:3:4:5:6:7",
    "1::2::3",
    "12345::",
    "1:2:3:4:5:6:7:8:9",
    "1.2.3.4::",
    "::1.2.3",
  ]) {
    assert.equal(addressBytes(bad), undefined, bad);
  }
  assert.equal(addressBytes("::")?.length, 16);
  assert.equal(withoutMapping("::ffff:192.0.2.1"), "192.0.2.1");
  assert.equal(withoutMapping("::1"), "::1");
});
