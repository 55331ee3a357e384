import assert from "node:assert/strict";
import { test } from "node:test";
import { formatAddressField } from "./address-field.ts";
import { parseListParts } from "./addresses.ts";

const written = (list: string, name = "To") => formatAddressField(name, parseListParts(list));

test("a list is written with one blank where blanks belong", () => {
  assert.equal(
    written('  Bob   Jones<bob@x>,alice@x(A), "E  F"  <e@x> '),
    'To: Bob Jones <bob@x>, alice@x (A), "E  F" <e@x>',
  );
  assert.equal(written("J. R. Ewing <jr@x>"), "To: J.R.Ewing <jr@x>");
});

test("groups, empty ones too, keep their form", () => {
  assert.equal(written("friends:a@x,b@x;, c@x"), "To: friends: a@x, b@x;, c@x");
  assert.equal(written("undisclosed-recipients:;"), "To: undisclosed-recipients: ;");
});

test("comments move behind the address that they stand in", () => {
  assert.equal(written("(one) a (two) @ (three) x (four)"), "To: a@x (one) (two) (three) (four)");
  assert.equal(written("Bob (one) <a (two) @x> (three)"), "To: Bob (one) <a@x (two)>(three)");
});

test("commas that are missing are put in", () => {
  assert.equal(written("a@x b@x, <c@x> d@x"), "To: a@x, b@x, <c@x>, d@x");
});

test("quotes are put where an address needs them, and taken off where not", () => {
  assert.equal(written('"plain"@x, "two words"@x, a\\ b@x'), 'To: plain@x, "two words"@x, "a b"@x');
});

test("lines are broken behind commas, before they have 70 characters", () => {
  const addresses = Array.from({ length: 40 }, (_, index) => `user${index}@client.example.com`);
  const lines = written(addresses.join(","), "Cc").split("\n");
  for (const line of lines) assert.ok(line.length < 70, line);
  assert.equal(lines.join(" "), `Cc: ${addresses.join(", ")}`);
  const [a, b] = [`${"a".repeat(40)}`, "b".repeat(23)];
  assert.equal(written(`${a},${b}`, "To"), `To: ${a}, ${b}`);
  assert.equal(written(`${a},${b}`, "Cc2"), `Cc2: ${a},\n${b}`);
});

test("commas in quotes and comments are no places to break at", () => {
  const quoted = `"${"q,".repeat(40)}" (${"c,".repeat(40)}) <a@example.com>`;
  assert.equal(written(quoted), `To: ${quoted}`);
});

test("an address with more than 250 characters around it loses them", () => {
  assert.equal(written(`"${"x".repeat(250)}" <a@x>, b@x`), "To: <a@x>,\nb@x".replace(",\n", ", "));
  assert.equal(written(`(${"x".repeat(300)})`), `To: (${"x".repeat(300)})`);
});
