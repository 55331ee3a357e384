import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseMainCf } from "./main-cf.ts";
import { line_limit } from "./text.ts";

const values = (text: string) =>
  Object.fromEntries([...parseMainCf(text, "main.cf").settings].map(([name, { value }]) => [name, value]));

describe("parseMainCf", () => {
  it("takes name = value, with white space around both dropped", () => {
    assert.deepEqual(values("a=1\nb\t=  two  words \nc =\n"), { a: "1", b: "two  words", c: "" });
  });

  it("only C's white space is white space", () => {
    assert.deepEqual(values("a = \u00a0x\u00a0\n"), { a: "\u00a0x\u00a0" });
  });

  it("continuation lines keep their white space; comments and blank lines between them are left out", () => {
    assert.deepEqual(values("a = 1,\n  2\n# comment\n\n   # another\n\t3\nb = x"), { a: "1,  2\t3", b: "x" });
  });

  it("a # inside a value is no comment", () => assert.deepEqual(values("a = b # c\n"), { a: "b # c" }));

  it("knows file and line of each definition, its first line", () => {
    const { settings } = parseMainCf("# x\n\na = 1,\n  2\nb = 2\n", "/etc/main.cf");
    assert.deepEqual(settings.get("a"), { value: "1,  2", file: "/etc/main.cf", line: 3 });
    assert.equal(settings.get("b")?.line, 5);
  });

  it("the last definition counts, and an earlier one that differs is reported", () => {
    const { settings, warnings } = parseMainCf("a = 1\na = 1\na = 2\n", "main.cf");
    assert.deepEqual(settings.get("a"), { value: "2", file: "main.cf", line: 3 });
    assert.deepEqual(warnings, [{ file: "main.cf", line: 3, text: "overriding earlier entry: a=1", remedy: "" }]);
  });

  it("every line without a name or = is a problem with its line", () => {
    const { problems, settings } = parseMainCf("nonsense\n= x\nrelay host = y\nok = 1\n", "main.cf");
    assert.deepEqual(
      problems.map(({ line, text }) => [line, text]),
      [
        [1, `missing '=' after attribute name: "nonsense"`],
        [2, `missing attribute name: "= x"`],
        [3, `missing '=' after attribute name: "relay host = y"`],
      ],
    );
    assert.equal(settings.get("ok")?.value, "1");
  });

  it("a file that starts with white space is warned of, and read on", () => {
    const { settings, warnings } = parseMainCf("  a = 1\nb = 2\n", "main.cf");
    assert.deepEqual([...settings.keys()], ["b"]);
    assert.match(warnings[0]?.text ?? "", /must not start with whitespace/);
  });

  it("a logical line without end is refused", () => {
    const { problems } = parseMainCf(`a = 1\n${" x\n".repeat(line_limit / 2)}`, "main.cf");
    assert.match(problems[0]?.text ?? "", /longer than/);
  });

  it("text behind a NUL is dropped, with a warning", () => {
    const { settings, warnings } = parseMainCf("a = 1\0secret\n", "main.cf");
    assert.equal(settings.get("a")?.value, "1");
    assert.equal(warnings.length, 1);
  });
});
