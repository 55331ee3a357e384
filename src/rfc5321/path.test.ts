import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  formatPath,
  isAddressLiteral,
  isDomain,
  PathError,
  parsePath,
  quoteLocal,
  splitAddress,
  unquoteLocal,
} from "./path.ts";

const lenient = { smtputf8: false, strict: false };
const strict = { smtputf8: false, strict: true };
const utf8 = { smtputf8: true, strict: false };

test("an address is split at the last @ outside quotes", () => {
  assert.deepEqual(splitAddress("a@b.test"), { local: "a", domain: "b.test" });
  assert.deepEqual(splitAddress('"a@x"@b.test'), { local: '"a@x"', domain: "b.test" });
  assert.deepEqual(splitAddress('"a\\"@x"@b.test'), { local: '"a\\"@x"', domain: "b.test" });
  assert.deepEqual(splitAddress('"a@x"'), { local: '"a@x"', domain: "" });
  assert.deepEqual(splitAddress("a@x@b.test"), { local: "a@x", domain: "b.test" });
  assert.deepEqual(splitAddress("root"), { local: "root", domain: "" });
  assert.deepEqual(splitAddress(""), { local: "", domain: "" });
});

test("source routes are dropped", () => {
  assert.equal(parsePath("<@one.test,@two.test:user@three.test>", lenient), "user@three.test");
  assert.equal(parsePath("<@one.test:user@three.test>", strict), "user@three.test");
});

test("quotes are kept where the grammar wants them, and only there", () => {
  assert.equal(parsePath('<"two words"@b.test>', strict), '"two words"@b.test');
  assert.equal(parsePath('<"plain"@b.test>', strict), "plain@b.test");
  assert.equal(parsePath("<a..b@b.test>", lenient), '"a..b"@b.test');
  assert.equal(parsePath("<a\\ b@b.test>", lenient), '"a b"@b.test');
});

test("brackets and comments may be missing or there, unless told to be strict", () => {
  for (const text of [
    "a@b.test",
    " <a@b.test>".trim(),
    "< a@b.test >",
    "<a@b.test(comment)>",
    "<(x)a@b.test>",
    "<<a@b.test>>",
  ]) {
    assert.equal(parsePath(text, lenient), "a@b.test", text);
  }
  for (const text of ["a@b.test", "< a@b.test >", "<a@b.test(comment)>", "<<a@b.test>>", "<a..b@b.test>"]) {
    assert.equal(parsePath(text, strict), undefined, text);
  }
});

test("what is no address is refused", () => {
  const bad = [
    '<"a@b.test>',
    "<a@>",
    "<@>",
    "<a@-b.test>",
    "<a@b..test>",
    "<a@1.2.3.4>",
    "<a b@c.test>",
    "<a,b@c.test>",
  ];
  for (const text of [
    ...bad,
    "<a>b@c.test>",
    "<a(b@c.test>",
    "<a\r\n@b.test>",
    "<a\0@b.test>",
    "<a\x7f@b.test>",
    "<a@b.test\\",
  ]) {
    assert.equal(parsePath(text, lenient), undefined, JSON.stringify(text));
  }
  assert.equal(parsePath(`<${"a".repeat(3000)}@b.test>`, lenient), undefined);
});

test("characters outside ASCII need SMTPUTF8, in either part", () => {
  for (const text of ["<grüße@b.test>", "<a@bücher.test>", "<用户@例子.测试>"]) {
    assert.equal(parsePath(text, lenient), undefined);
    assert.equal(parsePath(text, utf8), text.slice(1, -1));
  }
  assert.equal(parsePath("<\ud800@b.test>", utf8), undefined);
});

test("address literals are checked", () => {
  assert.equal(parsePath("<a@[192.0.2.1]>", strict), "a@[192.0.2.1]");
  assert.equal(parsePath("<a@[IPv6:2001:db8::1]>", strict), "a@[IPv6:2001:db8::1]");
  for (const text of ["[192.0.2]", "[192.0.2.256]", "[::1]", "[IPv6:1::2::3]", "[IPv6:192.0.2.1]", "[]", "[IPv6:]"]) {
    assert.equal(isAddressLiteral(text), false, text);
  }
});

test("a domain is labels of letters, digits and hyphens", () => {
  for (const name of ["a", "localhost", "a-b.test", "a_b.test", "1and1.test", "xn--bcher-kva.test", "bücher.test"]) {
    assert.ok(isDomain(name), name);
  }
  for (const name of [
    "",
    ".",
    "a.",
    ".a",
    "a..b",
    "-a",
    "a-",
    "a b",
    "1.2.3.4",
    "a/b",
    `${"x".repeat(64)}.test`,
    "a@b",
  ]) {
    assert.ok(!isDomain(name), name);
  }
});

test("what is written is never more than one path", () => {
  const hostile = [
    "a\r\nRCPT TO:<b@c.test>",
    "a\n",
    "a\0@b.test",
    "a\x7f@b.test",
    "a\u0085b@c.test",
    '"a',
    '"a\\"@b.test',
  ];
  for (const address of [
    ...hostile,
    "a@b.test>\r\n",
    "a@b.test> SIZE=1",
    "a@b c.test",
    'a@"b.test',
    "a@b<c",
    "\ud800@b.test",
    "a\\",
  ]) {
    assert.throws(() => formatPath(address), PathError, JSON.stringify(address));
  }
  assert.equal(formatPath(""), "<>");
  assert.equal(formatPath("a@b.test"), "<a@b.test>");
  assert.equal(formatPath("two words@b.test"), '<"two words"@b.test>');
  assert.equal(formatPath("a>b@c.test"), '<"a>b"@c.test>');
  assert.equal(formatPath("a@[IPv6:::1]"), "<a@[IPv6:::1]>");
  assert.equal(formatPath("grüße@b.test"), "<grüße@b.test>");
});

function meaning(address: string): string {
  const { local, domain } = splitAddress(address);
  return `${unquoteLocal(local)} at ${domain}`;
}

test("any text is refused by the writer, or written so that the strict reader understands the same", () => {
  const pieces = fc.array(
    fc.constantFrom("a", "@", '"', "\\", "<", ">", " ", ".", "\r", "\n", "ü", "b.test", ",", ":", "(", ")"),
    { maxLength: 12 },
  );
  fc.assert(
    fc.property(pieces, (parts) => {
      const address = parts.join("");
      let written: string;
      try {
        written = formatPath(address);
      } catch (error) {
        assert.ok(error instanceof PathError);
        return;
      }
      assert.doesNotMatch(written, /[\x00-\x1f\x7f]/);
      const read = parsePath(written, { smtputf8: true, strict: true });
      if (read === undefined) return;
      assert.equal(meaning(read), meaning(written.slice(1, -1)));
    }),
    { numRuns: 3000 },
  );
});

test("quoting and taking quotes off are each other's reverse", () => {
  fc.assert(
    fc.property(fc.string(), (local) => {
      assert.equal(unquoteLocal(quoteLocal(local)), local);
    }),
  );
});
