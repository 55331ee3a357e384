import assert from "node:assert/strict";
import { test } from "node:test";
import { aliasLines } from "./alias-source.ts";

function parsed(line: string): string {
  let found = "";
  const warn = (text: string) => {
    found = text;
  };
  aliasLines({ path: "a", utf8: true, warn }, (name, value) => {
    found = `${name}|${value}`;
  })(Buffer.from(line), 1);
  return found;
}

test("names lose their quotes, values keep them, and white space is where it is needed", () => {
  const cases: [string, string][] = [
    ["root: admin@example.com,other", "root|admin@example.com, other"],
    ['"quoted user": x, "a b"@c', 'quoted user|x, "a b"@c'],
    ["list: :include:/etc/list", "list|:include:/etc/list"],
    ['cmd: "|/usr/bin/foo bar", /var/file', 'cmd|"|/usr/bin/foo bar", /var/file'],
    ["ang: Some Name <c@d>", "ang|Some Name <c@d>"],
    ["back: a\\ b", 'back|"a b"'],
    ["com (comment) : target (another (one))", "com (comment)|target (another (one))"],
    ["brk: [1.2.3.4]", "brk|[1.2.3.4]"],
    ['un: "unterminated', 'un|"unterminated"'],
    ["sp ace: v", "sp ace|v"],
    ['"": none', "|none"],
  ];
  for (const [line, wanted] of cases) assert.equal(parsed(line), wanted);
});

test("what is no alias is reported in Postfix's words", () => {
  for (const line of ["nocolon", "empty:", ": x", "a,b: c"])
    assert.equal(parsed(line), "a, line 1: need name:value pair");
  for (const line of ["foo@bar: x", "p%q: z"]) assert.equal(parsed(line), "a, line 1: name must be local");
});
