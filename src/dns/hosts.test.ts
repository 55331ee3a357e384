import assert from "node:assert/strict";
import { test } from "node:test";
import { defaults } from "../conf/defaults.ts";
import { globalParams } from "../conf/params.ts";
import { memoryLog } from "../log/log.ts";
import { type MxRecord, NameError, type NameFailure, type Names, type SrvRecord } from "../runtime/names.ts";
import { seededRandom } from "../runtime/random.ts";
import { asConfigurationProblem, findHosts } from "./hosts.ts";
import { parseNextHop, splitNextHops } from "./nexthop.ts";
import { byWeight } from "./order.ts";
import { dnsParams } from "./params.ts";

interface Zone {
  readonly mx?: Readonly<Record<string, readonly MxRecord[] | NameFailure>>;
  readonly srv?: Readonly<Record<string, readonly SrvRecord[] | NameFailure>>;
  readonly a?: Readonly<Record<string, readonly string[] | NameFailure>>;
  readonly aaaa?: Readonly<Record<string, readonly string[] | NameFailure>>;
  readonly native?: Readonly<Record<string, readonly string[] | NameFailure>>;
}

/** A name service that knows only what it is told. */
function namesOf(zone: Zone): Names {
  const find = <T>(table: Readonly<Record<string, readonly T[] | NameFailure>> | undefined, name: string): T[] => {
    const found = table?.[name] ?? "notFound";
    if (typeof found === "string") throw new NameError(found, name);
    return [...found];
  };
  return {
    addresses: async (name, family) => find(family === 4 ? zone.a : zone.aaaa, name),
    mx: async (name) => find(zone.mx, name),
    srv: async (name) => find(zone.srv, name),
    reverse: async (address) => find({}, address),
    native: async (name) =>
      find(zone.native, name).map((address) => ({ address, family: address.includes(":") ? 6 : 4 })),
  };
}

const params = { ...dnsParams, inet_protocols: globalParams.inet_protocols };

async function found(
  next: string,
  zone: Zone,
  written: Partial<Record<keyof typeof params, string>> = {},
  self: string[] = [],
  lookUpMx = true,
) {
  const hop = parseNextHop(next);
  assert.ok(!("error" in hop), next);
  const log = memoryLog();
  const conf = defaults(params, { smtp_randomize_addresses: "no", ...written });
  const result = await findHosts(hop, { names: namesOf(zone), random: seededRandom(1), conf, self, log }, lookUpMx);
  const hosts =
    result.kind === "hosts" ? result.hosts.map(({ name, address, port }) => `${name}[${address}]:${port}`) : [];
  const failure = result.kind === "failure" ? `${result.dsn} ${result.status} ${result.text}` : "";
  return { result, hosts, failure, lines: log.lines };
}

const mx = (preference: number, exchange: string): MxRecord => ({ preference, exchange });

const zone: Zone = {
  mx: { "example.com": [mx(20, "b.example.com"), mx(10, "a.example.com")] },
  a: { "a.example.com": ["192.0.2.1"], "b.example.com": ["192.0.2.2"], "example.com": ["192.0.2.9"] },
  aaaa: { "a.example.com": ["2001:db8::1"], "b.example.com": "noData", "example.com": "noData" },
};

test("the hosts of a domain are its MX hosts, most preferred first, all addresses of each", async () => {
  const { hosts, result } = await found("example.com", zone);
  assert.deepEqual(hosts, [
    "a.example.com[192.0.2.1]:25",
    "a.example.com[2001:db8::1]:25",
    "b.example.com[192.0.2.2]:25",
  ]);
  assert.ok(result.kind === "hosts" && result.byMx && !result.foundSelf);
});

test("brackets turn MX look-up off, and the port is kept", async () => {
  assert.deepEqual((await found("[example.com]:587", zone)).hosts, ["example.com[192.0.2.9]:587"]);
  assert.deepEqual((await found("[192.0.2.7]:2525", {})).hosts, ["192.0.2.7[192.0.2.7]:2525"]);
  assert.deepEqual((await found("[IPv6:2001:db8::7]", {})).hosts, ["2001:db8::7[2001:db8::7]:25"]);
});

test("a domain without MX records is its own host", async () => {
  const only: Zone = { mx: { "h.example": "noData" }, a: { "h.example": ["192.0.2.3"] } };
  assert.deepEqual((await found("h.example", only)).hosts, ["h.example[192.0.2.3]:25"]);
});

test("a name that does not exist bounces, one of which nothing can be learnt defers", async () => {
  assert.equal(
    (await found("none.example", {})).failure,
    "5.4.4 bounced Host or domain name not found. Name service error for name=none.example type=AAAA: Host not found",
  );
  assert.equal(
    (await found("none.example", {}, { inet_protocols: "ipv4" })).failure,
    "5.4.4 bounced Host or domain name not found. Name service error for name=none.example type=A: Host not found",
  );
  assert.equal(
    (await found("slow.example", { mx: { "slow.example": "tryAgain" } })).failure,
    "4.4.3 deferred Host or domain name not found. Name service error for name=slow.example type=MX: Host not found, try again",
  );
  const half: Zone = { a: { "h.example": "tryAgain" } };
  assert.match((await found("[h.example]", half)).failure, /^4\.4\.3 deferred .* type=A: Host not found, try again$/);
});

test("an MX look-up that fails is passed over with ignore_mx_lookup_error", async () => {
  const slow: Zone = { mx: { "h.example": "tryAgain" }, a: { "h.example": ["192.0.2.3"] } };
  assert.deepEqual((await found("h.example", slow, { ignore_mx_lookup_error: "yes" })).hosts, [
    "h.example[192.0.2.3]:25",
  ]);
});

test("a null MX bounces", async () => {
  for (const exchange of ["", "."]) {
    const { failure } = await found("n.example", { mx: { "n.example": [mx(0, exchange)] } });
    assert.equal(failure, "5.1.0 bounced Domain n.example does not accept mail (nullMX)");
  }
});

test("MX hosts of which one can be found are enough; of which none can are reported", async () => {
  const half: Zone = {
    mx: { "x.example": [mx(1, "gone.example"), mx(2, "h.example")] },
    a: { "h.example": ["192.0.2.3"] },
  };
  assert.deepEqual((await found("x.example", half)).hosts, ["h.example[192.0.2.3]:25"]);
  const none: Zone = { mx: { "x.example": [mx(1, "gone.example")] } };
  const bounced = await found("x.example", none);
  assert.match(bounced.failure, /^5\.4\.4 bounced .*name=gone\.example type=AAAA: Host not found$/);
  assert.deepEqual(bounced.lines, ["test: warning: no MX host for x.example has a valid address record"]);
  assert.match(
    (await found("x.example", none, { smtp_defer_if_no_mx_address_found: "yes" })).failure,
    /^4\.4\.4 deferred/,
  );
  const unsure: Zone = {
    mx: { "x.example": [mx(1, "slow.example"), mx(2, "gone.example")] },
    a: { "slow.example": "tryAgain" },
  };
  assert.match((await found("x.example", unsure)).failure, /^4\.4\.3 deferred/);
});

test("hosts that are not preferred to ourselves are left out, and mail for ourselves is a loop", async () => {
  const { hosts, result } = await found("example.com", zone, {}, ["192.0.2.2"]);
  assert.deepEqual(hosts, ["a.example.com[192.0.2.1]:25", "a.example.com[2001:db8::1]:25"]);
  assert.ok(result.kind === "hosts" && result.foundSelf);
  const loop = await found("example.com", zone, {}, ["2001:db8:0:0::1"]);
  assert.equal(loop.failure, "5.4.6 bounced mail for example.com loops back to myself");
  assert.ok(loop.result.kind === "failure" && loop.result.loop);
  assert.equal(
    (await found("[example.com]", zone, {}, ["192.0.2.9"])).failure,
    "5.4.6 bounced mail for example.com loops back to myself",
  );
  assert.equal((await found("[example.com]:587", zone, {}, ["192.0.2.9"])).failure, "");
});

test("when only a backup of ours can be found, the primary's absence defers", async () => {
  const lost: Zone = {
    mx: { "x.example": [mx(1, "gone.example"), mx(2, "us.example")] },
    a: { "us.example": ["192.0.2.3"] },
  };
  assert.equal(
    (await found("x.example", lost, {}, ["192.0.2.3"])).failure,
    "4.4.4 deferred unable to find primary relay for x.example",
  );
});

test("native look-up is asked where dns knows nothing, or alone", async () => {
  const both: Zone = { native: { "h.example": ["127.0.0.5"] } };
  assert.deepEqual((await found("[h.example]", both, { smtp_host_lookup: "dns, native" })).hosts, [
    "h.example[127.0.0.5]:25",
  ]);
  assert.deepEqual((await found("[h.example]", both, { smtp_host_lookup: "native" })).hosts, [
    "h.example[127.0.0.5]:25",
  ]);
  assert.deepEqual((await found("h.example", both, { smtp_dns_support_level: "disabled" })).hosts, [
    "h.example[127.0.0.5]:25",
  ]);
  assert.match((await found("[h.example]", both)).failure, /^5\.4\.4/);
  assert.equal(
    (await found("[x.example]", both, { smtp_host_lookup: "native" })).failure,
    "5.4.4 bounced unable to look up host x.example: Name or service not known",
  );
  const slow: Zone = {
    a: { "h.example": "tryAgain" },
    aaaa: { "h.example": "tryAgain" },
    native: { "h.example": ["127.0.0.5"] },
  };
  assert.match((await found("[h.example]", slow, { smtp_host_lookup: "dns, native" })).failure, /^4\.4\.3/);
});

test("only addresses of the protocols in use are taken", async () => {
  assert.deepEqual((await found("example.com", zone, { inet_protocols: "ipv6" })).hosts, [
    "a.example.com[2001:db8::1]:25",
  ]);
  assert.match((await found("[192.0.2.1]", {}, { inet_protocols: "ipv6" })).failure, /^5\.4\.4/);
});

const srv = (priority: number, target: string, port = 587, weight = 0): SrvRecord => ({
  priority,
  weight,
  port,
  target,
});
const service = "_submission._tcp.s.example";
const bySrv: Zone = {
  srv: { [service]: [srv(20, "b.example", 2525), srv(10, "a.example", 1587)] },
  mx: { "s.example": [mx(1, "mx.example")] },
  a: {
    "a.example": ["192.0.2.1"],
    "b.example": ["192.0.2.2"],
    "mx.example": ["192.0.2.9"],
    "s.example": ["192.0.2.8"],
  },
};
const use = { use_srv_lookup: "submission" };

test("hosts and ports come from SRV records, where the next hop names such a service", async () => {
  assert.deepEqual((await found("s.example:submission", bySrv, use)).hosts, [
    "a.example[192.0.2.1]:1587",
    "b.example[192.0.2.2]:2525",
  ]);
  assert.deepEqual((await found("s.example:submission", bySrv)).hosts, ["mx.example[192.0.2.9]:587"]);
  assert.deepEqual((await found("s.example:587", bySrv, use)).hosts, ["mx.example[192.0.2.9]:587"]);
  assert.deepEqual((await found("[s.example]:submission", bySrv, use)).hosts, ["s.example[192.0.2.8]:587"]);
  assert.deepEqual((await found("s.example", bySrv, { use_srv_lookup: "smtp" })).hosts, []);
});

test("without SRV records the mail bounces, or goes on as without them where that is permitted", async () => {
  const none: Zone = { ...bySrv, srv: {} };
  const why = "Name service error for name=_submission._tcp.s.example type=SRV: Host not found";
  assert.equal(
    (await found("s.example:submission", none, use)).failure,
    `5.4.4 bounced Host or domain name not found. ${why}`,
  );
  const permitted = await found("s.example:submission", none, { ...use, allow_srv_lookup_fallback: "yes" });
  assert.deepEqual(permitted.hosts, ["mx.example[192.0.2.9]:587"]);
  assert.deepEqual(permitted.lines, [
    `test: skipping SRV lookup for ${service}: Host or domain name not found. ${why}`,
  ]);
  const lmtp = await found("s.example:submission", none, { ...use, allow_srv_lookup_fallback: "yes" }, [], false);
  assert.deepEqual(lmtp.hosts, ["s.example[192.0.2.8]:587"]);
});

test("SRV records of which nothing can be learnt defer, unless that is to be passed over", async () => {
  const unsure: Zone = { ...bySrv, srv: { [service]: "tryAgain" } };
  assert.match((await found("s.example:submission", unsure, use)).failure, /^4\.4\.3 deferred .* type=SRV: /);
  assert.deepEqual((await found("s.example:submission", unsure, { ...use, ignore_srv_lookup_error: "yes" })).hosts, [
    "mx.example[192.0.2.9]:587",
  ]);
  const none = { ...use, ignore_srv_lookup_error: "yes" };
  assert.match((await found("s.example:submission", { ...bySrv, srv: {} }, none)).failure, /^5\.4\.4/);
});

test("a service that is decidedly not there, and one without hosts, bounce", async () => {
  const zone = (...records: SrvRecord[]): Zone => ({ ...bySrv, srv: { [service]: records } });
  assert.equal(
    (await found("s.example:submission", zone(srv(0, ".", 0)), use)).failure,
    `5.1.0 bounced Domain ${service} does not support SRV requests`,
  );
  const lost = await found("s.example:submission", zone(srv(0, "gone.example")), use);
  assert.match(lost.failure, /^5\.4\.4 bounced .*name=gone\.example/);
  assert.deepEqual(lost.lines, [`test: warning: no SRV host for ${service} has a valid address record`]);
});

test("SRV hosts that are not preferred to ourselves are left out on port 25, and mail for ourselves is a loop", async () => {
  const zone: Zone = {
    srv: { "_smtp._tcp.s.example": [srv(10, "a.example", 2525), srv(20, "us.example", 25), srv(30, "b.example", 25)] },
    a: { "a.example": ["192.0.2.1"], "us.example": ["192.0.2.3"], "b.example": ["192.0.2.2"] },
  };
  const { hosts, result } = await found("s.example", zone, { use_srv_lookup: "smtp" }, ["192.0.2.3"]);
  assert.deepEqual(hosts, ["a.example[192.0.2.1]:2525"]);
  assert.ok(result.kind === "hosts" && result.foundSelf);
  const loop = await found("s.example", zone, { use_srv_lookup: "smtp" }, ["192.0.2.1"]);
  assert.equal(loop.failure, "5.4.6 bounced mail for _smtp._tcp.s.example loops back to myself");
});

test("among SRV records of one priority the heavier ones come first more often, and each comes once", () => {
  const records = [srv(1, "light", 1, 10), srv(1, "heavy", 1, 90), srv(1, "none", 1, 0), srv(0, "first", 1, 0)];
  const random = seededRandom(7);
  let heavyFirst = 0;
  for (let round = 0; round < 1000; round++) {
    const order = byWeight(records, random).map(({ target }) => target);
    assert.deepEqual([...order].sort(), ["first", "heavy", "light", "none"]);
    assert.equal(order[0], "first");
    assert.equal(order[3], "none");
    if (order[1] === "heavy") heavyFirst++;
  }
  assert.ok(heavyFirst > 850 && heavyFirst < 950, `${heavyFirst} of 1000`);
});

test("address preference orders hosts of equal preference, and the limit leaves both families", async () => {
  const many: Zone = {
    a: { "h.example": ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"] },
    aaaa: { "h.example": ["2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8::4"] },
  };
  const six = (await found("[h.example]", many, { smtp_address_preference: "ipv6" })).hosts;
  assert.deepEqual(
    six.map((host) => (host.includes("db8") ? 6 : 4)),
    [6, 6, 6, 4, 4],
  );
  const four = (await found("[h.example]", many, { smtp_address_preference: "ipv4" })).hosts;
  assert.deepEqual(
    four.map((host) => (host.includes("db8") ? 6 : 4)),
    [4, 4, 4, 6, 6],
  );
  const cut = await found("[h.example]", many, { smtp_address_preference: "ipv6", smtp_balance_inet_protocols: "no" });
  assert.deepEqual(
    cut.hosts.map((host) => (host.includes("db8") ? 6 : 4)),
    [6, 6, 6, 6, 4],
  );
  assert.equal((await found("[h.example]", many, { smtp_mx_address_limit: "0" })).hosts.length, 8);
});

test("shuffling keeps preferences apart and loses nobody", async () => {
  const wide: Zone = {
    mx: { "x.example": [mx(2, "b.example"), mx(1, "a.example")] },
    a: { "a.example": ["192.0.2.1", "192.0.2.2", "192.0.2.3"], "b.example": ["192.0.2.7"] },
  };
  const { hosts } = await found("x.example", wide, { smtp_randomize_addresses: "yes" });
  assert.equal(hosts.at(-1), "b.example[192.0.2.7]:25");
  assert.equal(new Set(hosts).size, 4);
});

test("an answer without end is cut off", async () => {
  const endless = Array.from({ length: 5000 }, (_, index) => mx(index, `h${index}.example`));
  const a = Object.fromEntries(endless.map(({ exchange }) => [exchange, ["192.0.2.1"]]));
  const { hosts } = await found("x.example", { mx: { "x.example": endless }, a }, { smtp_mx_address_limit: "0" });
  assert.equal(hosts.length, 100);
});

test("a relay host that cannot be found is the administrator's problem, and defers", async () => {
  const { result } = await found("[none.example]", {});
  assert.ok(result.kind === "failure");
  const softened = asConfigurationProblem(result);
  assert.equal(softened.status, "deferred");
  assert.equal(softened.dsn, "4.3.5");
});

test("next hops are read with brackets, ports and service names", () => {
  const read = (text: string) => {
    const hop = parseNextHop(text);
    return "error" in hop ? hop.error : `${hop.bracketed ? "=" : "~"}${hop.host}:${hop.port}`;
  };
  assert.equal(read("mail.example"), "~mail.example:25");
  assert.equal(read("mail.example:submission"), "~mail.example:587");
  assert.equal(read("[mail.example]"), "=mail.example:25");
  assert.equal(read("[mail.example]:smtps"), "=mail.example:465");
  assert.equal(read("[ipv6:::1]:2525"), "=::1:2525");
  assert.equal(read("[::1]"), "=::1:25");
  assert.equal(read("[mail.example]:"), "=mail.example:25");
  assert.equal(read("grüße.example"), "~grüße.example:25");
  assert.equal(read("[mail.example"), 'missing "]" in server description: [mail.example');
  assert.equal(read("[a]b"), 'garbage after "]" in server description: [a]b');
  assert.equal(read("[ipv6:1.2.3.4]"), "malformed IPv6 address in server description: [ipv6:1.2.3.4]");
  assert.match(read(":25"), /^missing host information/);
  assert.match(read("mail.example:0"), /^bad network port/);
  assert.match(read("mail.example:65536"), /^bad network port/);
  assert.match(read("mail.example:nosuch"), /^unknown service: nosuch\/tcp/);
  assert.match(read("mail..example"), /^valid hostname or network address required/);
  assert.match(read("1.2.3"), /^valid hostname/);
  assert.deepEqual(splitNextHops("[a.example]:587, b.example\tc.example"), [
    "[a.example]:587",
    "b.example",
    "c.example",
  ]);
});
