import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { checkConf, type Findings } from "./check.ts";
import { parseConf } from "./load.ts";
import { int, text } from "./param.ts";
import { globalParams } from "./params.ts";

const declared = {
  ...globalParams,
  smtpd_relay_restrictions: text({ default: "", since: "0.1", doc: "" }),
  smtp_destination_limit: int({ default: "1", min: 1, since: "0.1", doc: "" }),
};
const smtpd = "smtp inet n - n - - smtpd\n";

function check(mainCf: string, masterCf = smtpd): Findings {
  const conf = parseConf({ directory: "/c", mainCf, masterCf, host: { name: "h.example", interfaces: [] } }, declared);
  assert.deepEqual(conf.problems, []);
  return checkConf(conf, declared);
}

const texts = (problems: Findings["problems"]) =>
  problems.map(({ file, line, text, remedy }) => `${file}:${line} ${text} ${remedy}`.trim());

/** Debian's packaged main.cf with what its installer adds. */
const debian = `smtpd_banner = $myhostname ESMTP $mail_name (Debian/GNU)
biff = no
append_dot_mydomain = no
readme_directory = no
compatibility_level = 3.6
smtpd_tls_cert_file=/etc/ssl/certs/ssl-cert-snakeoil.pem
smtpd_tls_key_file=/etc/ssl/private/ssl-cert-snakeoil.key
smtpd_tls_security_level=may
smtp_tls_CApath=/etc/ssl/certs
smtp_tls_security_level=may
smtp_tls_session_cache_database = btree:\${data_directory}/smtp_scache
smtpd_relay_restrictions = permit_mynetworks permit_sasl_authenticated defer_unauth_destination
myhostname = mail.example.org
alias_maps = hash:/etc/aliases
alias_database = hash:/etc/aliases
myorigin = /etc/mailname
mydestination = $myhostname, mail.example.org, localhost.example.org, , localhost
relayhost =
mynetworks = 127.0.0.0/8 [::ffff:127.0.0.0]/104 [::1]/128
mailbox_size_limit = 0
recipient_delimiter = +
inet_interfaces = all
inet_protocols = all
`;

describe("checkConf", () => {
  it("the parameters of transports that are built in are known, whether master.cf names the transports or not", () => {
    const mainCf = "smtp_destination_concurrency_limit = 5\nrelay_destination_rate_delay = 1s\n";
    assert.deepEqual(texts(check(mainCf).warnings), []);
  });

  it("Debian's own main.cf starts, and what is not supported is named", () => {
    const { problems, warnings, notices } = check(debian);
    assert.deepEqual(problems, []);
    assert.ok(
      texts(warnings).some((each) =>
        each.startsWith("/c/main.cf:8 parameter smtpd_tls_security_level is not supported"),
      ),
    );
    assert.ok(
      texts(notices).some((each) => each.startsWith("/c/main.cf:20 parameter mailbox_size_limit has no meaning")),
    );
  });

  it("an unknown name is a warning with the nearest known one", () => {
    assert.deepEqual(texts(check("relayhots = x\n").warnings), [
      "/c/main.cf:1 unknown parameter relayhots Did you mean relayhost?",
    ]);
    assert.deepEqual(texts(check("zzzzzzzz = x\n").warnings), ["/c/main.cf:1 unknown parameter zzzzzzzz"]);
  });

  it("names that something refers to are known", () => {
    assert.deepEqual(check("net = 10.0.0.0/8\nmynetworks = ${x?$other}$net\nother = 1\n").warnings, []);
    assert.deepEqual(
      check("mua = permit\n", "smtp inet n - n - - smtpd -o smtpd_relay_restrictions=$mua\n").warnings,
      [],
    );
    assert.deepEqual(check("alias_maps = ldap:people\npeople_server_host = h\n").warnings.length, 1);
  });

  it("a transport's parameters are known where master.cf has the transport", () => {
    const master = `${smtpd}slow unix - - n - - smtp\n`;
    assert.deepEqual(check("slow_destination_rate_delay = 5s\n", master).warnings, []);
    assert.equal(check("slwo_destination_rate_delay = 5s\n", master).warnings.length, 1);
  });

  it("an unsupported parameter that restricts stops the start, unless it says what the default says", () => {
    const { problems } = check("smtpd_client_restrictions = reject_unknown_client_hostname\n");
    assert.match(
      texts(problems)[0] ?? "",
      /^\/c\/main\.cf:1 parameter smtpd_client_restrictions is not supported, and ignoring it would allow/,
    );
    assert.deepEqual(check("smtpd_client_restrictions =\nsmtpd_milters =\n").problems, []);
    assert.equal(check("smtpd_client_restrictions = ${x\n").problems.length, 1);
    assert.equal(check("content_filter = scan:[127.0.0.1]:10024\n").problems.length, 1);
    assert.equal(check("smtpd_upstream_proxy_protocol = haproxy\n").problems.length, 1);
    assert.equal(check("smtpd_tls_security_level = encrypt\n").problems.length, 1);
  });

  it("the same in -o of a service that exists here; elsewhere it means nothing", () => {
    const own = "25 inet n - n - - smtpd -o smtpd_sender_restrictions=reject -o smtpd_tls_wrappermode=yes\n";
    assert.deepEqual(
      texts(check("", own).problems).map((each) => each.slice(0, 18)),
      ["/c/master.cf:1 par", "/c/master.cf:1 par"],
    );
    assert.deepEqual(check("", `${smtpd}x unix - n n - - pipe -o smtpd_sender_restrictions=reject\n`).problems, []);
  });

  it("values that parameters do not take are problems, in -o too and once", () => {
    assert.match(
      texts(check("smtp_destination_limit = x\n").problems).join(),
      /^\/c\/main\.cf:1 parameter smtp_destination_limit: expected a whole/,
    );
    const own = "25 inet n - n - - smtpd -o smtp_destination_limit=0\n";
    assert.deepEqual(texts(check("smtp_destination_limit = x\n", own).problems).length, 2);
    assert.deepEqual(texts(check("message_size_limit = x\n", own).problems).length, 2);
  });

  it("a listening service that nothing here is gets named", () => {
    assert.match(
      texts(check("", `${smtpd}628 inet n - n - - qmqpd\n`).warnings)[0] ?? "",
      /:2 service 628 inet: qmqpd is not supported/,
    );
  });
});
