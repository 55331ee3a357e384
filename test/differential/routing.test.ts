/**
 * Where mail goes: the same configuration, tables and addresses, asked of the trivial-rewrite of Debian's
 * Postfix and of our Router, and compared: address class, transport, next hop, and the address itself. Some
 * cases are named; the others are made from a seed: one configuration each, with its own trivial-rewrite.
 * Needs root and the package postfix.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { defaults } from "../../src/conf/defaults.ts";
import { globalParams } from "../../src/conf/params.ts";
import { memoryLog } from "../../src/log/log.ts";
import { builtInUntried, type Untried, UntriedHops } from "../../src/qmgr/verdict.ts";
import { splitTransport } from "../../src/routing/next-hop.ts";
import { routingParams } from "../../src/routing/params.ts";
import { Router, type RoutingConf } from "../../src/routing/resolve.ts";
import { realClock } from "../../src/runtime/clock.ts";
import type { Maps } from "../../src/table/maps.ts";
import { TableError } from "../../src/table/table.ts";
import { TableSet } from "../../src/table/table-set.ts";
import { rngFrom } from "../crash/rng.ts";
import { until } from "../lab/until.ts";
import { missing } from "../peers/place.ts";
import { type RunningPostfix, startPostfix } from "../peers/postfix.ts";
import { PostfixResolver, type PostfixRoute } from "../peers/resolver.ts";

const why = missing("postfix");
const seed = Number(process.env.POSTERN_SEED ?? 4);
const generated = 40;
const questionsEach = 25;

interface Case {
  /** Parameters; "@DIRECTORY@" is where the tables are. */
  readonly conf: Readonly<Record<string, string>>;
  /** Sources of tables, by name. */
  readonly tables: Readonly<Record<string, string>>;
  readonly questions: readonly (readonly [sender: string, recipient: string])[];
}

const me = "me@here.example";
const to = (...recipients: string[]): Case["questions"] => recipients.map((each) => [me, each] as const);
const table = (name: string): string => `texthash:@DIRECTORY@/etc/${name}`;

const common = {
  ...{ myhostname: "mx.here.example", mydomain: "here.example", myorigin: "here.example" },
  ...{ mydestination: "here.example, mx.here.example, localhost", append_dot_mydomain: "no" },
  ...{ virtual_alias_domains: "v.example", virtual_mailbox_domains: "box.example", virtual_alias_maps: "" },
  ...{ relay_domains: "relay.example", local_transport: "local:mx.here.example", virtual_transport: "virtual" },
  ...{ alias_maps: "", local_recipient_maps: "", relay_recipient_maps: "", virtual_mailbox_maps: "" },
};

const named: Readonly<Record<string, Case>> = {
  "every class without tables": {
    conf: {},
    tables: {},
    questions: to(
      "a@here.example",
      "a@v.example",
      "a@box.example",
      "a@relay.example",
      "a@sub.relay.example",
      "a@b.example",
    ),
  },
  "relayhost and its lists": {
    conf: { relayhost: "[one.example]:587, two.example" },
    tables: {},
    questions: to("a@b.example", "a@relay.example", "a@box.example", "a@here.example"),
  },
  "transports with next hops of their own": {
    conf: {
      ...{ relayhost: "[smart.example]", default_transport: "slow:[d.example]", relay_transport: "relay:" },
      ...{ virtual_transport: "lmtp:unix:private/box", local_transport: "lmtp:inet:store.example:24" },
    },
    tables: {},
    questions: to("a@b.example", "a@relay.example", "a@box.example", "a@here.example"),
  },
  "every form of key in transport_maps": {
    conf: { transport_maps: table("t"), recipient_delimiter: "+", relayhost: "[smart.example]" },
    tables: {
      t: `user+ext@b.example ext:\nuser@b.example user:\nb.example domain:\n.b.example sub:\n.example top:\n* all:\n`,
    },
    questions: to(
      ...["user+ext@b.example", "user+other@b.example", "USER@B.example", "x@b.example", "x@sub.b.example"],
      ...["x@a.sub.b.example", "x@example", "x@c.example", "x@org", "x@[192.0.2.1]", "user+ext@here.example"],
    ),
  },
  "parent domains": {
    conf: { transport_maps: table("t"), parent_domain_matches_subdomains: "transport_maps" },
    tables: { t: "b.example domain:\n.b.example sub:\nexample top:\n" },
    questions: to("x@b.example", "x@sub.b.example", "x@a.sub.b.example", "x@c.example", "x@relay.example", "x@org"),
  },
  "every form of value in transport_maps": {
    conf: { transport_maps: table("t"), relayhost: "[smart.example]", default_transport: "slow" },
    tables: {
      t: `a.example smtp:\nb.example smtp\nc.example :\nd.example :[x.example]:26\ne.example error:\nf.example error:5.7.1 not here: no\ng.example retry:\nh.example discard:\ni.example smtp:[x.example], [y.example]:26\nj.example lmtp:unix:private/x\nk.example smtp: spaced\nl.example  :  x\n`,
    },
    questions: to(...[..."abcdefghijkl"].map((letter) => `x@${letter}.example`), "x@m.example"),
  },
  "transport_maps and the classes": {
    conf: { transport_maps: table("t"), relayhost: "[smart.example]", local_transport: "lmtp:[store.example]" },
    tables: {
      t: "here.example :[other.example]\nv.example smtp:\nbox.example lmtp:\nrelay.example :\nroot@here.example error:\n",
    },
    questions: to("a@here.example", "root@here.example", "root", "a@v.example", "a@box.example", "a@relay.example"),
  },
  "the sender's relayhost": {
    conf: { sender_dependent_relayhost_maps: table("s"), relayhost: "[smart.example]", recipient_delimiter: "+" },
    tables: {
      s: "me@here.example [mine.example]\n@here.example [ours.example]\nno@here.example DUNNO\n<> [null.example]\nlocal [bare.example]\nx@y.example dunno\n",
    },
    questions: [
      ...["me@here.example", "me+ext@here.example", "you@here.example", "no@here.example", "", "local@here.example"],
      ...["local@y.example", "x@y.example", "ME@HERE.EXAMPLE", "local"],
    ].map((sender) => [sender, "a@b.example"] as const),
  },
  "the sender's relayhost and the classes": {
    conf: { sender_dependent_relayhost_maps: table("s"), default_transport: "slow:[d.example]" },
    tables: { s: "me@here.example [mine.example]\n" },
    questions: to("a@b.example", "a@relay.example", "a@box.example", "a@here.example"),
  },
  "the sender's transport": {
    conf: {
      sender_dependent_default_transport_maps: table("s"),
      sender_dependent_relayhost_maps: table("r"),
      empty_address_default_transport_maps_lookup_key: "nobody",
      transport_maps: table("t"),
    },
    tables: {
      s: "me@here.example mine:\n@y.example theirs:[theirs.example]\nno@here.example DUNNO\nnobody null:\n",
      r: "me@here.example [mine.example]\n@y.example [never.example]\n",
      t: "t.example :[t.example]\n",
    },
    questions: ["me@here.example", "x@y.example", "no@here.example", ""].flatMap((sender) =>
      ["a@b.example", "a@relay.example", "a@t.example"].map((recipient) => [sender, recipient] as const),
    ),
  },
  "those who have moved": {
    conf: { relocated_maps: table("m"), transport_maps: table("t") },
    tables: {
      m: "old@b.example new@c.example\nold@here.example n@c.example\n@v.example elsewhere\nuser gone\n",
      t: "b.example slow:\n",
    },
    questions: to(
      "old@b.example",
      "old@here.example",
      "a@v.example",
      "user@here.example",
      "user@b.example",
      "a@b.example",
    ),
  },
  patterns: {
    conf: { transport_maps: "regexp:@DIRECTORY@/etc/p", recipient_delimiter: "+" },
    tables: { p: "/^user@b\\.example$/ user:\n/^b\\.example$/ never:\n/@c\\.example$/ domain:\n/^\\*$/ all:\n" },
    questions: to("user@b.example", "user+ext@b.example", "x@b.example", "x@c.example", "x@sub.c.example"),
  },
  "addresses that lead on": {
    conf: { relayhost: "[smart.example]" },
    tables: {},
    questions: to(
      ...[
        "a%b.example@here.example",
        "b.example!a@here.example",
        '"a@b.example"@here.example',
        "a%b.example@b.example",
      ],
      ...["a%here.example@here.example", "a@here.example@localhost", "a@[127.0.0.1]", "a@[192.0.2.9]", "a@b.example."],
      ...[
        "@b.example",
        "-a@b.example",
        "a@-b.example",
        "a@b_c.example",
        "a@b..example",
        "a@1.2.3.4",
        "a@",
        '""@here.example',
      ],
    ),
  },
  "numeric domains": {
    conf: { resolve_numeric_domain: "yes", transport_maps: table("t") },
    tables: { t: "[192.0.2.9] literal:\n192.0.2.9 bare:\n" },
    questions: to("a@192.0.2.9", "a@[192.0.2.9]", "a@127.0.0.1", "a%b.example@127.0.0.1", "a@1.2.3", "a@1.2.3.256"),
  },
  "hyphens, extensions and special names": {
    conf: { transport_maps: table("t"), recipient_delimiter: "-", allow_min_user: "yes" },
    tables: { t: "owner@b.example wrong:\nlist@b.example list:\npostmaster@b.example pm:\n" },
    questions: to(
      "owner-list@b.example",
      "list-request@b.example",
      "list-x@b.example",
      "postmaster@b.example",
      "-list@b.example",
    ),
  },
};

// -- Cases from a seed

function madeCases(count: number): Readonly<Record<string, Case>> {
  const rng = rngFrom(seed);
  const below = (limit: number) => Math.floor(rng() * limit);
  const pick = <T>(list: readonly T[]): T => list[below(list.length)] as T;
  const users = [
    "user",
    "User",
    "user+ext",
    "user-ext",
    "user+a+b",
    "other",
    '"two words"',
    "owner-list",
    "a%b.example",
    "-dash",
  ];
  const domains = [
    ...["b.example", "B.Example", "sub.b.example", "a.sub.b.example", "c.example", "here.example", "mx.here.example"],
    ...["v.example", "box.example", "relay.example", "sub.relay.example", "sub.here.example", "example", "[192.0.2.9]"],
  ];
  const keys = (): string => {
    const domain = pick(domains).toLowerCase();
    const user = pick(["user", "user+ext", "other", "user-ext", "owner"]);
    return pick([`${user}@${domain}`, domain, `.${domain}`, `${user}@${domain}`, domain, "*", ".example"]);
  };
  const hops = [
    "",
    ":",
    "slow",
    "slow:",
    "smtp:[x.example]",
    ":[y.example]:26",
    "error:",
    "error:5.7.1 no",
    "retry:4.7.1 later",
  ];
  const values = [
    ...hops,
    "discard:",
    "lmtp:unix:private/x",
    "lmtp:inet:x.example:24",
    "relay:a.example, [b.example]",
  ].slice(1);
  const lines = (key: () => string, of: readonly string[]): string => {
    const found = new Map(Array.from({ length: 1 + below(8) }, () => [key(), pick(of)]));
    return [...found].map(([name, value]) => `${name} ${value}\n`).join("");
  };
  const sender = (): string =>
    pick(["me@here.example", "me+ext@here.example", "@here.example", "x@y.example", "<>", "me"]);
  const hosts = ["[mine.example]", "mine.example:26", "DUNNO", "[a.example], b.example"];
  const make = (): Case => {
    const conf: Record<string, string> = { recipient_delimiter: pick(["", "+", "-", "+-"]) };
    const tables: Record<string, string> = {};
    const perhaps = (name: string, value: () => string): void => {
      if (below(2) === 1) conf[name] = value();
    };
    const use = (parameter: string, name: string, text: () => string) =>
      perhaps(parameter, () => {
        tables[name] = text();
        return table(name);
      });
    use("transport_maps", "t", () => lines(keys, values));
    use("sender_dependent_relayhost_maps", "r", () => lines(sender, hosts));
    use("sender_dependent_default_transport_maps", "d", () =>
      lines(sender, ["slow", "slow:[s.example]", "DUNNO", "mine:"]),
    );
    use("relocated_maps", "m", () =>
      lines(() => pick(["user@b.example", "@v.example", "other", "@here.example"]), ["new@c.example"]),
    );
    perhaps("relayhost", () => pick(["[smart.example]", "smart.example:587", "[a.example], [b.example]:26"]));
    perhaps("default_transport", () => pick(["slow", "smtp:[d.example]", "error:5.7.1 closed"]));
    perhaps("relay_transport", () => pick(["relay:[r.example]", "smtp", "lmtp:unix:private/r"]));
    perhaps("local_transport", () => pick(["lmtp:unix:private/l", "error:5.1.1 no mailboxes", "smtp:[store.example]"]));
    perhaps("virtual_transport", () => pick(["lmtp:unix:private/v", "lmtp:[v.example]", "smtp:"]));
    perhaps("parent_domain_matches_subdomains", () =>
      pick(["", "transport_maps", "relay_domains", "transport_maps relay_domains"]),
    );
    perhaps("owner_request_special", () => "no");
    const questions = Array.from({ length: questionsEach }, () => {
      const from = pick(["me@here.example", "me+ext@here.example", "you@here.example", "x@y.example", ""]);
      return [from, `${pick(users)}@${pick(domains)}`] as const;
    });
    return { conf, tables, questions };
  };
  return Object.fromEntries(Array.from({ length: count }, (_, index) => [`made ${index + 1} of seed ${seed}`, make()]));
}

const cases: Readonly<Record<string, Case>> = { ...named, ...madeCases(generated) };
const serviceOf = (name: string): string => `rewrite${Object.keys(cases).indexOf(name)}`;

let postfix: RunningPostfix | undefined;

before(async () => {
  if (why) return;
  const files: Record<string, string> = {};
  const masterCf: string[] = [];
  for (const [name, { conf, tables }] of Object.entries(cases)) {
    const service = serviceOf(name);
    for (const [file, text] of Object.entries(tables)) files[`etc/${service}/${file}`] = text;
    const options = Object.entries(conf).map(
      ([parameter, value]) => `  -o { ${parameter} = ${placed(value, service)} }\n`,
    );
    masterCf.push(`${service} unix - - n - 1 trivial-rewrite\n${options.join("")}`);
  }
  postfix = await startPostfix({ mainCf: common, masterCf, files });
});

after(async () => postfix?.stop());

/** Each case has its tables in a directory of its own. */
function placed(value: string, service: string): string {
  return value.replaceAll("@DIRECTORY@/etc", `@DIRECTORY@/etc/${service}`);
}

async function ourRouter(name: string, directory: string): Promise<Router> {
  const { conf } = cases[name] as Case;
  const written = Object.fromEntries(
    Object.entries({ ...common, ...conf }).map(([parameter, value]) => [
      parameter,
      placed(value, serviceOf(name)).replaceAll("@DIRECTORY@", directory),
    ]),
  );
  const set = new TableSet({
    defaultType: "hash",
    read: async (path) => ({ bytes: readFileSync(path), mtime_ms: statSync(path).mtimeMs }),
    modified: async (path) => statSync(path).mtimeMs,
    warn: (text) => assert.fail(text),
  });
  const values = { ...defaults(globalParams, written), ...defaults(routingParams, written) } as RoutingConf;
  const opened = new Map<string, Maps>();
  for (const list of Object.values(values)) {
    for (const reference of Array.isArray(list) ? (list as string[]) : []) {
      if (/^(texthash|regexp):/.test(reference)) opened.set(reference, await set.maps([reference], { foldCase: true }));
    }
  }
  return new Router(values, {
    maps: ([reference = ""]) => {
      const maps = opened.get(reference);
      if (!maps) throw new TableError("config", `${reference} is not open`);
      return maps;
    },
    file: () => undefined,
    ownAddress: (address) => address === "127.0.0.1",
    include: () => assert.fail("nothing is included"),
  });
}

interface Outcome {
  readonly class: string;
  readonly hop: string;
  readonly recipient: string;
}

const bad: Outcome = { class: "other", hop: "error:5.1.3 bad address syntax", recipient: "" };

function theirOutcome(route: PostfixRoute): Outcome {
  assert.ok(!route.failed, "Postfix could not tell");
  if (route.bad) return bad;
  const { transport, nexthop, recipient, routed } = route;
  // Mail for this host has no way but its aliases here, which have been followed before.
  const hop = transport === "local" ? "error:(not delivered)" : `${transport}:${nexthop.toLowerCase()}`;
  return { class: routed ? "other" : route.class, hop, recipient: withoutQuotes(recipient).toLowerCase() };
}

async function ourOutcome(router: Router, sender: string, recipient: string): Promise<Outcome> {
  const { hop } = await router.route(sender, recipient);
  if (hop.nexthop === "5.1.3 bad address syntax") return bad;
  const nowhere = /mailboxes are not delivered here$/.test(hop.nexthop);
  return {
    class: await router.classify(recipient),
    hop: nowhere ? "error:(not delivered)" : `${hop.transport}:${hop.nexthop.toLowerCase()}`,
    recipient: withoutQuotes((await router.canonical(recipient)).address).toLowerCase(),
  };
}

/** Postfix has addresses without their quotes. */
function withoutQuotes(address: string): string {
  return address.replace(/\\(.)|"/g, "$1");
}

for (const [name, { questions, conf }] of Object.entries(cases)) {
  test(`mail takes the same way: ${name}`, { skip: why ?? false }, async () => {
    const { directory } = postfix as RunningPostfix;
    const router = await ourRouter(name, directory);
    const theirs = await PostfixResolver.open(join(directory, "queue/private", serviceOf(name)));
    try {
      for (const [sender, recipient] of questions) {
        const expected = theirOutcome(await theirs.resolve(sender, withoutQuotes(recipient)));
        const found = await ourOutcome(router, sender, recipient);
        assert.deepEqual(found, expected, `<${sender}> to <${recipient}> with ${JSON.stringify(conf)}`);
      }
    } finally {
      theirs.close();
    }
  });
}

// -- Mail that nobody is asked about

/** Not among them: a code without a text, such as error:5.7.1. Behind it Postfix prints whatever its memory holds. */
const untried: Readonly<Record<string, string>> = {
  "e1.test": "error:",
  "e2.test": "error:no mail here",
  "e3.test": "error:5.7.1 no mail: not here",
  "e4.test": "error:4.7.1 odd",
  "r1.test": "retry:",
  "r2.test": "retry:4.7.1 later",
  "r3.test": "retry:5.7.1 odd",
  "d1.test": "discard:",
  "d2.test": "discard:2.7.1 thrown away",
  "d3.test": "discard:quietly",
  "h1.test": "hole:gone",
  "u1.test": "nosuch:x",
};

test("mail that nobody is asked about ends in the same way, in the same words", { skip: why ?? false }, async () => {
  const peer = await startPostfix({
    mainCf: { ...common, transport_maps: table("t"), notify_classes: "" },
    masterCf: ["hole unix - - n - - discard"],
    files: {
      "etc/t":
        Object.entries(untried)
          .map((entry) => `${entry.join(" ")}\n`)
          .join("") + "here.example discard:\n",
    },
  });
  try {
    const recipients = Object.keys(untried).map((domain) => `a@${domain}`);
    const { status, stderr } = spawnSync("sendmail", ["-C", join(peer.directory, "etc"), "-f", me, ...recipients], {
      input: "Subject: x\n\nx\n",
    });
    assert.equal(status, 0, String(stderr));
    const line = /postfix\/(\w+)\[\d+\]: \w+: to=<(\S+)>, relay=none, .*, dsn=(\S+), status=(\w+) \((.*)\)$/gm;
    const theirs = await until("a line for each recipient", () => {
      const lines = [...peer.log().matchAll(line)].filter(([, , to]) => recipients.includes(to ?? ""));
      return lines.length === recipients.length ? lines : undefined;
    });
    const services = new Map<string, Untried>([...builtInUntried, ["hole", { kind: "discard" }]]);
    const hops = new UntriedHops({
      services,
      transports: new Map(),
      softBounce: false,
      sayAgain_ms: 60_000,
      clock: realClock,
      log: memoryLog(),
    });
    for (const [, service, to = "", dsn, state, reason] of theirs) {
      const [transport = "", nexthop = ""] = splitTransport(untried[to.slice(2)] ?? "");
      const silent = transport === "error" || transport === "retry" ? "Address is undeliverable" : to.slice(2);
      const verdict = hops.verdict({ transport, nexthop: nexthop || silent });
      const ours = [verdict.status === "sent" ? "discard" : "error", verdict.dsn, verdict.logged, verdict.reason];
      assert.deepEqual(ours, [service, dsn, state, reason], to);
    }
  } finally {
    await peer.stop();
  }
});
