import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { until } from "../lab/until.ts";
import { type RunningPostern, startPostern } from "../peers/postern.ts";
import { type HostileServer, hostileServer } from "./hostile-server.ts";
import { type RawClient, rawClient } from "./raw-client.ts";

/** What some server or other has been seen to take for the end of data (CVE-2023-51764, -51765, -51766). */
const lookAlikes = [
  ...["\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r.\r\n", "\r\n.\r", "\n.\r", "\r.\n"],
  ...["\r\n.\r\r\n", "\n\n.\r\n", "\r\r.\r\r", "\n\r.\n\r", "\r\n.\0\r\n", "\r\n\0.\r\n", "\r\n.\n\r\n", "\r\n. \r\n"],
  ...["\n..\n", "\r\n.\x0b\r\n", "\r\n.\x85\r\n", "\x85.\x85", "\xe2\x80\xa8.\xe2\x80\xa8"],
];

const smuggled = "MAIL FROM:<evil@client.example>\r\nRCPT TO:<evil@there.example>\r\nDATA\r\nSubject: evil\r\n\r\nboo";

let sink: HostileServer;
let postern: RunningPostern;

before(async () => {
  sink = await hostileServer();
  postern = await startPostern({
    mainCf: { mynetworks: "127.0.0.0/8", relayhost: `[127.0.0.1]:${sink.port}` },
    smtpd: { smtpd_forbid_unauth_pipelining: "no" },
  });
});

after(async () => {
  await postern?.stop();
  await sink?.close();
});

/** One message, in these pieces; the replies to it. */
async function send(client: RawClient, pieces: readonly string[]): Promise<string> {
  await client.upToData("you@there.example");
  await client.pieces(...pieces);
  return client.reply();
}

test("no look-alike of the end of data, wherever the stream is cut, smuggles a message in, or is sent on", async () => {
  const client = await rawClient(postern.port);
  let count = 0;
  for (const lookAlike of lookAlikes) {
    const text = `Subject: ${++count}\r\n\r\nfirst`;
    for (let cut = 0; cut <= lookAlike.length; cut++) {
      const pieces = [text + lookAlike.slice(0, cut), `${lookAlike.slice(cut)}${smuggled}\r\n.\r\n`];
      assert.match(await send(client, pieces), /^250 2\.0\.0 Ok: queued/, JSON.stringify(lookAlike));
    }
    const single = [text, ...lookAlike, smuggled, "\r\n", ".", "\r", "\n"];
    assert.match(await send(client, single), /^250 2\.0\.0 Ok: queued/, JSON.stringify(lookAlike));
  }
  assert.equal(await client.say("QUIT"), "221 2.0.0 Bye");
  const sent = lookAlikes.reduce((sum, { length }) => sum + length + 2, 0);
  await until("every message at the sink", () => sink.messages.length >= sent);
  assert.equal(sink.messages.length, sent);
  for (const { mail, rcpts, data } of sink.messages) {
    assert.match(mail, /^MAIL FROM:<me@client\.example>/);
    assert.match(rcpts.join(" "), /^RCPT TO:<you@there\.example>$/);
    assert.match(data.toString("latin1"), /first[\s\S]*Subject: evil[\s\S]*boo\r\n$/);
    assert.ok(!/^\.(?!\.)/m.test(data.toString("latin1")), "every dot at the beginning of a line is doubled");
  }
  for (const bytes of sink.sent) {
    assert.ok(!/\r(?!\n)|(?<!\r)\n/.test(bytes.toString("latin1")), "no bare CR or LF goes out");
    assert.ok(!bytes.includes(0), "no NUL goes out");
  }
});

test("the end of data is found at every place where the stream can be cut", async () => {
  const already = sink.messages.length;
  const client = await rawClient(postern.port);
  const ending = "text\r\n.\r\n";
  for (let cut = 1; cut < ending.length; cut++) {
    const pieces = [`\r\n${ending.slice(0, cut)}`, ending.slice(cut)];
    assert.match(await send(client, pieces), /^250 2\.0\.0 Ok: queued/);
  }
  client.end();
  await until("every message at the sink", () => sink.messages.length === already + ending.length - 1);
  for (const { data } of sink.messages.slice(already)) assert.ok(data.toString().endsWith("\r\n\r\ntext\r\n"));
});
