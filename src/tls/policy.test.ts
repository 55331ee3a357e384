import assert from "node:assert/strict";
import { test } from "node:test";
import { defaults } from "../conf/defaults.ts";
import { ParamError } from "../conf/param.ts";
import { memoryLog } from "../log/log.ts";
import type { TlsFacts } from "../runtime/net.ts";
import { Maps, noMaps } from "../table/maps.ts";
import { type Table, TableError } from "../table/table.ts";
import { certificateNameMatches } from "./certificate-name.ts";
import { tlsParams } from "./params.ts";
import { defaultLevel, handshakeOptions, TlsPolicies, type TlsPolicy } from "./policy.ts";
import { parseProtocols } from "./protocols.ts";
import { distrustText, handshakeText, judge, wantedNames } from "./verify.ts";

type Written = Partial<Record<keyof typeof tlsParams, string>>;

function mapsOf(entries: Readonly<Record<string, string>>): Maps {
  const table: Table = { get: (key) => entries[key], close: async () => {} };
  return new Maps([{ reference: "hash:/policy", patterns: false, current: table }]);
}

async function find(destination: string, written: Written = {}, entries: Readonly<Record<string, string>> = {}) {
  const log = memoryLog();
  const maps = Object.keys(entries).length > 0 ? mapsOf(entries) : noMaps;
  const policy = await new TlsPolicies(defaults(tlsParams, written), maps, log).find(destination);
  return { policy, log };
}

async function policyOf(
  destination: string,
  written: Written = {},
  entries: Readonly<Record<string, string>> = {},
): Promise<TlsPolicy> {
  const { policy, log } = await find(destination, written, entries);
  assert.ok(policy.kind === "policy", log.lines.join());
  return policy;
}

test("the level is the configured one, and before that what the old parameters say", () => {
  const level = (written: Written) => defaultLevel(defaults(tlsParams, written));
  assert.equal(level({}), "none");
  assert.equal(level({ smtp_use_tls: "yes" }), "may");
  assert.equal(level({ smtp_enforce_tls: "yes" }), "verify");
  assert.equal(level({ smtp_enforce_tls: "yes", smtp_tls_enforce_peername: "no" }), "encrypt");
  assert.equal(level({ smtp_enforce_tls: "yes", smtp_tls_security_level: "may" }), "may");
});

test("a level that is not available stops the start instead of becoming a weaker one", () => {
  for (const word of ["dane", "dane-only", "fingerprint", "SECURE", "yes"]) {
    assert.throws(() => tlsParams.smtp_tls_security_level.parse(word), ParamError, word);
  }
  assert.throws(() => tlsParams.smtp_tls_security_level.parse("dane"), /not available yet/);
});

test("a policy is found by the next hop as written, and by parents of a plain domain only", async () => {
  const entries = { "[mail.example]:587": "secure", ".example.com": "encrypt", "example.net": "none" };
  assert.equal((await policyOf("[mail.example]:587", {}, entries)).level, "secure");
  assert.equal((await policyOf("[mail.example]", {}, entries)).level, "none");
  assert.equal((await policyOf("a.b.example.com", { smtp_tls_security_level: "may" }, entries)).level, "encrypt");
  assert.equal((await policyOf("example.com", { smtp_tls_security_level: "may" }, entries)).level, "may");
  assert.equal((await policyOf("a.example.com:25", { smtp_tls_security_level: "may" }, entries)).level, "may");
  assert.equal((await policyOf("example.net", { smtp_tls_security_level: "may" }, entries)).level, "none");
});

test("attributes of an entry stand before main.cf", async () => {
  const entry =
    "secure match=mx.example:.example.org match=nexthop protocols=>=TLSv1.3 ciphers=high exclude=RC4 servername=sni.example connection_reuse=yes";
  const policy = await policyOf("d.example", {}, { "d.example": entry });
  assert.deepEqual(policy.match, ["mx.example", ".example.org", "nexthop"]);
  assert.deepEqual(policy.protocols, { least: "TLSv1.3", most: "TLSv1.3" });
  assert.match(policy.ciphers, /^TLS_AES_256_GCM_SHA384:.*:aNULL:-aNULL:HIGH:@STRENGTH:!RC4:!aNULL$/);
  assert.equal(policy.serverName, "sni.example");
  assert.equal(policy.connectionReuse, true);
  const braces = await policyOf("d.example", {}, { "d.example": "encrypt { protocols = !SSLv2 !SSLv3 !TLSv1 }" });
  assert.deepEqual(braces.protocols, { least: "TLSv1.1", most: "TLSv1.3" });
});

test("an entry that is not understood defers, and says why in the log", async () => {
  const bad: Readonly<Record<string, RegExp>> = {
    " , ": /invalid empty policy/,
    dane: /security level "dane" is not available yet/,
    sekure: /invalid security level "sekure"/,
    "secure match": /malformed attribute/,
    "secure match=": /attribute "match" has empty value/,
    "encrypt match=a.example": /attribute "match" invalid at security level "encrypt"/,
    "secure protocols=SSLv9": /names no TLS protocol/,
    "secure protocols=!TLSv1.3 protocols=TLSv1.2": /multiple times/,
    "secure ciphers=best": /invalid cipher grade/,
    "secure ciphers=high ciphers=high": /multiple times/,
    "secure exclude=!RC4": /invalid unary/,
    "secure servername=-": /invalid hostname/,
    "secure connection_reuse=maybe": /bad value/,
    "secure frobnicate=1": /invalid attribute name: "frobnicate"/,
  };
  for (const [entry, warning] of Object.entries(bad)) {
    const { policy, log } = await find("d.example", { smtp_tls_security_level: "may" }, { "d.example": entry });
    assert.deepEqual(policy, { kind: "invalid", dsn: "4.7.5", text: "client TLS configuration problem" }, entry);
    assert.match(log.lines.join(), warning);
  }
});

test("attributes at level none are ignored with a warning", async () => {
  const { policy, log } = await find("d.example", {}, { "d.example": "none match=x" });
  assert.ok(policy.kind === "policy" && policy.level === "none");
  assert.match(log.lines.join(), /ignoring attribute "match=x" with TLS disabled/);
});

test("a table that cannot tell is no policy", async () => {
  const maps = new Maps([{ reference: "hash:/x", patterns: false, current: new TableError("retry", "busy") }]);
  const policy = await new TlsPolicies(defaults(tlsParams), maps, memoryLog()).find("d.example");
  assert.equal(policy.kind, "invalid");
  const later: Table = { get: async () => Promise.reject(new TableError("retry", "gone")), close: async () => {} };
  const slow = new Maps([{ reference: "ldap:/x", patterns: false, current: later }]);
  assert.equal((await new TlsPolicies(defaults(tlsParams), slow, memoryLog()).find("d.example")).kind, "invalid");
});

test("the wrapper needs encryption", async () => {
  const { policy } = await find("d.example", { smtp_tls_wrappermode: "yes", smtp_tls_security_level: "may" });
  assert.equal(policy.kind, "invalid");
  assert.equal(
    (await policyOf("d.example", { smtp_tls_wrappermode: "yes", smtp_tls_security_level: "encrypt" })).wrapper,
    true,
  );
});

test("protocols are read in all of Postfix's forms, and never give less than was written", () => {
  const range = (text: string) => {
    const parsed = parseProtocols(text);
    return "error" in parsed ? "error" : `${parsed.least} ${parsed.most}`;
  };
  assert.equal(range(">=TLSv1"), "TLSv1 TLSv1.3");
  assert.equal(range(">=TLSv1.2, <=TLSv1.2"), "TLSv1.2 TLSv1.2");
  assert.equal(range("!SSLv2, !SSLv3, !TLSv1, !TLSv1.1"), "TLSv1.2 TLSv1.3");
  assert.equal(range("TLSv1.2:TLSv1.3"), "TLSv1.2 TLSv1.3");
  assert.equal(range("!TLSv1.2"), "TLSv1.3 TLSv1.3");
  assert.equal(range(">=0303"), "TLSv1.2 TLSv1.3");
  assert.equal(range(""), "TLSv1 TLSv1.3");
  assert.equal(range("SSLv3"), "error");
  assert.equal(range("TLSv9"), "error");
});

test("names match as RFC 6125 says: one label for a wildcard, and a leading dot for all below", () => {
  assert.ok(certificateNameMatches("Mail.Example.com", "mail.example.COM"));
  assert.ok(certificateNameMatches("*.example.com", "mail.example.com"));
  assert.ok(!certificateNameMatches("*.example.com", "a.b.example.com"));
  assert.ok(!certificateNameMatches("*.example.com", "example.com"));
  assert.ok(!certificateNameMatches("*.com", "example.com"));
  assert.ok(!certificateNameMatches("m*.example.com", "mail.example.com"));
  assert.ok(!certificateNameMatches("mail.*.com", "mail.example.com"));
  assert.ok(!certificateNameMatches("*", "mail"));
  assert.ok(certificateNameMatches("a.b.example.com", ".example.com"));
  assert.ok(certificateNameMatches("*.example.com", ".example.com"));
  assert.ok(!certificateNameMatches("example.com", ".example.com"));
  assert.ok(!certificateNameMatches("badexample.com", ".example.com"));
  assert.ok(!certificateNameMatches("example.com\0.evil.example", "example.com"));
  assert.ok(!certificateNameMatches("", ""));
  assert.ok(!certificateNameMatches("x", "."));
  assert.ok(certificateNameMatches("xn--bcher-kva.example", "bücher.example"));
});

const always = { validFrom_ms: 0, validTo_ms: Number.POSITIVE_INFINITY, chain: () => [] };

const facts: TlsFacts = {
  protocol: "TLSv1.3",
  cipher: "TLS_AES_256_GCM_SHA384",
  cipherBits: 256,
  trusted: true,
  distrust: undefined,
  certificate: { subject: "mx.example.com", issuer: "CA", names: ["mx.example.com"], fingerprint256: "", ...always },
};

const names = { hostname: "mx.example.com", nexthop: "example.com" };

test("what a session is worth follows from trust, name and level", async () => {
  const verdict = async (level: string, given: TlsFacts, at = names) =>
    judge(given, await policyOf("x.example", { smtp_tls_security_level: level }), at);
  assert.equal((await verdict("may", facts)).status, "Trusted");
  assert.equal((await verdict("encrypt", { ...facts, trusted: false })).status, "Untrusted");
  assert.equal((await verdict("encrypt", { ...facts, trusted: false })).failure, undefined);
  assert.equal((await verdict("may", { ...facts, trusted: false, certificate: undefined })).status, "Anonymous");
  assert.deepEqual(await verdict("verify", facts), {
    status: "Verified",
    matched: "mx.example.com",
    failure: undefined,
  });
  assert.equal((await verdict("secure", facts)).status, "Verified");
  for (const level of ["verify", "secure"]) {
    const untrusted = await verdict(level, { ...facts, trusted: false, distrust: "DEPTH_ZERO_SELF_SIGNED_CERT" });
    assert.equal(untrusted.status, "Untrusted");
    assert.deepEqual(untrusted.failure, { dsn: "4.7.5", text: "Server certificate not verified" });
    const other = await verdict(level, facts, { hostname: "other.example", nexthop: "other.example" });
    assert.equal(other.status, "Trusted");
    assert.equal(other.failure?.dsn, "4.7.5");
  }
  const chosenByDns = { hostname: "mx.evil.example", nexthop: "example.com" };
  const forged = {
    ...facts,
    certificate: { subject: "", issuer: "", names: ["mx.evil.example"], fingerprint256: "", ...always },
  };
  assert.equal((await verdict("verify", forged, chosenByDns)).failure, undefined);
  assert.notEqual((await verdict("secure", forged, chosenByDns)).failure, undefined);
});

test("strategies stand for this connection's names", () => {
  const wanted = wantedNames(["hostname", "Nexthop", "dot-nexthop", ".a.example", "b.example"], names);
  assert.deepEqual(wanted, ["mx.example.com", "example.com", ".example.com", ".a.example", "b.example"]);
});

test("log lines are Postfix's, and a certificate cannot break them", async () => {
  const policy = await policyOf("x.example", { smtp_tls_security_level: "verify" });
  const server = "mx.example.com[192.0.2.1]:25";
  assert.equal(
    handshakeText(facts, judge(facts, policy, names), server),
    `Verified TLS connection established to ${server}: TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)`,
  );
  const evil = { subject: "", issuer: "CA\nfatal: x", names: [], fingerprint256: "", ...always };
  const distrusted = { ...facts, trusted: false, certificate: evil, distrust: "UNABLE_TO_VERIFY_LEAF_SIGNATURE" };
  assert.equal(
    distrustText(distrusted, policy, names, server),
    `certificate verification failed for ${server}: untrusted issuer CA?fatal: x`,
  );
  const expired = { ...distrusted, distrust: "CERT_HAS_EXPIRED" };
  assert.match(distrustText(expired, policy, names, server) ?? "", /certificate has expired$/);
  assert.match(
    distrustText(facts, policy, { ...names, hostname: "other.example" }, server) ?? "",
    /is for mx\.example\.com, not for other\.example$/,
  );
  assert.equal(distrustText(facts, policy, names, server), undefined);
});

test("the handshake is asked for what the policy says", async () => {
  const policy = await policyOf("x.example", { smtp_tls_security_level: "encrypt", smtp_tls_servername: "nexthop" });
  const options = handshakeOptions(policy, names, ["PEM"]);
  assert.equal(options.serverName, "example.com");
  assert.equal(options.minVersion, "TLSv1");
  assert.equal(options.maxVersion, "TLSv1.3");
  assert.deepEqual(options.authorities, ["PEM"]);
});
