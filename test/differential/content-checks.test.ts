/**
 * header_checks and their like beside Debian's Postfix: the same messages through both, with tables that do what a
 * message says. Compared are the reply to the end of the data, what arrives, with its sender and recipients, and
 * every line that is logged about content. Needs root and the package postfix.
 */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { until } from "../lab/until.ts";
import { freePort, missing } from "../peers/place.ts";
import { type RunningPostern, startPostern } from "../peers/postern.ts";
import { type RunningPostfix, startPostfix } from "../peers/postfix.ts";
import { type CheckCase, tables, writtenCases } from "./content-checks-cases.ts";
import { seededMessages } from "./content-checks-seeded.ts";
import { type Arrived, MailTaker, sendMail, withoutMoments } from "./mail-taker.ts";

const why = missing("postfix", "postmap");

const cases = new Map<string, CheckCase>([...writtenCases(), ...seededMessages(60, 20260105)]);

/** One of the two, with what it has made of the messages, by sender. */
interface Side {
  readonly server: RunningPostfix | RunningPostern;
  readonly sink: MailTaker;
  /** Where FILTER sends mail. */
  readonly filter: MailTaker;
  readonly replies: Map<string, string>;
  /** Of the smtpds beside the usual one. */
  readonly ports: { readonly other: number; readonly unchecked: number };
}

const sides: Side[] = [];

const names = [...cases.keys()];
const senderOf = (name: string): string => `case-${names.indexOf(name)}@client.example`;

before(async () => {
  if (why) return;
  const starts = [startPostfix, startPostern].map(async (start): Promise<Side> => {
    const sink = new MailTaker();
    const filter = new MailTaker();
    const filterPort = String(await filter.listen());
    const relayhost = `[127.0.0.1]:${await sink.listen()}`;
    const checks = (name: string) => `regexp:@DIRECTORY@/etc/${name}`;
    const ports = { other: await freePort(), unchecked: await freePort() };
    const server = await start({
      masterCf: [
        `127.0.0.1:${ports.other} inet n - n - - smtpd -o cleanup_service_name=other`,
        `other unix n - n - 0 cleanup -o header_checks=${checks("other")} -o body_checks=`,
        "  -o { canonical_maps = texthash:@DIRECTORY@/etc/canonical }",
        `127.0.0.1:${ports.unchecked} inet n - n - - smtpd`,
        "  -o receive_override_options=no_header_body_checks,no_unknown_recipient_checks",
      ],
      mainCf: {
        ...{ myhostname: "mx.here.example", mydomain: "here.example", mynetworks: "127.0.0.0/8", relayhost },
        ...{ smtpd_peername_lookup: "no", disable_dns_lookups: "yes", append_dot_mydomain: "no" },
        ...{ header_checks: checks("header"), mime_header_checks: checks("mime") },
        ...{ nested_header_checks: checks("nested"), body_checks: checks("body") },
        ...{ smtp_header_checks: checks("smtp-header"), smtp_mime_header_checks: checks("smtp-mime") },
        ...{ smtp_nested_header_checks: checks("smtp-nested"), smtp_body_checks: checks("smtp-body") },
        ...{ body_checks_size_limit: "1000", header_size_limit: "2000", mime_nesting_limit: "5" },
        ...{ smtpd_client_connection_rate_limit: "0", default_process_limit: "4", smtputf8_enable: "yes" },
      },
      files: Object.fromEntries(
        Object.entries(tables).map(([name, text]) => [`etc/${name}`, text.replace("@FILTER@", filterPort)]),
      ),
    });
    const side = { server, sink, filter, ports, replies: new Map<string, string>() };
    sides.push(side);
    return side;
  });
  await Promise.all((await Promise.all(starts)).map(sendAll));
});

after(async () => {
  for (const { server, sink, filter } of sides) {
    sink.close();
    filter.close();
    await server.stop();
  }
});

async function sendAll(side: Side): Promise<void> {
  const { server } = side;
  const batches = new Map<string, string[]>();
  for (const name of names) {
    const { helo = "", through = "" } = cases.get(name) ?? {};
    batches.set(`${helo} ${through}`, [...(batches.get(`${helo} ${through}`) ?? []), name]);
  }
  for (const batch of batches.values()) {
    const { helo, through } = cases.get(batch[0] ?? "") ?? {};
    const sent = batch.map((name) => {
      const { client = "127.0.0.9", to = ["you@x.example"], text = "" } = cases.get(name) ?? {};
      return { client, sender: senderOf(name), to, text, ...(helo === undefined ? {} : { helo }) };
    });
    const replies = await sendMail(through ? side.ports[through] : server.port, sent);
    for (const [index, name] of batch.entries()) side.replies.set(name, replies[index] ?? "");
  }
  const taken = (name: string): boolean => side.replies.get(name)?.startsWith("250") === true;
  const refused = (name: string): boolean => side.replies.get(name)?.startsWith("5") === true;
  const expected = names.filter((name) => taken(name) && !cases.get(name)?.gone);
  // What never arrives, or is not logged, is told by its test.
  await until(
    "all to be delivered and logged",
    () =>
      expected.every((name) => arrived(side, name).length > 0) &&
      names.filter(refused).every((name) => server.log().includes(`from=<${senderOf(name)}>`)),
    { limit_s: 120 },
  ).catch(() => {});
}

/** Postfix cuts a line of its log somewhat behind this. */
const logLimit_chars = 1800;

const idOf = (reply: string): string => /queued as (\w+)/.exec(reply)?.[1] ?? "";

/** What cleanup logged of a message, by its sender, whose lines may have no queue id that we know of. */
function logged({ server }: Side, name: string, reply: string): string[] {
  const lines = server.log().matchAll(/ postfix\/(?:cleanup|smtp)\[\d+\]: (.*)/g);
  const texts = [...lines].map(([, text = ""]) => text);
  const id = idOf(reply) || /^(\w+): /.exec(texts.find((text) => text.includes(`from=<${senderOf(name)}>`)) ?? "")?.[1];
  const own = texts.filter((text) => text.startsWith(`${id}: `) && !/^\w+: (?:to=|enabling|breaking line)/.test(text));
  return own.map((text) =>
    withoutMoments(text.replaceAll(id ?? "", "ID"))
      .replace(/\]:\d+/g, "]:PORT")
      .slice(0, logLimit_chars),
  );
}

/** What has arrived of a message, and where. */
function arrived({ sink, filter }: Side, name: string) {
  const at = (where: MailTaker, place: string) =>
    where.arrived.filter(({ sender }) => sender === senderOf(name)).map((mail) => ({ ...mail, place }));
  return [...at(sink, "relay host"), ...at(filter, "filter")];
}

function seen(side: Side, name: string) {
  const reply = side.replies.get(name) ?? "";
  const one = (mail: Arrived) => ({
    ...mail,
    text: withoutMoments(mail.text),
    recipients: [...mail.recipients].sort(),
  });
  return {
    reply: reply.replace(idOf(reply) || "none", "ID"),
    arrived: arrived(side, name)
      .map(one)
      .sort((a, b) => a.recipients.join().localeCompare(b.recipients.join())),
    log: logged(side, name, reply),
  };
}

for (const name of names) {
  test(`the same becomes of ${name}`, { skip: why }, () => {
    const [theirs, ours] = [...sides].sort((a, b) => Number("kill" in a.server) - Number("kill" in b.server));
    assert.ok(theirs && ours);
    assert.deepEqual(seen(ours, name), seen(theirs, name));
  });
}

test("mail that was put on hold goes out when it is released", { skip: why, timeout: 180_000 }, async () => {
  const held = names.filter((name) => cases.get(name)?.gone === "held");
  assert.equal(held.length, 4);
  for (const side of sides) {
    const { server } = side;
    const listed = server.run("postqueue", "-p").stdout;
    for (const name of held) {
      assert.match(listed, new RegExp(`^${idOf(side.replies.get(name) ?? "none")}! `, "m"), `${name}:\n${listed}`);
      assert.deepEqual(arrived(side, name), []);
    }
    assert.equal(server.run("postsuper", "-H", "ALL").status, 0);
    assert.equal(server.run("postqueue", "-f").status, 0);
    await until("what was held", () => held.every((name) => arrived(side, name).length > 0), { limit_s: 120 });
  }
  const [ours, theirs] = sides.map((side) => held.map((name) => seen(side, name)));
  assert.deepEqual(ours, theirs);
});

test("the same is said of what tables should not say", { skip: why }, () => {
  const said = sides.map(({ server }) =>
    [...server.log().matchAll(/ postfix\/(?:cleanup|smtp)\[\d+\]: (warning: .*_checks .*)/g)]
      .map(([, text = ""]) => text.replace(/: \w+: /, ": ID: "))
      .sort(),
  );
  assert.ok((said[0]?.length ?? 0) > 10);
  assert.deepEqual(said[0], said[1]);
});
