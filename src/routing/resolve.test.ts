import assert from "node:assert/strict";
import { test } from "node:test";
import { TableError } from "../table/table.ts";
import { type TestRouterOptions, testRouter } from "./test-router.ts";

async function hop(options: TestRouterOptions, recipient: string, sender = "me@here.example"): Promise<string> {
  const { hop } = await testRouter(options).route(sender, recipient);
  return `${hop.transport}:${hop.nexthop}`;
}

test("mail for elsewhere goes to the relayhost, and without one to the recipient's domain", async () => {
  assert.equal(await hop({ conf: { relayhost: "[smart.example]:587" } }, "a@b.example"), "smtp:[smart.example]:587");
  assert.equal(
    await hop({ conf: { relayhost: "one.example, two.example" } }, "a@b.example"),
    "smtp:one.example, two.example",
  );
  assert.equal(await hop({}, "a@B.Example"), "smtp:b.example");
});

test("what needs no table that makes one wait is answered at once", () => {
  const route = testRouter({ conf: { relayhost: "[smart.example]" } }).route("", "a@b.example");
  assert.ok(!(route instanceof Promise));
  assert.deepEqual(route, { hop: { transport: "smtp", nexthop: "[smart.example]" }, class: "other" });
});

test("addresses belong to local, virtual and relay domains, or to others", async () => {
  const router = testRouter({
    conf: { virtual_alias_domains: "virtual.example", relay_domains: ".relay.example, relay.example" },
  });
  const pairs = [
    ["a@here.example", "local"],
    ["a@HERE.example.", "local"],
    ["root", "local"],
    ["a@[192.0.2.1]", "local"],
    ["a@[192.0.2.2]", "other"],
    ["a@virtual.example", "virtual"],
    ["a@relay.example", "relay"],
    ["a@sub.relay.example", "relay"],
    ["a@elsewhere.example", "other"],
    ["a@", "other"],
  ] as const;
  for (const [address, expected] of pairs) assert.equal(await router.classify(address), expected, address);
});

test("an address that routes itself on counts as one for elsewhere", async () => {
  const router = testRouter({ conf: { relay_domains: "relay.example" } });
  for (const address of [
    "a%elsewhere.example@here.example",
    "elsewhere.example!a@here.example",
    '"a@elsewhere.example"@here.example',
    "a%elsewhere.example@relay.example",
    '"a@elsewhere.example"@relay.example',
    "a%elsewhere.example%here.example@localhost",
  ]) {
    assert.equal(await router.classify(address), "other", address);
  }
  assert.equal(await router.classify("a%here.example@here.example"), "local");
  const canonical = await router.canonical("a%elsewhere.example@here.example");
  assert.equal(canonical.address, "a@elsewhere.example");
});

test("an endless route ends", async () => {
  const router = testRouter({});
  await router.classify(`a${"%here.example".repeat(500)}@here.example`);
});

const transport = {
  conf: { transport_maps: "hash:/t", relayhost: "[smart.example]", recipient_delimiter: "+" },
  tables: {
    "hash:/t": {
      "one@b.example": "smtp:[one.example]",
      "one+ext@b.example": ":[ext.example]",
      "b.example": "slow:",
      ".c.example": "smtp:[sub.example]:25",
      "error.example": "error:5.7.1 not here",
      "silent.example": "error:",
      "same.example": ":",
      "local@here.example": "smtp:[mailstore.example]",
    },
  },
};

test("transport_maps is asked for the address, without its extension, for the domain and its parents", async () => {
  const pairs = [
    ["one@b.example", "smtp:[one.example]"],
    ["one+ext@b.example", "smtp:[ext.example]"],
    ["one+other@b.example", "smtp:[one.example]"],
    ["two@b.example", "slow:b.example"],
    ["a@x.c.example", "smtp:[sub.example]:25"],
    ["a@c.example", "smtp:[smart.example]"],
    ["a@error.example", "error:5.7.1 not here"],
    ["a@silent.example", "error:Address is undeliverable"],
    ["a@same.example", "smtp:[smart.example]"],
    ["local@here.example", "smtp:[mailstore.example]"],
  ] as const;
  for (const later of [false, true]) {
    for (const [address, expected] of pairs)
      assert.equal(await hop({ ...transport, later }, address), expected, address);
  }
});

test("the entry * is for what has no other, and parents match where they are told to", async () => {
  const tables = { "hash:/t": { "*": "smtp:[all.example]", "b.example": "smtp:[b.example]" } };
  const conf = { transport_maps: "hash:/t" };
  assert.equal(await hop({ conf, tables }, "a@z.example"), "smtp:[all.example]");
  assert.equal(await hop({ conf, tables }, "a@sub.b.example"), "smtp:[all.example]");
  const parents = { ...conf, parent_domain_matches_subdomains: "transport_maps" };
  assert.equal(await hop({ conf: parents, tables }, "a@sub.b.example"), "smtp:[b.example]");
});

test("a sender's relayhost comes before the common one, DUNNO ends the search, and <> is the null sender", async () => {
  const tables = {
    "hash:/s": {
      "me@here.example": "[mine.example]",
      "@here.example": "[ours.example]",
      "other@here.example": "DUNNO",
      "<>": "[null.example]",
    },
  };
  const options = { conf: { sender_dependent_relayhost_maps: "hash:/s", relayhost: "[smart.example]" }, tables };
  assert.equal(await hop(options, "a@b.example", "me@here.example"), "smtp:[mine.example]");
  assert.equal(await hop(options, "a@b.example", "you@here.example"), "smtp:[ours.example]");
  assert.equal(await hop(options, "a@b.example", "other@here.example"), "smtp:[smart.example]");
  assert.equal(await hop(options, "a@b.example", ""), "smtp:[null.example]");
  assert.equal(await hop(options, "a@b.example", "x@y.example"), "smtp:[smart.example]");
});

test("a sender's transport stands in for default_transport, not for relay_transport", async () => {
  const tables = { "hash:/s": { "me@here.example": "slow:[slow.example]" } };
  const conf = { sender_dependent_default_transport_maps: "hash:/s", relay_domains: "relay.example" };
  assert.equal(await hop({ conf, tables }, "a@b.example"), "slow:[slow.example]");
  assert.equal(await hop({ conf, tables }, "a@relay.example"), "relay:relay.example");
});

test("mail for this host without an alias goes nowhere, and the text says why", async () => {
  assert.match(
    await hop({}, "bob@here.example"),
    /^error:5\.1\.1 unknown user: "bob".*mailboxes are not delivered here/,
  );
  const options = {
    conf: { alias_maps: "hash:/a" },
    tables: { "hash:/a": { prog: '"|/bin/prog secret"', self: "self", file: "/var/mail/x", bad: ":include:/refused" } },
    includes: { "/refused": "(refused)" },
  };
  assert.match(await hop(options, "prog@here.example"), /^error:5\.7\.1 alias "prog" delivers to a command/);
  assert.doesNotMatch(await hop(options, "prog@here.example"), /secret/);
  assert.match(await hop(options, "file@here.example"), /^error:5\.7\.1 alias "file" delivers to a file/);
  assert.match(await hop(options, "bad@here.example"), /^error:5\.3\.5 .*written by everybody/);
  assert.match(await hop(options, "self@here.example"), /^error:5\.4\.6 /);
});

test("over another local_transport the next server has the mailboxes, and aliases are followed on the way", async () => {
  const options = {
    conf: { local_transport: "lmtp:[store.example]", alias_maps: "hash:/a", transport_maps: "hash:/t" },
    tables: {
      "hash:/a": { root: "me@x.example", prog: '"|/bin/prog"', self: "self, copy@x.example" },
      "hash:/t": { "direct@here.example": "smtp:[direct.example]" },
    },
  };
  const router = testRouter(options);
  assert.equal(await hop(options, "a@here.example"), "lmtp:[store.example]");
  assert.equal(await hop(options, "self@here.example"), "lmtp:[store.example]");
  assert.match(await hop(options, "prog@here.example"), /^error:5\.7\.1 alias "prog" delivers to a command/);
  assert.equal((await router.canonical("root@here.example")).localName, "root");
  assert.equal((await router.canonical("direct@here.example")).localName, undefined);
  assert.equal(await router.refusal("", "nobody@here.example"), undefined);
});

test("where nothing is delivered locally aliases are taken all the same, and the rest is refused in the given words", async () => {
  const router = testRouter({
    conf: { local_transport: "error:5.1.1 no mailboxes here", alias_maps: "hash:/a" },
    tables: { "hash:/a": { root: "me@x.example" } },
  });
  assert.equal(await router.refusal("", "root@here.example"), undefined);
  assert.equal((await router.canonical("root@here.example")).localName, "root");
  assert.deepEqual(await router.refusal("", "bob@here.example"), {
    kind: "error",
    dsn: "5.1.1",
    text: "no mailboxes here",
  });
  assert.equal((await router.route("", "bob@here.example")).hop.nexthop, "5.1.1 no mailboxes here");
});

test("what local would put into mailboxes goes to mailbox_transport, or to fallback_transport", async () => {
  const tables = { "hash:/a": { root: "me@x.example", prog: '"|/bin/prog"', self: "self, copy@x.example" } };
  const conf = { alias_maps: "hash:/a", fallback_transport: "smtp:[fallback.example]" };
  assert.equal(await hop({ conf, tables }, "bob@here.example"), "smtp:[fallback.example]");
  const both = { ...conf, mailbox_transport: "lmtp:unix:private/store" };
  const router = testRouter({ conf: both, tables });
  assert.equal(await hop({ conf: both, tables }, "bob@here.example"), "lmtp:unix:private/store");
  assert.equal(await hop({ conf: both, tables }, "self@here.example"), "lmtp:unix:private/store");
  assert.match(await hop({ conf: both, tables }, "prog@here.example"), /^error:5\.7\.1 alias "prog"/);
  assert.equal((await router.canonical("root@here.example")).localName, "root");
  assert.equal(await router.refusal("", "bob@here.example"), undefined);
  assert.equal(await hop({ conf: { mailbox_transport: "store" } }, "a@here.example"), "store:mx.here.example");
});

test("mail for virtual mailbox domains takes virtual_transport, and its recipients can be listed", async () => {
  const options = {
    conf: {
      ...{ virtual_mailbox_domains: "box.example", virtual_transport: "lmtp:unix:private/store" },
      ...{ relayhost: "[smart.example]", virtual_mailbox_maps: "hash:/m", recipient_delimiter: "+" },
    },
    tables: { "hash:/m": { "known@box.example": "x" } },
  };
  assert.equal(await hop(options, "any@box.example"), "lmtp:unix:private/store");
  assert.equal(
    await hop({ conf: { virtual_mailbox_domains: "box.example" } }, "any@Box.example"),
    "virtual:box.example",
  );
  const router = testRouter(options);
  assert.equal(await router.classify("any@box.example"), "mailbox");
  assert.equal(await router.refusal("", "known+ext@box.example"), undefined);
  assert.deepEqual(await router.refusal("", "any@box.example"), {
    kind: "virtual mailbox",
    dsn: "5.1.1",
    text: "User unknown in virtual mailbox table",
  });
  assert.equal(await router.refusal("", "any@box.example", new Set()), undefined);
});

test("recipients of relay domains can be listed", async () => {
  const router = testRouter({
    conf: { relay_domains: "relay.example", relay_recipient_maps: "hash:/r" },
    tables: { "hash:/r": { "known@relay.example": "x" } },
  });
  assert.equal(await router.refusal("", "known@relay.example"), undefined);
  assert.equal((await router.refusal("", "any@relay.example"))?.text, "User unknown in relay recipient table");
});

test("whoever has moved is said to have, whatever else is configured", async () => {
  const options = {
    conf: { relocated_maps: "hash:/r", transport_maps: "hash:/t", relayhost: "[smart.example]" },
    tables: { "hash:/r": { "old@b.example": "new@c.example" }, "hash:/t": { "b.example": "slow:" } },
  };
  assert.equal(await hop(options, "old@b.example"), "error:5.1.6 User has moved to new@c.example");
  assert.deepEqual(await testRouter(options).refusal("", "old@b.example"), {
    kind: "error",
    dsn: "5.1.6",
    text: "User has moved to new@c.example",
  });
});

test("an address that begins with a hyphen goes nowhere unless that is allowed", async () => {
  assert.equal(await hop({}, "-x@b.example"), "error:5.1.3 bad address syntax");
  assert.equal(await hop({ conf: { allow_min_user: "yes" } }, "-x@b.example"), "smtp:b.example");
});

test("a parameter without a transport defers, and the error names it", async () => {
  await assert.rejects(async () => hop({ conf: { default_transport: ":x" } }, "a@b.example"), /default_transport/);
});

test("what error and retry transports say is told to clients, unless an alias leads elsewhere", async () => {
  const router = testRouter({
    conf: { transport_maps: "hash:/t", virtual_alias_maps: "hash:/v" },
    tables: {
      "hash:/t": { "e.example": "error:5.7.1 not here", "r.example": "retry:later", "f.example": "error:" },
      "hash:/v": { "known@e.example": "x@y.example" },
    },
  });
  assert.deepEqual(await router.refusal("", "a@e.example"), { kind: "error", dsn: "5.7.1", text: "not here" });
  assert.deepEqual(await router.refusal("", "a@r.example"), { kind: "retry", dsn: "4.0.0", text: "later" });
  assert.deepEqual(await router.refusal("", "a@f.example"), {
    kind: "error",
    dsn: "5.0.0",
    text: "Address is undeliverable",
  });
  assert.equal(await router.refusal("", "known@e.example"), undefined);
});

test("unknown addresses of virtual alias domains, and impossible domains, go nowhere", async () => {
  const conf = { virtual_alias_domains: "v.example", relayhost: "[smart.example]" };
  assert.equal(await hop({ conf }, "a@v.example"), "error:5.1.1 User unknown in virtual alias table");
  assert.equal(await hop({ conf }, "a@-bad-.example"), "error:5.1.3 bad address syntax");
});

test("a table that cannot be read is no answer", async () => {
  for (const conf of [
    { transport_maps: "hash:/broken" },
    { sender_dependent_relayhost_maps: "hash:/broken" },
    { mydestination: "hash:/broken" },
    { relay_domains: "hash:/broken" },
  ]) {
    await assert.rejects(async () => hop({ conf }, "a@b.example"), TableError);
  }
});

test("unknown users of our own domains are told from known ones", async () => {
  const router = testRouter({
    conf: {
      alias_maps: "hash:/a",
      virtual_alias_maps: "hash:/v",
      virtual_alias_domains: "v.example",
      recipient_delimiter: "+",
    },
    tables: { "hash:/a": { root: "me@x.example" }, "hash:/v": { "in@v.example": "x@y.example", bob: "b@y.example" } },
  });
  const known = ["root", "ROOT@here.example", "root+ext@here.example", "postmaster@here.example", "bob@here.example"];
  for (const address of [...known, "in@v.example", "any@elsewhere.example"]) {
    assert.equal(await router.refusal("", address), undefined, address);
  }
  assert.equal((await router.refusal("", "nobody@here.example"))?.text, "User unknown in local recipient table");
  assert.equal((await router.refusal("", "out@v.example"))?.text, "User unknown in virtual alias table");
});
