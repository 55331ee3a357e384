import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { editDistance, nearestName } from "./nearest.ts";

describe("nearestName", () => {
  const names = [
    "relayhost",
    "relay_domains",
    "myhostname",
    "mydomain",
    "smtp_sasl_auth_enable",
    "smtpd_sasl_auth_enable",
  ];
  for (const [written, meant] of [
    ["relay_host", "relayhost"],
    ["realyhost", "relayhost"],
    ["smtp_sasl_auth_enabled", "smtp_sasl_auth_enable"],
    ["my_domain", "mydomain"],
    ["something_else", undefined],
    ["x", undefined],
  ] as const) {
    it(`${written} was meant to be ${meant ?? "nothing known"}`, () =>
      assert.equal(nearestName(written, names), meant));
  }

  it("counts insertions, deletions, replacements and swaps of neighbours", () => {
    assert.equal(editDistance("abc", "abc"), 0);
    assert.equal(editDistance("abc", "acb"), 1);
    assert.equal(editDistance("abc", "xabcd"), 2);
    assert.equal(editDistance("", "abc"), 3);
  });
});
