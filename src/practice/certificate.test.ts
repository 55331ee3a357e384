import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createPrivateKey, X509Certificate } from "node:crypto";
import { test } from "node:test";
import { lacking } from "../../test/lab/needs.ts";
import { makeCertificate } from "./certificate.ts";
import { DataCollector } from "./data-collector.ts";
import { parseEnvelopeCommand } from "./envelope-command.ts";

const request = {
  names: ["mail.example", "localhost", "127.0.0.1", "::1"],
  notBefore_ms: Date.UTC(2026, 0, 1),
  days: 365,
};

test("a certificate is self-signed, fits its key and bears its names", () => {
  const { key, certificate } = makeCertificate(request);
  const parsed = new X509Certificate(certificate);
  assert.ok(parsed.verify(parsed.publicKey));
  assert.ok(parsed.checkPrivateKey(createPrivateKey(key)));
  assert.equal(
    parsed.subjectAltName,
    "DNS:mail.example, DNS:localhost, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1",
  );
  assert.equal(parsed.subject, "CN=mail.example");
  assert.equal(parsed.validToDate.toISOString(), "2027-01-01T00:00:00.000Z");
});

test("dates from 2050 on are written as RFC 5280 asks", () => {
  const { certificate } = makeCertificate({ ...request, days: 365 * 30 });
  assert.equal(new X509Certificate(certificate).validToDate.getUTCFullYear(), 2055);
});

test("openssl reads it as what it is meant to be", (context) => {
  const { certificate } = makeCertificate(request);
  const shown = spawnSync("openssl", ["x509", "-text", "-noout"], { input: certificate, encoding: "utf8" });
  if (shown.error) return context.skip(lacking("openssl is not installed"));
  assert.equal(shown.status, 0, shown.stderr);
  assert.match(shown.stdout, /ecdsa-with-SHA256/);
  assert.match(shown.stdout, /DNS:mail\.example, DNS:localhost, IP Address:127\.0\.0\.1/);
  assert.match(shown.stdout, /TLS Web Server Authentication/);
});

test("the end of data is found wherever the packets are cut", () => {
  for (const text of [
    "Subject: x\r\n\r\n..a\r\nb\r\n.\r\nQUIT\r\n",
    ".\r\nQUIT\r\n",
    "a\r\n.\nb\r\n.\rc\n.\r\n\r\n.\r\nQUIT\r\n",
  ]) {
    const whole = new DataCollector().take(Buffer.from(text));
    assert.equal(whole?.rest.toString(), "QUIT\r\n");
    for (let size = 1; size < text.length; size++) {
      const collector = new DataCollector();
      let taken: ReturnType<DataCollector["take"]>;
      let at = 0;
      for (; !taken && at < text.length; at += size) taken = collector.take(Buffer.from(text.slice(at, at + size)));
      assert.equal(taken?.data.toString(), whole?.data.toString());
      assert.equal((taken?.rest.toString() ?? "") + text.slice(at), "QUIT\r\n");
    }
  }
});

test("paths of MAIL and RCPT are read with their parameters", () => {
  assert.deepEqual(parseEnvelopeCommand("FROM", "FROM:<> SIZE=1 BODY=7BIT"), {
    address: "",
    parameters: "SIZE=1 BODY=7BIT",
  });
  assert.deepEqual(parseEnvelopeCommand("TO", 'to:<"a> b"@c.example>'), {
    address: '"a> b"@c.example',
    parameters: "",
  });
  assert.equal(parseEnvelopeCommand("TO", "FROM:<a@b>"), undefined);
  assert.equal(parseEnvelopeCommand("TO", "TO:a@b"), undefined);
});
