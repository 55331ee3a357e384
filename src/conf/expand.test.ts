import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { compatibilityLevel, ExpansionError, expand, references } from "./expand.ts";

const values: Readonly<Record<string, string>> = {
  a: "one",
  b: "$a two",
  empty: "",
  number: "10",
  self: "$self",
  cost: "$$5",
};
const lookup = (name: string) => values[name];

describe("expand", () => {
  const table: readonly (readonly [text: string, result: string])[] = [
    ["$a ${a} $(a)", "one one one"],
    ["$b", "one two"],
    ["[$nope]", "[]"],
    ["$a-b $a.b $a_b.", "one-b one.b ."],
    ["$$a $cost", "$a $5"],
    ["${ a }", "one"],
    ["${a?yes}${empty?no}${nope?no}", "yes"],
    ["${a:no}${empty:yes}${nope:yes}", "yesyes"],
    ["${a?{x}:{y}}${empty?{x}:{y}}${a ? {x} : {y} }", "xyx"],
    ["${a?$b}", "one two"],
    ["${a??foo:{b}ar}", "?foo:{b}ar"],
    ["${{$a} == {one}}", "true"],
    ["[${{$a} != {one}}]", "[]"],
    ["${{$a} == {x} ? {same} : {$b}}", "one two"],
    ["${{10} > {9} ? {number}}${{x10} > {x9} ? {text}}", "number"],
    ["${{9} < {10}?a}${{9} <= {9}?b}${{9} >= {10}?c}${{9} != {09}?d}", "ab"],
    ["${{3.6} <level {3.10} ? {older}}", "older"],
    ["${{99999999999999999999} > {99999999999999999998}}", "true"],
  ];
  for (const [text, result] of table) it(`${text} gives ${result}`, () => assert.equal(expand(text, lookup), result));

  const mistakes: readonly (readonly [text: string, message: RegExp])[] = [
    ["a$", /^empty macro name: "a\$"$/],
    ["${}", /^empty macro name/],
    ["${x", /^truncated macro reference: "\$\{x"$/],
    ["${a b}", /^attribute name syntax error at: "\.\.\.a>>> b"$/],
    ["${a?{b} c}", /^":" expected at: "\.\.\.b\}>>>c"$/],
    ["${a?{b}:{c} d}", /^":" expected|^unexpected input at: "\.\.\.c\}>>>d"$/],
    ["${{a} = {b}}", /expected at: "\.\.\.a\}>>>= \{b\}"$/],
    ["${{a} == b}", /^"\{expression\}" expected at/],
    ["${{a} == {b} x}", /^"\?" or ":" expected at/],
    ["${{1} <level {x}}", /^malformed compatibility level syntax: "x"$/],
    ["${{1} <foo {2}}", /^bad operator suffix at: "\.\.\.<>>>foo"$/],
    ["$self", /^unreasonable macro call nesting/],
  ];
  for (const [text, message] of mistakes) {
    it(`${text} is refused in Postfix's words`, () => {
      assert.throws(
        () => expand(text, lookup),
        (error) => error instanceof ExpansionError && message.test(error.message),
      );
    });
  }

  it("a comparison that refers to itself ends", () => {
    assert.throws(() => expand("$x", () => "${{$x} == {y}}"), ExpansionError);
  });

  it("values that double at each level end early", () => {
    const doubling = (name: string) => `$${name}x$${name}x`;
    const deep = (name: string) => (name.length > 60 ? "end" : doubling(name));
    assert.throws(() => expand("$a", deep), /more than \d+ steps/);
  });

  it("a result longer than the limit is refused", () => {
    const long = "x".repeat(1 << 16);
    assert.throws(() => expand("$a".repeat(20), () => long), /longer than/);
  });
});

describe("references", () => {
  it("names every branch, and goes into no value", () => {
    const seen: string[] = [];
    references("$b ${x?{$y}:{$z}} ${{$l} == {$r} ? {$t}}", (name) => seen.push(name));
    assert.deepEqual(seen, ["b", "x", "y", "z", "l", "r", "t"]);
  });
});

describe("compatibilityLevel", () => {
  it("orders major, minor and patch as numbers", () => {
    assert.ok(compatibilityLevel("3.6") < compatibilityLevel("3.10"));
    assert.ok(compatibilityLevel("3.6") < compatibilityLevel("3.6.1"));
    assert.equal(compatibilityLevel("3"), compatibilityLevel("3.0.0"));
    for (const bad of ["", "x", "3.", "3.1024", "3.6.1.1", "-1"])
      assert.throws(() => compatibilityLevel(bad), ExpansionError);
  });
});
