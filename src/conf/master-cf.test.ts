import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseMasterCf, settingsOf } from "./master-cf.ts";
import { portTable } from "./ports.ts";
import { Settings } from "./settings.ts";

const parse = (text: string) =>
  parseMasterCf(text, "master.cf", portTable("custom 2525/tcp alias2 # x\nudponly 1/udp\n"));
const only = (text: string) => {
  const { services, problems } = parse(text);
  assert.deepEqual(problems, []);
  const [service] = services;
  assert.ok(service);
  return service;
};

describe("parseMasterCf", () => {
  it("reads the eight fields, with their defaults", () => {
    const service = only("smtp inet n - - - - smtpd\n");
    assert.deepEqual(service, {
      name: "smtp",
      type: "inet",
      private: false,
      unprivileged: true,
      chroot: undefined,
      wakeup_s: 0,
      wakeupOnlyIfUsed: false,
      processLimit: undefined,
      command: "smtpd",
      args: [],
      overrides: new Map(),
      endpoint: { host: "", port: 25 },
      file: "master.cf",
      line: 1,
    });
    const qmgr = only("qmgr unix n n y 300? 0 qmgr\n");
    assert.deepEqual(
      [qmgr.unprivileged, qmgr.chroot, qmgr.wakeup_s, qmgr.wakeupOnlyIfUsed, qmgr.processLimit],
      [false, true, 300, true, 0],
    );
  });

  const endpoints: readonly (readonly [name: string, host: string, port: number])[] = [
    ["25", "", 25],
    ["submission", "", 587],
    ["custom", "", 2525],
    ["alias2", "", 2525],
    ["127.0.0.1:10025", "127.0.0.1", 10025],
    ["localhost:smtp", "localhost", 25],
    ["[::1]:25", "::1", 25],
    ["[ipv6:::1]:25", "::1", 25],
    ["[127.0.0.1]:25", "127.0.0.1", 25],
    [":25", "", 25],
    ["::1:25", "::1", 25],
  ];
  for (const [name, host, port] of endpoints) {
    it(`listens for ${name} on ${host || "inet_interfaces"} port ${port}`, () => {
      assert.deepEqual(only(`${name} inet n - n - - smtpd`).endpoint, { host, port });
    });
  }

  it("takes -o in every form, and keeps other arguments", () => {
    const { overrides, args } = only(
      "smtp inet n - n - - smtpd -v\n  -o a=1 -ob=2 -o { c = three words } -Do d= x {y z} -o e=5\n",
    );
    assert.deepEqual(
      [...overrides].map(([name, { value }]) => [name, value]),
      [
        ["a", "1"],
        ["b", "2"],
        ["c", "three words"],
        ["d", ""],
      ],
    );
    assert.deepEqual(args, ["-v", "-D", "x", "y z", "-o", "e=5"]);
    assert.equal(overrides.get("a")?.line, 1);
  });

  const bad: readonly (readonly [line: string, text: RegExp])[] = [
    ["smtp inet n - n - -", /missing "command" field/],
    ["smtp tcp n - n - - smtpd", /bad transport type: tcp/],
    ["smtp inet - - n - - smtpd", /inet service cannot be private/],
    ["smtp inet n maybe n - - smtpd", /field "unprivileged": bad value: "maybe"/],
    ["smtp inet n - n soon - smtpd", /field "wakeup_time": bad value: "soon"/],
    ["smtp inet n - n - few smtpd", /field "max_proc": bad value: "few"/],
    ["nosuchport inet n - n - - smtpd", /unknown service name "nosuchport"/],
    ["udponly inet n - n - - smtpd", /unknown service name "udponly"/],
    ["70000 inet n - n - - smtpd", /above 65535/],
    ["25x inet n - n - - smtpd", /garbage after numerical service/],
    ["[::1:25 inet n - n - - smtpd", /missing "\]"/],
    ["[::1] inet n - n - - smtpd", /missing service information/],
    ["smtp inet n - n - - smtpd -o a", /missing '=' after attribute name: "a"/],
    ["smtp inet n - n - - smtpd -o", /-o needs name=value/],
    ["smtp inet n - n - - smtpd -o {a=b", /missing '\}'/],
  ];
  for (const [line, text] of bad) {
    it(`refuses "${line}" with its line`, () => {
      const { services, problems } = parse(`# x\n${line}\nother unix - - n - - smtp\n`);
      assert.match(problems[0]?.text ?? "", text);
      assert.equal(problems[0]?.line, 2);
      assert.deepEqual(
        services.map(({ name }) => name),
        ["other"],
      );
    });
  }

  it("of a service defined twice the later one counts, with a warning", () => {
    const { services, warnings } = parse(
      "smtp inet n - n - - smtpd\nsmtp unix - - n - - smtp\nsmtp inet n - n - 5 smtpd\n",
    );
    assert.deepEqual(
      services.map(({ type, processLimit }) => [type, processLimit]),
      [
        ["unix", undefined],
        ["inet", 5],
      ],
    );
    assert.match(warnings[0]?.text ?? "", /also defined in line 1/);
  });
});

describe("settingsOf", () => {
  it("puts a service's -o above main.cf, and knows its name", () => {
    const settings = new Settings({
      written: new Map([["syslog_name", { value: "main", file: "main.cf", line: 1 }]]),
      declared: {},
      host: { name: "h", interfaces: [] },
      directory: "/etc/postfix",
    });
    const own = settingsOf(only("relay unix - - n - - smtp -o syslog_name=postfix/$service_name\n"), settings);
    assert.equal(own.value("syslog_name"), "postfix/relay");
    assert.deepEqual(own.at("syslog_name"), { file: "master.cf", line: 1 });
    assert.equal(settings.value("syslog_name"), "main");
  });
});
