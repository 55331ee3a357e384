import assert from "node:assert/strict";
import { test } from "node:test";
import { postfixParameters } from "../conf/postfix-parameters.ts";
import { byClass, byReply, byStatus } from "./codes.ts";
import { entries, explain, isSuspended } from "./explain.ts";

const all = [...entries, ...Object.values(byStatus), ...Object.values(byReply), ...Object.values(byClass)];

for (const { code, examples } of entries) {
  test(`${code}: what servers and we say in real life is explained by it, and by nothing more general`, () => {
    assert.ok(examples.length > 0);
    for (const example of examples) assert.equal(explain(example)?.code, code, example);
  });
}

test("each explanation is said in whole sentences, and brings a remedy", () => {
  for (const { code, meaning, remedy } of all) {
    assert.match(code, /^[a-z0-9]+(?:-[a-z0-9]+)*$/);
    for (const text of [meaning, remedy]) assert.match(text, /^(?:[A-Z]|iCloud|postqueue).*\.$/s, `${code}: ${text}`);
    assert.ok(meaning.length <= 260 && remedy.length <= 320, `${code} is too long to be read`);
  }
});

test("no two explanations of words have the same code", () => {
  const codes = entries.map(({ code }) => code);
  assert.deepEqual(codes, [...new Set(codes)]);
});

test("parameters that a remedy names exist", () => {
  const known = postfixParameters();
  for (const { code, remedy } of all) {
    for (const [name] of remedy
      .replaceAll(/https:\S+/g, "")
      .matchAll(/\b(?:smtp|default|my|inet|message|relay|sender|defer)_[a-z_A-Z]+\b/g)) {
      const generic = name.replace(/^smtp_(?=destination_)/, "default_");
      assert.ok(known.has(generic), `${code} names ${name}`);
    }
  }
});

test("where only the code tells, it is explained by that", () => {
  const code = (text: string, dsn?: string) => explain(text, dsn)?.code;
  assert.equal(code("host mx.example.com[192.0.2.1] said: 550 5.1.2 nope (in reply to RCPT TO command)"), "bad-domain");
  assert.equal(code("host mx.example.com[192.0.2.1] said: 450 nope (in reply to RCPT TO command)"), "mailbox-busy");
  assert.equal(code("host mx.example.com[192.0.2.1] said: 499 nope"), "put-off");
  assert.equal(code("599-5.9.9 nope 599 5.9.9 no"), "refused");
  assert.equal(code("nobody knows"), undefined);
  assert.equal(code("nobody knows", "5.1.2"), "bad-domain");
  assert.equal(code(""), undefined);
});

test("mail for a suspended destination is explained by what suspended it", () => {
  const reason = "delivery temporarily suspended: connect to smtp.example.com[192.0.2.1]:587: Connection refused";
  assert.equal(explain(reason)?.code, "connection-refused");
  assert.equal(isSuspended(reason), true);
});

test("an endless reply is explained in no time", () => {
  for (const text of [
    "connect to ".repeat(100_000),
    "SASL authentication failed ".repeat(50_000),
    `said: 550 ${"a ".repeat(1e6)}`,
  ]) {
    explain(text);
  }
});
