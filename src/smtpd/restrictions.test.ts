import assert from "node:assert/strict";
import { test } from "node:test";
import { noMaps } from "../table/maps.ts";
import { type Circumstances, compileRestrictions, evaluate, unprotected } from "./restrictions.ts";
import { compileRules } from "./rules.ts";
import { testConf } from "./test-relay.ts";

const where = { parameter: "smtpd_relay_restrictions", file: "main.cf", line: 7 };
const compiled = (text: string) => compileRestrictions(text, where).restrictions ?? assert.fail(text);
const stranger: Circumstances = { inMynetworks: false, authenticated: false, class: "other", routed: false };
const places = { at: (name: string) => (name === "mynetworks" ? { file: "main.cf", line: 3 } : undefined) };
const rules = (settings: Record<string, string>) =>
  compileRules(testConf(settings), { file: () => "", table: () => noMaps }, places);

test("a word that is not understood is told with file and line, each of them", () => {
  const { problems } = compileRestrictions("permit_mynetworks, reject_rbl_client zen.test, reject", where);
  assert.equal(problems.length, 2);
  assert.match(problems[0] ?? "", /^main\.cf, line 7: smtpd_relay_restrictions: "reject_rbl_client" is not supported/);
  assert.equal(compileRestrictions("permit_mynetworks {", where).problems.length, 1);
});

test("the first word that decides wins", () => {
  const list = compiled("permit_mynetworks, permit_sasl_authenticated, reject_unauth_destination");
  assert.equal(evaluate(list, stranger), "relayDenied");
  assert.equal(evaluate(list, { ...stranger, inMynetworks: true }), "permit");
  assert.equal(evaluate(list, { ...stranger, authenticated: true }), "permit");
  for (const known of ["local", "virtual", "relay"] as const) {
    assert.equal(evaluate(list, { ...stranger, class: known }), "pass");
  }
  assert.equal(evaluate(compiled("defer_unauth_destination"), stranger), "relayDeferred");
  assert.equal(evaluate(compiled("reject, permit"), stranger), "reject");
  assert.equal(evaluate(compiled("DEFER"), stranger), "defer");
  assert.equal(evaluate([], stranger), "pass");
});

test("an address that leads on from here is not ours, whatever its domain", () => {
  const list = compiled("reject_unauth_destination");
  assert.equal(evaluate(list, { ...stranger, class: "local", routed: true }), "relayDenied");
});

test("a configuration in which nothing refuses does not start", () => {
  assert.match(
    unprotected(compiled("permit_mynetworks"), []) ?? "",
    /^in parameter smtpd_relay_restrictions or smtpd_recipient_restrictions, specify at least one working instance of: /,
  );
  assert.ok(unprotected(compiled("permit, reject"), []), "what stands behind permit is never reached");
  assert.equal(unprotected(compiled("permit_mynetworks defer_unauth_destination"), []), undefined);
  assert.equal(unprotected([], compiled("reject_unauth_destination")), undefined);
});

test("a mynetworks that covers the world does not start, unless that is what somebody wants", () => {
  const { problems } = rules({ mynetworks: "0.0.0.0/1 128.0.0.0/1" });
  assert.match(problems[0] ?? "", /^main\.cf, line 3: mynetworks: covers every IPv4 address/);
  assert.deepEqual(rules({ mynetworks: "0.0.0.0/0", permit_open_relay: "yes" }).problems, []);
});

test("every problem is told at once", () => {
  const { problems } = rules({
    mynetworks: "192.0.2.1/24",
    smtpd_relay_restrictions: "frobnicate",
    smtpd_recipient_restrictions: "reject_all",
  });
  assert.equal(problems.length, 3);
});
