/**
 * Addresses rewritten by Debian's Postfix and by us: the same messages, tables and parameters, envelopes
 * and text compared byte for byte. Beside named cases, a generator makes headers, addresses and
 * messages from a seed (POSTERN_SEED; the same each run unless it is set). Needs root and the package postfix.
 */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import {
  type CleanupPair,
  type GivenMessage,
  type Outcome,
  startCleanupPair,
  type Variant,
} from "../lab/cleanup-pair.ts";
import { missing } from "../peers/place.ts";
import { generatedMessages } from "./rewriting-cases.ts";

const why = missing("postfix");

const virtual = `
bob@here.example        robert@v.example, carol, BOB@here.example
carol                   dave@old.example
@old.example            @older.example
many@x.example          m1@v.example m2@v.example,m3@v.example
deep@x.example          deep+x@y.example
deep+x@y.example        "deep (deeper)" <deepest+y@z.example> (z)
ring@x.example          ring2@x.example
ring2@x.example         ring@x.example
wide@x.example          w1@x.example, w2@x.example, w3@x.example, w4@x.example, w5@x.example, w6@x.example
long@x.example          ${"l".repeat(60)}@x.example
eve@x.example           "eve e"@x.example
root                    "|not a command", /not/a/file
`;
const copies = `
bob@here.example        copy+bob@x.example
carol                   carol+copy
@x.example              @copied.example
dave@old.example        bob
"two words"@x.example   twice@x.example, not a list
`;

const files = {
  canonical: `
bob@here.example        bob.jones@there.example
carol                   carol.smith
dave@old.example        dave@new.example
dave@new.example        "dave d"@newest.example
loop1@x.example         loop2@x.example
loop2@x.example         loop1@x.example
self@x.example          self@x.example
many@x.example          first@x.example, second@x.example
plus@x.example          target@x.example
plus+tag@x.example      tagged@x.example
"two words"@x.example   one.word@x.example
host@x.example          host!user
route@x.example         @r.example:route@y.example
@moved.example          @here.example
@all.example            catchall@x.example
null@x.example          <>
phrase@x.example        "A Phrase" <phrase@y.example> (comment)
gr\u00fc\u00dfe@x.example  gr\u00fcn@y.example
`,
  sender: `
bob@here.example        sender-bob@s.example
@s.example              @t.example
carol@x.example         carol@sender.example
`,
  recipient: `
bob@here.example        rcpt-bob@r.example
eve@x.example           eve@host.masked.example
`,
  virtual,
  copies,
  patterns: `
/^(.*)@(.*)\\.pattern\\.example$/  $1.$2@p.example
/^odd@/                            even@p.example
`,
};

const canonical_maps = "texthash:@DIRECTORY@/etc/canonical";
const variants: Readonly<Record<string, Variant>> = {
  plain: {},
  canonical: { canonical_maps },
  propagating: { canonical_maps, propagate_unmatched_extensions: "", recipient_delimiter: "+-" },
  roles: {
    canonical_maps: "regexp:@DIRECTORY@/etc/patterns",
    sender_canonical_maps: "texthash:@DIRECTORY@/etc/sender",
    recipient_canonical_maps: "texthash:@DIRECTORY@/etc/recipient",
  },
  classes: {
    ...{ canonical_maps, canonical_classes: "envelope_sender, header_recipient" },
    ...{ sender_canonical_maps: "texthash:@DIRECTORY@/etc/sender", sender_canonical_classes: "header_sender" },
    ...{
      recipient_canonical_maps: "texthash:@DIRECTORY@/etc/recipient",
      recipient_canonical_classes: "envelope_recipient",
    },
  },
  masquerade: {
    masquerade_domains: "!keep.masked.example, Masked.example, x.example",
    masquerade_exceptions: "root, eve",
  },
  everything: {
    ...{ canonical_maps, masquerade_domains: "here.example x.example" },
    masquerade_classes: "envelope_sender, envelope_recipient, header_sender, header_recipient",
    ...{
      recipient_canonical_maps: "texthash:@DIRECTORY@/etc/recipient",
      remote_header_rewrite_domain: "remote.invalid",
    },
  },
  copies: {
    ...{ always_bcc: "everything", sender_bcc_maps: "texthash:@DIRECTORY@/etc/copies", canonical_maps },
    ...{
      recipient_bcc_maps: "texthash:@DIRECTORY@/etc/copies",
      virtual_alias_maps: "texthash:@DIRECTORY@/etc/virtual",
    },
  },
  virtual: {
    ...{ virtual_alias_maps: "texthash:@DIRECTORY@/etc/virtual", enable_original_recipient: "no" },
    ...{ recipient_delimiter: "+-", virtual_alias_recursion_limit: "20", virtual_alias_address_length_limit: "60" },
    ...{ virtual_alias_expansion_limit: "5" },
  },
  rules: {
    append_dot_mydomain: "yes",
    swap_bangpath: "no",
    allow_percent_hack: "no",
    remote_header_rewrite_domain: "away.example",
  },
  limits: {
    ...{ header_size_limit: "300", header_address_token_limit: "12", always_add_missing_headers: "yes" },
    undisclosed_recipients_header: "To: undisclosed-recipients:;",
  },
  broken: { undisclosed_recipients_header: "no header", resolve_dequoted_address: "no", canonical_maps },
  bare: { append_at_myorigin: "no", canonical_maps, header_address_token_limit: "20" },
};

let pair: CleanupPair | undefined;
/** By variant, what Postfix makes of its messages: all variants at the same time, since waiting is most of it. */
const theirs = new Map<string, Promise<Outcome[]>>();

before(async () => {
  if (why) return;
  pair = await startCleanupPair(variants, files);
  for (const variant of Object.keys(variants)) theirs.set(variant, pair.theirs(variant, messagesFor(variant)));
  await Promise.allSettled(theirs.values());
});
after(() => pair?.stop());

const whole = "Message-ID: <1@x>\r\nDate: Mon, 5 Jan 2026 09:00:00 +0000\r\n";

function message(header: string, given: Partial<GivenMessage> = {}): GivenMessage {
  const text = Buffer.from(`${whole}${header}\r\nbody\r\n`).toString("latin1");
  return { client: "near", sender: "me@client.example", to: ["you@z.example"], text, ...given };
}

const lists = [
  "a@b.example",
  'root, Bob <bob>, c@d.example (C), "E F" <e>',
  "bob, carol, dave@old.example, loop1@x.example, self@x.example, many@x.example",
  "plus+tag@x.example, plus+other@x.example, carol+x, plus-y@x.example, bob+z",
  '"two words"@x.example, two\\ words@x.example, "two words" <q@x.example>',
  "user@moved.example, user+ext@moved.example, anybody@all.example, host@x.example, route@x.example",
  "null@x.example, phrase@x.example, Null <null@x.example>",
  "odd@q.example, a@b.pattern.example, a+b@c.pattern.example, carol@x.example",
  "u@host.masked.example, u@keep.masked.example, u@a.keep.masked.example, root@h.x.example, eve@h.x.example, U@H.X.EXAMPLE",
  "gr\u00fc\u00dfe@x.example, Gr\u00fc\u00dfe <bob>, =?utf-8?q?Gr=C3=BC=C3=9Fe?= <carol>",
  "friends: bob, carol;, dave@old.example, undisclosed-recipients:;",
  "site!user, a%b.example, <@r.example:a@b.example>, c@[192.0.2.1], d@localhost, e@host, f@x.example.",
  "a b@c.example <d> e, (one) f (two) @ (three) g.example (four), <h (five) >",
  "",
  "<>",
  "(only a comment)",
  '"unclosed',
  "a@, @b, @, a@@b, .@x, a..b@x, a.@x.example",
  `"${"long ".repeat(60)}" <bob>`,
  `${Array.from({ length: 12 }, (_, index) => `user${index}`).join(", ")}`,
  "\tfolded <bob>,\r\n  carol,\r\n\t(a comment\r\n\tfolded) dave@old.example",
];

/** A field of so many bytes, in lines of a hundred. */
function longField(name: string, size_bytes: number): string {
  const lines = Array.from(
    { length: Math.ceil(size_bytes / 100) },
    (_, index) => ` user${index}@${"d".repeat(80)}.example,`,
  );
  return `${name}:${lines.join("\r\n")} last\r\n`;
}

const fields = ["From", "To", "cc", "Reply-To", "Sender", "Resent-To", "Resent-Reply-To", "Errors-To", "X-Other"];

const addresses = [
  ...["", "bob", "dave@old.example", "carol+x", "user@moved.example", "u@host.masked.example", "odd@q.example", "root"],
  ...[
    "MAILER-DAEMON",
    "null@x.example",
    '"two words"@x.example',
    "root@h.x.example",
    "carol@x.example",
    "eve@x.example",
  ],
  ...[
    "bob%x.example",
    "x.example!bob",
    "bob%x.example@here.example",
    "@r.example:bob@x.example",
    "first.last",
    "a@host",
  ],
  ...[
    '"a@b"@x.example',
    '"bob%y.example"@here.example',
    "bob@x.example.",
    "bob@[127.0.0.1]",
    "bob@LOCALHOST",
    "Bob@Here.Example",
  ],
  ...["deep@x.example", "many@x.example", "ring@x.example", "wide@x.example", "long@x.example", "many-y@x.example"],
];

function namedMessages(): GivenMessage[] {
  const found = lists.map((list, index) => {
    const name = fields[index % fields.length] as string;
    return message(`From: bob\r\n${name}: ${list}\r\nTo: ${list}\r\n`, { client: index % 4 === 3 ? "far" : "near" });
  });
  for (const size_bytes of [250, 290, 310, 330, 500, 2000]) {
    found.push(message(`${longField("To", size_bytes)}${longField("X-Long", size_bytes)}`));
    found.push(
      message(`Subject: ${"x".repeat(size_bytes)}\r\nSubject:\t${"y ".repeat(size_bytes / 2)}\r\n`, { client: "far" }),
    );
  }
  // Octets that are no UTF-8, in phrases, comments and addresses; and a CR or a tab where none belongs.
  for (const list of [
    "M\u00fcller <bob>, carol (\u00e9)",
    "m\u00fcller, b\u00fcb@x.example",
    "bob@\u00fcber.example, root",
  ]) {
    found.push({ ...message(""), text: `${whole}From: ${list}\r\nTo: "\u00fc\u00ff" <bob>, ${list}\r\n\r\nbody\r\n` });
  }
  found.push(message('To: "tab\there" <bob>, a\tb@x.example, "bare\rreturn" <carol>\r\n'));
  found.push(message("Bcc: hidden\r\nResent-Bcc: hidden\r\nApparently-To: bob\r\n"), { ...message(""), text: "\r\n" });
  for (const address of addresses) found.push(message("", { sender: address, to: [address || "bob"] }));
  found.push(
    message("", { sender: "gr\u00fc\u00dfe@x.example", to: ["gr\u00fc\u00dfe@x.example", "bob", "many@x.example"] }),
  );
  return found;
}

const seed = Number(process.env.POSTERN_SEED ?? 1);

function messagesFor(variant: string): GivenMessage[] {
  // Where mail goes is decided by the one set of rules of the Postfix instance, not by the variant's.
  const routed = ({ to }: GivenMessage) => variant === "rules" && to.some((address) => /[%!]/.test(address));
  const generated = generatedMessages(seed * 1000 + Object.keys(variants).indexOf(variant), 40);
  return [...namedMessages().filter((each) => !routed(each)), ...generated];
}

for (const variant of Object.keys(variants)) {
  test(`named and generated messages come out the same: ${variant}, seed ${seed}`, { skip: why ?? false }, async () => {
    assert.ok(pair);
    const messages = messagesFor(variant);
    const expected = (await theirs.get(variant)) ?? [];
    const ours = await pair.ours(variant, messages);
    assert.equal(expected.length, messages.length);
    for (const [index, given] of messages.entries()) {
      assert.deepEqual(ours[index], expected[index], `${variant}: ${JSON.stringify(given)}`);
    }
  });
}
