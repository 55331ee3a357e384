/**
 * Which hosts a domain's mail is offered to, beside Debian's Postfix on a network of its own with a name server:
 * MX hosts, this host among them, names that do not exist, and fallback relays behind them. Nobody listens
 * anywhere; what is compared is who was tried, and what became of the mail. Needs root, iproute2 and postfix.
 */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { NameError, type Names } from "../../src/runtime/names.ts";
import { realNet } from "../../src/runtime/net.ts";
import { requestTo, testClient, type Written } from "../../src/smtp/testing/client.ts";
import { makeNetwork, type Network } from "../lab/network.ts";
import { until } from "../lab/until.ts";
import { answersOf } from "../lab/zone.ts";
import { missing } from "../peers/place.ts";
import { type RunningPostfix, startPostfix } from "../peers/postfix.ts";

const why = missing("postfix", "ip");
const ourAddress = "10.77.0.1";

const zone: Readonly<Record<string, string>> = {
  ...{ "a.hosts.test": "127.0.0.2", "b.hosts.test": "127.0.0.3", "self.hosts.test": ourAddress },
  ...{ "proxy.hosts.test": "192.0.2.5", "both.hosts.test": `127.0.0.4 ${ourAddress}` },
  "two.test": "mx:10:a.hosts.test mx:20:b.hosts.test",
  "bare.test": "127.0.0.5",
  "only-us.test": "mx:10:self.hosts.test",
  "us-bare.test": ourAddress,
  "us-second.test": "mx:10:a.hosts.test mx:20:self.hosts.test mx:30:b.hosts.test",
  "us-first.test": "mx:10:self.hosts.test mx:20:a.hosts.test",
  "us-equal.test": "mx:10:a.hosts.test mx:10:self.hosts.test",
  "us-twice.test": "mx:10:a.hosts.test mx:20:both.hosts.test",
  "proxy-second.test": "mx:10:a.hosts.test mx:20:proxy.hosts.test mx:30:b.hosts.test",
  "proxy-only.test": "mx:10:proxy.hosts.test",
  "lost-primary.test": "mx:10:gone.hosts.test mx:20:self.hosts.test",
  "half-lost.test": "mx:10:gone.hosts.test mx:20:b.hosts.test",
  "all-lost.test": "mx:10:gone.hosts.test mx:20:lost.hosts.test",
  "null.test": "mx:0:.",
  "unsure.test": "servfail",
  "unsure-host.test": "mx:10:unsure.test",
};

interface Case {
  readonly domain: string;
  readonly conf?: Written;
}

const fallback = { smtp_fallback_relay: "[127.0.0.9]" };

const cases: readonly Case[] = [
  ...[...Object.keys(zone).filter((name) => !name.endsWith(".hosts.test")), "gone.test"].map((domain) => ({ domain })),
  { domain: "us-second.test", conf: fallback },
  { domain: "only-us.test", conf: fallback },
  { domain: "gone.test", conf: fallback },
  { domain: "unsure.test", conf: fallback },
  { domain: "two.test", conf: { ...fallback, smtp_mx_address_limit: "1" } },
  { domain: "gone.test", conf: { smtp_fallback_relay: "gone.example" } },
  { domain: "gone.test", conf: { relayhost: "gone.test" } },
  { domain: "only-us.test", conf: { relayhost: "only-us.test" } },
  { domain: "only-us.test", conf: { best_mx_transport: "hole" } },
  { domain: "us-second.test", conf: { best_mx_transport: "hole" } },
  { domain: "all-lost.test", conf: { smtp_defer_if_no_mx_address_found: "yes" } },
  { domain: "unsure.test", conf: { ignore_mx_lookup_error: "yes" } },
];

const recipient = (index: number): string => `a@c${index}.example`;
let network: Network | undefined;
let postfix: RunningPostfix | undefined;

before(async () => {
  if (why) return;
  network = await makeNetwork(zone);
  const services = cases.map(({ conf = {} }, index) => {
    const options = Object.entries(conf).map(([name, value]) => `  -o { ${name} = ${value} }\n`);
    return `s${index} unix - - n - - smtp\n${options.join("")}`;
  });
  postfix = await startPostfix({
    port: 25,
    host: network.client,
    mainCf: {
      ...{ myhostname: "relay.test", proxy_interfaces: "192.0.2.5", smtp_host_lookup: "dns", notify_classes: "" },
      transport_maps: "texthash:@DIRECTORY@/etc/t",
    },
    masterCf: [...services, "hole unix - - n - - discard"],
    files: {
      "etc/t": `${cases.map(({ domain }, index) => `c${index}.example s${index}:${domain}\n`).join("")}sender.test discard:\n`,
    },
  });
  const all = cases.map((_, index) => recipient(index));
  const args = ["-C", `${postfix.directory}/etc`, "-f", "from@sender.test", ...all];
  const { status, stderr } = network.client.run("sendmail", args, { input: "Subject: x\n\nx\n" });
  assert.equal(status, 0, stderr);
});

after(async () => {
  await postfix?.stop();
  network?.remove();
});

/** What was written about a recipient: to whom it was passed, or what became of it. */
function outcome(log: string, address: string): string | undefined {
  const passed = new RegExp(`passing <${address}> to transport=\\w+`).exec(log)?.[0];
  const [, ...fields] =
    new RegExp(`smtp.*: to=<${address}>, relay=([^,]*), .*dsn=([\\d.]+), status=(\\w+) \\((.*)\\)`).exec(log) ?? [];
  return passed ?? (fields.length > 0 ? fields.join(" ") : undefined);
}

const names: Names = {
  addresses: async (name, family) => (family === 6 ? absent(name) : records(name, "A").map(({ data }) => String(data))),
  mx: async (name) => records(name, "MX").map(({ data }) => data as { preference: number; exchange: string }),
  srv: async (name) => absent(name),
  reverse: async (name) => absent(name),
  native: async (name) => absent(name),
};

function records(name: string, type: string): { readonly data: unknown }[] {
  const value = zone[name];
  if (value === "servfail") throw new NameError("tryAgain", name);
  if (value === undefined) throw new NameError("notFound", name);
  const found = answersOf(value, name, type) as { readonly data: unknown }[];
  if (found.length === 0) throw new NameError("noData", name);
  return found;
}

function absent(name: string): never {
  throw new NameError("noData", name);
}

/** Nobody is anywhere. */
const net = {
  ...realNet,
  connect: () => Promise.reject(Object.assign(new Error("refused"), { code: "ECONNREFUSED" })),
};

for (const [index, { domain, conf = {} }] of cases.entries()) {
  test(`as Postfix: ${domain} ${Object.entries(conf).join(" ")}`, { skip: why ?? false }, async () => {
    const { log } = postfix as RunningPostfix;
    const about = () => log().slice(-2000);
    const theirs = await until("Postfix has decided", () => outcome(log(), recipient(index)), { about });
    const written = { inet_protocols: "ipv4", smtp_host_lookup: "dns", ...conf };
    const self = [ourAddress, "192.0.2.5"];
    const { client, log: ours } = testClient(written, { runtime: { names, net }, self });
    await client.deliver(requestTo(domain, { to: [recipient(index)] }));
    await client.close();
    assert.equal(outcome(ours.lines.join("\n"), recipient(index)), theirs);
  });
}
