import assert from "node:assert/strict";
import { test } from "node:test";
import { parseAnswer, shown, unusable, written } from "./action.ts";

test("an answer is a word in any case, and a text", () => {
  assert.deepEqual(parseAnswer(Buffer.from("reject \t go away ")), {
    ...{ action: "REJECT", text: "go away ", value: "reject \t go away " },
  });
  assert.equal(parseAnswer(Buffer.from("DUNNO")).text, "");
});

test("a header put in place of another stays one header, whatever a pattern has brought along", () => {
  assert.equal(String(written("X: a\n\tb\r\nBcc: c\rd", "header")), "X: a\r\n\tb\r\n\tBcc: c d");
  assert.equal(String(written("a\n.\r\nb", "body")), "a . b");
});

test("what is no header is not put into one", () => {
  const answer = (text: string) => parseAnswer(Buffer.from(`PREPEND ${text}`));
  assert.equal(unusable(answer("X-New: 1"), "header", "header_checks"), undefined);
  assert.match(
    unusable(answer("new"), "header", "header_checks") ?? "",
    /^bad PREPEND header text "new" in header_checks/,
  );
  assert.equal(unusable(answer("new"), "body", "body_checks"), undefined);
});

test("nothing in a message forges a line of the log", () => {
  assert.equal(shown("a\nb\0c\xff", 100), "a?b?c?");
  assert.equal(shown("\xc3\xbc-long", 2), "\u00fc");
});
