import assert from "node:assert/strict";
import { test } from "node:test";
import { isHostName } from "../dns/host-name.ts";
import { noteFor, providerNotes } from "./provider-notes.ts";
import { findProvider, providers } from "./providers.ts";

const all = await providers();

for (const [written, host, port, wrapper] of [
  ["Gmail", "smtp.gmail.com", 465, true],
  ["google mail", "smtp.gmail.com", 465, true],
  ["me@gmail.com", "smtp.gmail.com", 465, true],
  ["Microsoft 365", "smtp.office365.com", 587, false],
  ["office365", "smtp.office365.com", 587, false],
  ["Amazon SES", "email-smtp.us-east-1.amazonaws.com", 465, true],
  ["ses-eu-west-1", "email-smtp.eu-west-1.amazonaws.com", 465, true],
  ["SendGrid", "smtp.sendgrid.net", 587, false],
  ["mailgun", "smtp.mailgun.org", 465, true],
  ["Postmark", "smtp.postmarkapp.com", 2525, false],
  ["Brevo", "smtp-relay.brevo.com", 587, false],
  ["fastmail", "smtp.fastmail.com", 465, true],
  ["Zoho", "smtp.zoho.com", 465, true],
  ["smtp.zoho.com", "smtp.zoho.com", 465, true],
] as const) {
  test(`${written} is ${host}:${port}`, () => {
    const found = findProvider(all, written);
    assert.deepEqual([found?.host, found?.port, found?.wrapper], [host, port, wrapper]);
  });
}

test("there are fifty of them and more, each with a host name and a port, and no name twice", () => {
  assert.ok(all.length > 50);
  for (const { host, port } of all) {
    assert.ok(isHostName(host), host);
    assert.ok(port > 0 && port < 65_536, `${host}:${port}`);
  }
  assert.equal(new Set(all.map(({ name }) => name.toLowerCase())).size, all.length);
  assert.equal(findProvider(all, "me@nowhere.example"), undefined);
  assert.equal(findProvider(all, "nobody"), undefined);
});

test("what is said of a provider belongs to a server that there is", () => {
  const others = ["smtp.eu.mailgun.org", "smtp.zoho.eu", "in-v3.mailjet.com"];
  for (const { hosts } of providerNotes)
    assert.ok(
      [...all.map(({ host }) => host), ...others].some((host) => hosts.test(host)),
      String(hosts),
    );
  assert.match(noteFor("smtp.office365.com")?.ending?.text ?? "", /December 2026/);
  assert.equal(noteFor("smtp-mail.outlook.com")?.ending?.state, "ended");
  assert.equal(noteFor("smtp.example.com"), undefined);
});
