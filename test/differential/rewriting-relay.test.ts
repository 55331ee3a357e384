/**
 * All of address rewriting at once, from a client to the next server: Debian's Postfix and Postern with the same main.cf
 * and tables. Needs root and the package postfix.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type GivenMessage, type RelayPlace, sendTo, throughRelay } from "../lab/cleanup-pair.ts";
import { startCollector } from "../lab/collector.ts";
import { missing } from "../peers/place.ts";
import { startPostern } from "../peers/postern.ts";
import { startPostfix } from "../peers/postfix.ts";
import { generatedMessages } from "./rewriting-cases.ts";

const files = {
  "etc/canonical": "bob@here.example robert@there.example\n@old.example @x.example\ncarol carol.smith\n",
  "etc/sender": "dave@x.example dave@sender.example\nMAILER-DAEMON@here.example bounces@there.example\n",
  "etc/recipient": "eve eve@host.here.example\n",
  "etc/virtual": "many@x.example m1@v.example, carol+v, m3@v.example\n",
  "etc/copies": "dave@sender.example copy@x.example\neve@here.example copies\n",
  "etc/generic": `@here.example isp-account@isp.example
carol.smith@here.example "carol smith"@isp.example
@x.example @y.example
odd@s.example <>
gr\u00fc\u00dfe@here.example gr\u00fcn@isp.example
`,
};

const table = (name: string): string => `texthash:@DIRECTORY@/etc/${name}`;

function parameters(port: number): Readonly<Record<string, string>> {
  return {
    ...{ myhostname: "mx.here.example", mydomain: "here.example", myorigin: "here.example", append_dot_mydomain: "no" },
    ...{ mydestination: "here.example, mx.here.example", mynetworks: "127.0.0.0/8", smtpd_peername_lookup: "no" },
    ...{ recipient_delimiter: "+-", smtputf8_enable: "yes", remote_header_rewrite_domain: "away.invalid" },
    ...{ relayhost: `[127.0.0.1]:${port}`, local_transport: `smtp:[127.0.0.1]:${port}`, disable_dns_lookups: "yes" },
    ...{ canonical_maps: table("canonical"), sender_canonical_maps: table("sender") },
    ...{ recipient_canonical_maps: table("recipient"), virtual_alias_maps: table("virtual") },
    ...{ masquerade_domains: "here.example", masquerade_exceptions: "root", virtual_alias_domains: "" },
    ...{ sender_bcc_maps: table("copies"), recipient_bcc_maps: table("copies"), always_bcc: "archive@x.example" },
    ...{ smtp_generic_maps: table("generic"), propagate_unmatched_extensions: "canonical, virtual, generic" },
    undisclosed_recipients_header: "To: undisclosed-recipients:;",
  };
}

const long = Array.from({ length: 30 }, (_, index) => `user${index}@x.example`).join(",");
const named: readonly GivenMessage[] = [
  ...["bob", "carol+ext", "dave@old.example", "odd@s.example", "", "root", "gr\u00fc\u00dfe"].map(
    (sender): GivenMessage => ({
      ...{ client: "near", sender, to: [sender || "eve", "many@x.example"] },
      text: "Subject: nothing else\r\n\r\nbody\r\n",
    }),
  ),
  {
    ...{ client: "far", sender: "bob@here.example", to: ["eve@here.example"] },
    text: `From: bob\r\nTo: ${long}\r\nCc: odd@s.example, (c) carol\r\n\r\nTo: bob@here.example\r\n`,
  },
];

test("the same envelopes and texts reach the next server", { skip: missing("postfix") ?? false }, async (context) => {
  const refused = "<refused@bounce.example>";
  const collector = await startCollector((recipient) => (recipient.includes(refused) ? "550 5.1.1 no" : undefined));
  context.after(() => collector.stop());
  const mainCf = parameters(collector.port);
  const postfix = await startPostfix({ mainCf, files });
  context.after(() => postfix.stop());
  const postern = await startPostern({ mainCf, files });
  context.after(() => postern.stop());
  const messages = [...named, ...generatedMessages(77, 60)];
  const theirs = await throughRelay(postfix, collector, messages, postfix.log);
  const ours = await throughRelay(postern, collector, messages, () => postern.log());
  assert.ok(theirs.every(({ text }) => text !== ""));
  for (const [index, given] of messages.entries()) assert.deepEqual(ours[index], theirs[index], JSON.stringify(given));
  // A notification is written to addresses that are rewritten, too.
  const bounced = async (relay: RelayPlace, name: string, log: () => string) => {
    const text = `X-Bounced: ${name}\r\n\r\nbody\r\n`;
    await sendTo(relay, { client: "near", sender: "bob", to: ["refused@bounce.example"], text });
    const { rcpt, text: notice } = await collector.find(
      `a notification of ${name}\n${log().slice(-2000)}`,
      ({ mail, text }) => mail.startsWith("<>") && text.includes(`X-Bounced: ${name}`),
    );
    return {
      rcpt: rcpt.map((each) => each.split(" ")[0]),
      fields: notice.match(/^(?:From|To): .*(?:\r\n[\t ].*)*/gm)?.slice(0, 2),
    };
  };
  assert.deepEqual(
    await bounced(postern, "postern", () => postern.log()),
    await bounced(postfix, "postfix", postfix.log),
  );
});
