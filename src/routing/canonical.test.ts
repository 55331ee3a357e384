import assert from "node:assert/strict";
import { test } from "node:test";
import { TableError } from "../table/table.ts";
import { type TestRouterOptions, testRouter } from "./test-router.ts";

const tables = {
  "hash:all": {
    "bob@here.example": "bob.jones@there.example",
    carol: "carol.smith",
    "a@x.example": "b@x.example",
    "b@x.example": "c@x.example",
    "@old.example": "@new.example",
    "self@x.example": "SELF@x.example",
    "ring1@x.example": "ring2@x.example",
    "ring2@x.example": "ring1@x.example",
    "none@x.example": "(a comment)",
  },
  "hash:from": { "bob@here.example": "sender@s.example", "": "" },
  "hash:to": { "bob@here.example": "recipient@r.example" },
};

function rewriting(conf: Readonly<Record<string, string>>, options: TestRouterOptions = {}) {
  const { canonicalMaps } = testRouter({ tables, conf: { recipient_delimiter: "+", ...conf }, ...options });
  return {
    from: (address: string) => canonicalMaps.envelope("envelope_sender", address),
    to: (address: string) => canonicalMaps.envelope("envelope_recipient", address),
    canonicalMaps,
  };
}

test("without tables there is nothing to do", () => {
  const { from, canonicalMaps } = rewriting({});
  assert.equal(from("bob@here.example"), "bob@here.example");
  for (const role of ["envelope_sender", "header_sender", "header_recipient"] as const)
    assert.deepEqual(canonicalMaps.steps(role), []);
});

test("an address is replaced again until nothing is found, and a ring ends", () => {
  const { from } = rewriting({ canonical_maps: "hash:all" });
  assert.equal(from("a@x.example"), "c@x.example");
  assert.equal(from("self@x.example"), "SELF@x.example");
  assert.equal(from("user@old.example"), "user@new.example");
  assert.match(String(from("ring1@x.example")), /^ring[12]@x\.example$/);
});

test("the bare user is looked up in local domains only, and extensions go on", () => {
  const { to } = rewriting({ canonical_maps: "hash:all" });
  assert.equal(to("carol+ext@here.example"), "carol.smith+ext@here.example");
  assert.equal(to("carol@elsewhere.example"), "carol@elsewhere.example");
  const without = rewriting({ canonical_maps: "hash:all", propagate_unmatched_extensions: "virtual" });
  assert.equal(without.to("carol+ext@here.example"), "carol.smith@here.example");
});

test("sender and recipient maps come first, and classes say what each applies to", () => {
  const maps = { canonical_maps: "hash:all", sender_canonical_maps: "hash:from", recipient_canonical_maps: "hash:to" };
  const all = rewriting(maps);
  assert.equal(all.from("bob@here.example"), "sender@s.example");
  assert.equal(all.to("bob@here.example"), "recipient@r.example");
  const some = rewriting({
    ...maps,
    sender_canonical_classes: "header_sender",
    canonical_classes: "envelope_recipient",
  });
  assert.equal(some.from("bob@here.example"), "bob@here.example");
  assert.equal(some.canonicalMaps.steps("header_sender").length, 1);
  assert.equal(some.canonicalMaps.steps("header_recipient").length, 1);
});

test("a table that cannot tell, and an entry without an address, are failures", () => {
  const broken = rewriting(
    { canonical_maps: "hash:broken" },
    { tables: { "hash:broken": new TableError("retry", "?") } },
  );
  assert.throws(() => broken.from("a@x.example"), TableError);
  assert.throws(() => rewriting({ canonical_maps: "hash:all" }).from("none@x.example"), TableError);
});

test("answers that come later give the same", async () => {
  const { from } = rewriting({ canonical_maps: "hash:all", masquerade_domains: "x.example" }, { later: true });
  const answer = from("a@x.example");
  assert.ok(answer instanceof Promise);
  assert.equal(await answer, "c@x.example");
});

test("masquerading takes hosts off a domain, in the order of the list, but not for exceptions", () => {
  const conf = { masquerade_domains: "!keep.x.example, X.example y.example", masquerade_exceptions: "root, !eve" };
  const { from, to } = rewriting(conf);
  const expected = {
    "a@h.x.example": "a@x.example",
    "a@H.Sub.X.EXAMPLE": "a@x.example",
    "a@x.example": "a@x.example",
    "a@keep.x.example": "a@keep.x.example",
    "a@h.keep.x.example": "a@h.keep.x.example",
    "a@notx.example": "a@notx.example",
    "ROOT@h.x.example": "ROOT@h.x.example",
    "eve@h.y.example": "eve@y.example",
    '"a b"@h.x.example': '"a b"@x.example',
    nobody: "nobody",
  };
  for (const [given, result] of Object.entries(expected)) assert.equal(from(given), result);
  assert.equal(to("a@h.x.example"), "a@h.x.example");
});

test("a recipient that a canonical map knows is no unknown user", async () => {
  const conf = { canonical_maps: "hash:all", alias_maps: "hash:aliases" };
  const router = testRouter({ tables: { ...tables, "hash:aliases": {} }, conf });
  assert.equal(await router.refusal("", "carol@here.example"), undefined);
  assert.equal((await router.refusal("", "dave@here.example"))?.dsn, "5.1.1");
});
