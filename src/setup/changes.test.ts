import assert from "node:assert/strict";
import { test } from "node:test";
import { parseConf } from "../conf/load.ts";
import { allParams } from "../relay/params.ts";
import { changedMainCf, changedPasswords, type Login, parameterChanges, SetupError } from "./changes.ts";
import { differences } from "./diff.ts";

const login: Login = {
  nexthop: "[smtp.example.com]:587",
  wrapper: false,
  level: "secure",
  authorities: undefined,
  username: "me@example.com",
  password: "secret",
};

const settingsOf = (mainCf: string) =>
  parseConf(
    { directory: "/etc/postfix", mainCf, masterCf: "", host: { name: "here.example", interfaces: [] } },
    allParams,
  ).settings;

const changed = (mainCf: string, as: Login = login) =>
  changedMainCf(mainCf, parameterChanges(settingsOf(mainCf), as, "hash:/etc/postfix/sasl_passwd"));

test("main.cf gets what is missing, and keeps its comments, its order and what is right already", () => {
  const before =
    "# ours\nrelayhost = [old.example]\n# TLS\nsmtp_tls_CAfile = /etc/own.pem\nsmtp_sasl_auth_enable = yes\n";
  assert.equal(
    changed(before),
    "# ours\nrelayhost = [smtp.example.com]:587\n# TLS\nsmtp_tls_CAfile = /etc/own.pem\nsmtp_sasl_auth_enable = yes\n" +
      "smtp_sasl_password_maps = hash:/etc/postfix/sasl_passwd\nsmtp_sasl_tls_security_options = noanonymous\nsmtp_tls_security_level = secure\n",
  );
  assert.equal(changed(changed(before)), changed(before));
});

test("wrapper mode is switched on for 465, and off again for 587", () => {
  const on = changed("", { ...login, nexthop: "[smtp.example.com]:465", wrapper: true });
  assert.match(on, /^smtp_tls_wrappermode = yes$/m);
  assert.match(changed(on), /^smtp_tls_wrappermode = no$/m);
});

test("password tables that are there stay behind ours", () => {
  assert.match(
    changed("smtp_sasl_password_maps = ldap:/etc/ldap.cf\n"),
    /^smtp_sasl_password_maps = hash:\/etc\/postfix\/sasl_passwd, ldap:\/etc\/ldap.cf$/m,
  );
});

test("an entry is replaced where it stands, with its continuation lines and whatever its case, and others stay", () => {
  const before =
    '# accounts\n[other.example]\tyou:pw\n"[SMTP.example.com]:587" old:old\n  continued\n# kept\n[last.example] x:y';
  assert.equal(
    changedPasswords(before, login, ":"),
    "# accounts\n[other.example]\tyou:pw\n[smtp.example.com]:587\tme@example.com:secret\n# kept\n[last.example] x:y\n",
  );
  assert.equal(changedPasswords("", login, ":"), "[smtp.example.com]:587\tme@example.com:secret\n");
});

for (const password of ["a#b", "#ab", "$x${y}", "a:b:c", "a b  c", "pässwörd", "'\"\\", " leading"]) {
  test(`a password is written as it is: ${password}`, () => {
    assert.equal(
      changedPasswords("", { ...login, password }, ":"),
      `[smtp.example.com]:587\tme@example.com:${password}\n`,
    );
  });
}

test("what a line of the table cannot hold is refused, and not shown", () => {
  const refused: [Partial<Login>, RegExp][] = [
    [{ password: "" }, /password is empty/],
    [{ username: "" }, /user name is empty/],
    [{ password: "secret\nx y" }, /line end/],
    [{ password: "secret " }, /ends with white space/],
    [{ username: "a:b" }, /smtp_sasl_password_result_delimiter/],
    [{ username: " a" }, /begins with white space/],
  ];
  for (const [change, why] of refused) {
    assert.throws(
      () => changedPasswords("", { ...login, ...change }, ":"),
      (error) => error instanceof SetupError && why.test(error.message) && !error.message.includes("secret"),
    );
  }
});

test("differences are marked, with a line around", () => {
  assert.deepEqual(differences("a\nb\nc\nd\n", "a\nb\nx\nd\n"), [" b", "-c", "+x", " d"]);
  assert.deepEqual(differences("", "a\n"), ["+a"]);
  assert.deepEqual(differences("a\n\nb\n", "a\n\nb\n"), []);
  assert.deepEqual(differences("a\n", ""), ["-a"]);
});
