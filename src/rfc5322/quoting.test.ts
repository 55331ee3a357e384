import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { quoteAddress, quoteLocalPart, unquoteAddress } from "./quoting.ts";

const pairs: Readonly<Record<string, string>> = {
  "user@example.com": "user@example.com",
  "two words@example.com": '"two words"@example.com',
  'say "hi"@example.com': '"say \\"hi\\""@example.com',
  "a@b@example.com": '"a@b"@example.com',
  ".dot@example.com": '".dot"@example.com',
  "a..b@example.com": '"a..b"@example.com',
  "@example.com": '""@example.com',
  "gr\u00fc\u00dfe@example.com": "gr\u00fc\u00dfe@example.com",
  "user%host!x|y@example.com": "user%host!x|y@example.com",
  "no domain": '"no domain"',
  "": '""',
};

test("a local part gets quotes where it needs them, and loses them", () => {
  for (const [bare, quoted] of Object.entries(pairs)) {
    assert.equal(quoteAddress(bare), quoted);
    assert.equal(unquoteAddress(quoted), bare);
  }
  assert.equal(quoteLocalPart("a@b"), '"a@b"');
});

test("quotes that are not needed go, and a route stays", () => {
  assert.equal(unquoteAddress('"plain"@example.com'), "plain@example.com");
  assert.equal(unquoteAddress('@one,@two:"a b"@x'), "@one,@two:a b@x");
  assert.equal(quoteAddress("@one,@two:a b@x"), '@one,@two:"a b"@x');
});

test("what was quoted is the same again without quotes", () => {
  const local = fc.string({ minLength: 1 }).filter((text) => !text.startsWith("@"));
  fc.assert(fc.property(local, (each) => assert.equal(unquoteAddress(quoteAddress(`${each}@x`)), `${each}@x`)));
});
