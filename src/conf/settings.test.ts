import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ConfError, evaluate } from "./evaluate.ts";
import type { HostFacts } from "./host-defaults.ts";
import { int, list, text, time } from "./param.ts";
import { Settings } from "./settings.ts";

const host: HostFacts = {
  name: "mx.example.org",
  interfaces: [
    { name: "lo", address: "127.0.0.1", family: 4, prefix_bits: 8, loopback: true },
    { name: "lo", address: "::1", family: 6, prefix_bits: 128, loopback: true },
    { name: "eth0", address: "192.0.2.66", family: 4, prefix_bits: 26, loopback: false },
    { name: "eth0", address: "2001:db8:0:1::42", family: 6, prefix_bits: 64, loopback: false },
  ],
};

function settings(written: Readonly<Record<string, string>>, facts = host, declared = {}): Settings {
  const lines = Object.entries(written).map(
    ([name, value], at) => [name, { value, file: "main.cf", line: at + 1 }] as const,
  );
  return new Settings({ written: new Map(lines), declared, host: facts, directory: "/etc/postfix" });
}

describe("Settings", () => {
  it("a value is what is written, else the declaration's default, else Postfix's, expanded", () => {
    const declared = { smtp_helo_name: text({ default: "declared $myhostname", since: "0.1", doc: "" }) };
    const conf = settings({ smtp_tls_cert_file: "/c" }, host, declared);
    assert.equal(conf.value("smtp_tls_key_file"), "/c");
    assert.equal(conf.value("smtp_helo_name"), "declared mx.example.org");
    assert.equal(conf.value("mail_name"), "Postfix");
    assert.equal(conf.value("nobody_knows"), "");
    assert.equal(conf.defaultText("nobody_knows"), undefined);
  });

  it("knows what is written, and where", () => {
    const conf = settings({ a: "1", b: "2" });
    assert.ok(conf.has("b"));
    assert.ok(!conf.has("mail_name"));
    assert.deepEqual(conf.at("b"), { file: "main.cf", line: 2 });
    assert.deepEqual([...conf.names()], ["a", "b"]);
  });

  it("a transport's parameter follows the common one", () => {
    const conf = settings({ default_destination_concurrency_limit: "7", slow_destination_rate_delay: "5s" });
    assert.equal(conf.value("relay_destination_concurrency_limit"), "7");
    assert.equal(conf.value("local_destination_concurrency_limit"), "2");
    assert.equal(conf.value("slow_destination_rate_delay"), "5s");
    assert.equal(conf.value("any_destination_recipient_limit"), "50");
    assert.equal(conf.value("any_initial_destination_concurrency"), "5");
    assert.equal(conf.value("any_recipient_limit"), "20000");
  });

  it("value never throws, and resolve says why", () => {
    const conf = settings({ a: "$a", b: "${x" });
    assert.equal(conf.value("a"), "");
    assert.match(conf.resolve("a").error ?? "", /nesting/);
    assert.match(conf.resolve("b").error ?? "", /truncated/);
  });

  it("values with somebody else's $ stay as they are", () => {
    assert.equal(settings({ luser_relay: "$user@x" }).value("luser_relay"), "$user@x");
  });

  it("myhostname, mydomain: from the host's name, and from each other", () => {
    const short = { ...host, name: "alone" };
    assert.equal(settings({}).value("mydomain"), "example.org");
    assert.equal(settings({}, short).value("myhostname"), "alone.localdomain");
    assert.equal(settings({ mydomain: "d.example" }, short).value("myhostname"), "alone.d.example");
    assert.equal(settings({ myhostname: "a.b.c" }).value("mydomain"), "b.c");
    assert.equal(settings({ myhostname: "bare" }).value("mydomain"), "localdomain");
    const made = settings({ mydomain: "d.example", myhostname: "mx.$mydomain" });
    assert.equal(made.value("mydestination"), "mx.d.example, localhost.d.example, localhost");
    const circle = settings({ mydomain: "x.$myhostname", myhostname: "y.$mydomain" });
    assert.match(circle.resolve("mydomain").error ?? "", /nesting/);
  });

  const networks: readonly (readonly [written: Record<string, string>, result: string])[] = [
    [{}, "127.0.0.0/8 192.0.2.64/26 [::1]/128 [2001:db8:0:1::]/64"],
    [{ compatibility_level: "3.6" }, "127.0.0.1/32 192.0.2.66/32 [::1]/128 [2001:db8:0:1::42]/128"],
    [{ mynetworks_style: "class" }, "127.0.0.0/8 192.0.2.0/24 [::1]/128 [2001:db8:0:1::]/64"],
    [{ inet_interfaces: "loopback-only" }, "127.0.0.0/8 [::1]/128"],
    [{ inet_interfaces: "192.0.2.66, [2001:DB8:0:1:0::42]" }, "192.0.2.64/26 [2001:db8:0:1::]/64"],
    [{ inet_protocols: "ipv4" }, "127.0.0.0/8 192.0.2.64/26"],
    [{ inet_interfaces: "mail.example" }, ""],
    [{ mynetworks_style: "nonsense" }, "127.0.0.1/32 192.0.2.66/32 [::1]/128 [2001:db8:0:1::42]/128"],
    [{ inet_interfaces: "$mynetworks" }, ""],
    [{ mynetworks: "10.0.0.0/8" }, "10.0.0.0/8"],
  ];
  for (const [written, result] of networks) {
    it(`mynetworks with ${JSON.stringify(written)} is ${result || "empty"}`, () => {
      assert.equal(settings(written).value("mynetworks"), result);
    });
  }

  it("with() gives others above, and leaves these alone", () => {
    const conf = settings({ a: "1", b: "$a" });
    const other = conf.with(new Map([["a", "2"]]));
    assert.equal(other.value("b"), "2");
    assert.equal(conf.value("b"), "1");
  });
});

describe("evaluate", () => {
  const declared = {
    limit: int({ default: "5", min: 1, since: "0.1", doc: "" }),
    delay: time({ default: "300s", since: "0.1", doc: "" }),
    names: list({ default: "$myhostname, localhost", since: "0.1", doc: "" }),
  };

  it("gives frozen, typed values", () => {
    const conf = evaluate(declared, settings({ delay: "2h" }, host, declared));
    assert.deepEqual(conf, { limit: 5, delay: 7200, names: ["mx.example.org", "localhost"] });
    assert.ok(Object.isFrozen(conf));
  });

  it("lists every problem, with file, line and what is expected", () => {
    const conf = settings({ limit: "0", delay: "soon", names: "${x" }, host, declared);
    assert.throws(
      () => evaluate(declared, conf),
      (error) => {
        assert.ok(error instanceof ConfError);
        assert.deepEqual(
          error.problems.map(({ file, line }) => [file, line]),
          [
            ["main.cf", 1],
            ["main.cf", 2],
            ["main.cf", 3],
          ],
        );
        assert.match(
          error.message,
          /^main\.cf, line 1: parameter limit: "0" is below the least value, 1\. The default is "5"\.$/m,
        );
        assert.match(error.message, /^main\.cf, line 2: parameter delay: expected a time/m);
        return true;
      },
    );
  });
});
