import assert from "node:assert/strict";
import { test } from "node:test";
import { extractRecipients } from "./extract-recipients.ts";

const from = (text: string, limit?: number) => extractRecipients(Buffer.from(text), limit);

test("To, Cc and Bcc are asked, and nothing behind the header", () => {
  const text = "From: me\nTo: a@x,\n b@x\nSubject: To: no@x\ncc: C <c@x>\nBcc: d\n\nTo: body@x\n";
  assert.deepEqual(from(text), { kind: "recipients", addresses: ["a@x", "b@x", "c@x", "d"] });
});

test("the Resent- ones stand for all where there are any", () => {
  const text = "To: a@x\nResent-To: b@x\nCc: c@x\nResent-Bcc: d@x\n\n";
  assert.deepEqual(from(text), { kind: "recipients", addresses: ["b@x", "d@x"] });
});

test("addresses beyond ASCII are UTF-8", () => {
  assert.deepEqual(from("To: gr\u00fc\u00dfe@x\n\n"), { kind: "recipients", addresses: ["gr\u00fc\u00dfe@x"] });
});

test("more recipients than the limit are an answer of their own", () => {
  assert.deepEqual(from("To: a, b, c\n\n", 2), { kind: "too many", limit: 2 });
});
