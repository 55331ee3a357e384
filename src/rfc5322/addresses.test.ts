import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseAddressList, parseListParts } from "./addresses.ts";
import { scanTokens, type Token } from "./tokens.ts";

const texts = (list: string) => parseAddressList(list).map(({ text }) => text);

test("plain, bracketed, commented and quoted addresses are found in order", () => {
  assert.deepEqual(texts('a@x, Bob <b@x>, (c) c@x (d), "E, F" <e@x>, "two words"@x, <>'), [
    ...["a@x", "b@x", "c@x", "e@x", '"two words"@x'],
  ]);
});

test("groups give their members, and an empty group gives nobody", () => {
  assert.deepEqual(texts("friends: a@x, b@x;, c@x"), ["a@x", "b@x", "c@x"]);
  assert.deepEqual(texts("undisclosed-recipients:;"), []);
});

test("a source route is left out of the address", () => {
  assert.deepEqual(texts("<@a,@b:c@d>, e@f"), ["c@d", "e@f"]);
});

test("words side by side have a comma missing between them", () => {
  assert.deepEqual(texts("alice bob@x carol"), ["alice", "bob@x", "carol"]);
  assert.deepEqual(texts("<a@x> b@x"), ["a@x", "b@x"]);
});

test("folding, and comments inside an address, are left out", () => {
  assert.deepEqual(texts("a (one)\r\n\t@ (two) x.example (three)"), ["a@x.example"]);
});

test("an address literal keeps its brackets", () => {
  assert.deepEqual(texts("a@[192.0.2.1], b@[IPv6:2001:db8::1]"), ["a@[192.0.2.1]", "b@[IPv6:2001:db8::1]"]);
});

test("a backslash takes the meaning from what follows, and quotes come back where needed", () => {
  assert.deepEqual(texts("first\\ last@x"), ['"first last"@x']);
  assert.deepEqual(texts('"a\\"b"@x'), ['"a\\"b"@x']);
  assert.deepEqual(texts('"plain"@x'), ["plain@x"]);
});

test("what stands behind the token limit is not looked at", () => {
  assert.deepEqual(
    parseAddressList("a, b, c, d", 4).map(({ text }) => text),
    ["a", "b"],
  );
});

const noise = fc
  .array(
    fc.constantFrom(
      "a",
      "b@c",
      "<",
      ">",
      "(",
      ")",
      '"',
      "\\",
      ",",
      ";",
      ":",
      "@",
      ".",
      "[",
      "]",
      " ",
      "\r\n\t",
      "%",
      "!",
      "|",
      "\0",
      "\u00e9",
    ),
  )
  .map((parts) => parts.join(""));

test("nothing makes the parser fail, and every token is in one part of the list", () => {
  fc.assert(
    fc.property(noise, (text) => {
      const parts = parseListParts(text);
      const colon: Token = { kind: "operator", value: ":" };
      const tokens = parts.flatMap((part): readonly Token[] => {
        if (part.kind === "address") return part.tokens;
        return [part.kind === "group" ? colon : part.token];
      });
      const named = (all: readonly Token[]) =>
        all
          .filter(({ value }) => value !== ",")
          .map(({ kind, value }) => `${kind} ${value}`)
          .sort();
      assert.deepEqual(named(tokens), named(scanTokens(text)));
    }),
    { numRuns: 500 },
  );
});

test("an address that was found is found again as itself", () => {
  fc.assert(
    fc.property(noise, (text) => {
      for (const { text: address } of parseAddressList(text)) {
        if (!/^[^\s@%!|:;,<>()[\]\\"\0]+@[^\s@%!|:;,<>()[\]\\"\0]+$/.test(address)) continue;
        assert.deepEqual(texts(address), [address]);
      }
    }),
    { numRuns: 300 },
  );
});

test("work grows with the text and no faster: hostile lists of 200,000 bytes are done", () => {
  for (const unit of ["(", "<", ">", '"', "\\", ",", "a ", "a@", "<a>", ":", ";", "[", "a:;"]) {
    parseAddressList(unit.repeat(200_000 / unit.length), Number.POSITIVE_INFINITY);
  }
});
