import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type RewriteConf, Rewriter } from "./rewrite.ts";

const conf: RewriteConf = {
  myorigin: "here.example",
  mydomain: "example.org",
  append_at_myorigin: true,
  append_dot_mydomain: true,
  swap_bangpath: true,
  allow_percent_hack: true,
};
const rewriter = new Rewriter(conf);

test("addresses are completed and put in order as Postfix does", () => {
  const pairs = [
    ["", ""],
    ["root", "root@here.example"],
    ["user@host", "user@host.example.org"],
    ["user@full.example", "user@full.example"],
    ["user@full.example.", "user@full.example"],
    ["site!user", "user@site.example.org"],
    ["a.example!b.example!user", "b.example!user@a.example"],
    ["user%a.example", "user@a.example"],
    ["user%a%b.example", "user%a@b.example"],
    ["@relay.example:user@full.example", "user@full.example"],
    ["@", ""],
    ['""', ""],
    ['"two words"', '"two words"@here.example'],
    ["user@[192.0.2.1]", "user@[192.0.2.1]"],
    ["user@", "user@"],
    ["site!user@full.example", "site!user@full.example"],
    ["g\u00fcnther", "g\u00fcnther@here.example"],
  ] as const;
  for (const [given, expected] of pairs) assert.equal(rewriter.rewrite(given), expected, given);
});

test("each kind of completion can be turned off", () => {
  const plain = new Rewriter({
    ...conf,
    ...{ append_at_myorigin: false, append_dot_mydomain: false, swap_bangpath: false, allow_percent_hack: false },
  });
  for (const address of ["root", "user@host", "site!user", "user%host"]) assert.equal(plain.rewrite(address), address);
});

test("a canonical address stays what it is", () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom("a", "b", ".", "@", "%", '"', " ", "host", "x.example", "+")), (parts) => {
      const once = rewriter.rewrite(parts.join(""));
      if (/^[a-z+.]+@[a-z]+(\.[a-z]+)+$/.test(once)) assert.equal(rewriter.rewrite(once), once);
    }),
    { numRuns: 300 },
  );
});
