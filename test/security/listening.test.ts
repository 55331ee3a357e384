import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { launcher } from "../lab/postern.ts";
import { until } from "../lab/until.ts";
import { type RunningPostern, startPostern } from "../peers/postern.ts";
import { type HostileServer, hostileServer } from "./hostile-server.ts";
import { rawClient } from "./raw-client.ts";

/** What clients try, against a relay that runs. */

let sink: HostileServer;
let postern: RunningPostern;

before(async () => {
  sink = await hostileServer();
  postern = await startPostern({
    mainCf: {
      mynetworks: "127.0.0.1/32",
      relayhost: `[127.0.0.1]:${sink.port}`,
      smtpd_timeout: "2s",
      relay_domains: "relayed.example",
      smtpd_error_sleep_time: "0s",
      message_size_limit: "2000000",
    },
  });
});

after(async () => {
  await postern?.stop();
  await sink?.close();
});

const ours = "you@there.example";
const nothingQueued = () => assert.equal(postern.run("postqueue", "-p").stdout.trim(), "Mail queue is empty");

test("commands and text pipelined behind DATA end the session, and nothing is taken", async () => {
  const client = await rawClient(postern.port);
  await client.say("EHLO client.example");
  await client.say("MAIL FROM:<me@client.example>");
  await client.say(`RCPT TO:<${ours}>`);
  client.write("DATA\r\nSubject: x\r\n\r\nx\r\n.\r\nMAIL FROM:<a@b.example>\r\n");
  assert.equal(await client.reply(), "554 5.5.0 Error: SMTP protocol synchronization");
  assert.equal(await client.reply(), "");
  assert.ok(client.over);
  nothingQueued();
});

test("a client that speaks before the greeting's turn, or behind EHLO, is sent away", async () => {
  const client = await rawClient(postern.port);
  client.write(`EHLO client.example\r\nMAIL FROM:<me@client.example>\r\nRCPT TO:<${ours}>\r\n`);
  assert.equal(await client.reply(), "554 5.5.0 Error: SMTP protocol synchronization");
  assert.equal(await client.reply(), "");
});

test("after a refused transaction DATA takes nothing, and what follows is no message", async () => {
  const client = await rawClient(postern.port);
  await client.say("EHLO client.example");
  assert.match(await client.say("DATA"), /^503 /);
  assert.match(await client.say("MAIL FROM:<me@client.example> SIZE=99999999"), /^552 /);
  assert.match(await client.say(`RCPT TO:<${ours}>`), /^503 /);
  assert.match(await client.say("DATA"), /^503 /);
  assert.match(await client.say("MAIL FROM:<me@client.example>"), /^250 /);
  assert.match(await client.say("DATA"), /^554 5\.5\.1 Error: no valid recipients/);
  assert.match(await client.say(`RCPT TO:<${ours}>`), /^250 /);
  assert.match(await client.say("RSET"), /^250 /);
  assert.match(await client.say("DATA"), /^503 /);
  client.end();
  nothingQueued();
});

test("BDAT, which is not offered, is refused with whatever length, and changes nothing", async () => {
  const client = await rawClient(postern.port);
  assert.doesNotMatch(await client.say("EHLO client.example"), /CHUNKING|STARTTLS|AUTH/);
  assert.match(await client.say("MAIL FROM:<me@client.example>"), /^250 /);
  assert.match(await client.say(`RCPT TO:<${ours}>`), /^250 /);
  for (const length of ["0 LAST", "9223372036854775808 LAST", "-1", "0x10", "1 1"]) {
    assert.match(await client.say(`BDAT ${length}`), /^502 5\.5\.1 /);
  }
  assert.match(await client.say("RSET"), /^250 /);
  client.end();
  nothingQueued();
});

test("STARTTLS and AUTH, which are not offered, are refused, and the session stays what it was", async () => {
  const client = await rawClient(postern.port);
  await client.say("EHLO client.example");
  client.write("STARTTLS\r\nAUTH PLAIN AHRlc3QAdGVzdA==\r\nMAIL FROM:<me@client.example>\r\n");
  assert.match(await client.reply(), /^502 /);
  assert.match(await client.reply(), /^503 5\.5\.1 Error: authentication not enabled/);
  assert.match(await client.reply(), /^250 /);
  client.end();
});

test("CR, LF, NUL and other controls in addresses, parameters and names never get through", async () => {
  const client = await rawClient(postern.port);
  const from = postern.log().length;
  await client.say("EHLO a\0b\rc\x1b[31m\x9bd.example");
  for (const address of ["a\0b@c.example", "a\rb@c.example", '"a\rb"@c.example', "a@b\0.example", "a\x1b@b.example"]) {
    assert.match(await client.say(`MAIL FROM:<${address}>`), /^501 5\.1\.7 /, JSON.stringify(address));
  }
  const parameters = ["ENVID=a+0D+0Ab", "ENVID=a+00", "RET=FULL\0", "BODY=8BITMIME\0", "SIZE=1\0", "X=\x1b[2J", "AUTH"];
  for (const parameter of parameters) {
    assert.match(await client.say(`MAIL FROM:<me@client.example> ${parameter}`), /^5\d\d /, JSON.stringify(parameter));
  }
  await client.say("MAIL FROM:<me@client.example>");
  for (const parameter of ["ORCPT=rfc822;a+0D+0ARCPT+20TO:<x>", "ORCPT=rfc822;a\0", "ORCPT=\0;a", "NOTIFY=SUCCESS\0"]) {
    assert.match(await client.say(`RCPT TO:<${ours}> ${parameter}`), /^5\d\d /, JSON.stringify(parameter));
  }
  client.end();
  await until("the end of the session in the log", () => postern.log().includes("disconnect from", from));
  assert.ok(!/[^\x20-\x7e\n]/.test(postern.log()), "the log holds no control character");
});

test("what is allowed in a quoted local part goes on quoted, and is never a command", async () => {
  const client = await rawClient(postern.port);
  const already = sink.messages.length;
  const strange = '"> SIZE=1 \\"RCPT TO:<x> `$(reboot)`; DROP TABLE messages;--"@there.example';
  await client.upToData(strange, { sender: '"../../etc/passwd"@client.example' });
  client.write("Subject: x\r\n\r\nx\r\n.\r\n");
  assert.match(await client.reply(), /^250 /);
  client.end();
  await until("the message at the sink", () => sink.messages.length > already);
  assert.deepEqual(sink.messages.at(-1)?.rcpts, [`RCPT TO:<${strange}>`]);
  assert.match(sink.messages.at(-1)?.mail ?? "", /^MAIL FROM:<"\.\.\/\.\.\/etc\/passwd"@client\.example>/);
});

test("line ends in a sender and recipients from the maildrop reach neither wire, log nor notification", async () => {
  const already = sink.messages.length;
  const from = postern.log().length;
  const wicked = '"x\r\nRCPT TO:<victim@example.net>\r\nBcc: victim"@client.example';
  const { status } = postern.run("sendmail", "-f", wicked, "-i", wicked, ours);
  assert.ok(status === 0 || status === 65 || status === 75, String(status));
  if (status === 0) {
    await until("the end of it in the log", () => /: removed$/m.test(postern.log().slice(from)));
  }
  for (const { mail, rcpts, data } of sink.messages.slice(already)) {
    const header = data.toString("latin1").split("\r\n\r\n")[0] ?? "";
    // What is left of it is one address, in quotation marks: no command and no recipient of its own.
    for (const line of [mail, ...rcpts]) {
      assert.match(line, /^(?:MAIL FROM|RCPT TO):<(?:[^"<>\r\n]*|"[^"\r\n]*"@client\.example)>(?: [^<>]*)?$/);
    }
    assert.ok(!/^(?:Bcc|RCPT)/m.test(header), header);
  }
  assert.ok(!/^(?:RCPT|Bcc)/m.test(postern.log()));
});

test("a command line without end is not kept, and the session goes on behind it", async () => {
  const client = await rawClient(postern.port);
  const block = Buffer.alloc(1_000_000, "x");
  for (let count = 0; count < 20; count++) client.write(block);
  client.write("\r\n");
  assert.match(await client.reply(), /^500 5\.5\.2 \S+ Error: command too long$/);
  assert.match(await client.say("NOOP"), /^250 /);
  client.end();
});

test("a header without end, of one field or of many, is taken up to the size limit and costs no more", async () => {
  for (const line of ["X-Long: ", "\t", "A:\r\n", "From: a <", "To: (((((("]) {
    const client = await rawClient(postern.port);
    await client.upToData(ours);
    const block = Buffer.from((line.length < 6 ? line : "").padStart(line.length, line).repeat(30_000));
    if (line.length >= 6) client.write(line);
    for (let sent = 0; sent < 2_500_000; sent += block.length) client.write(block);
    client.write("\r\n.\r\n");
    assert.match(await client.reply(), /^552 5\.3\.4 /, JSON.stringify(line));
    assert.match(await client.say("NOOP"), /^250 /);
    client.end();
  }
  nothingQueued();
});

test("a command that drips in has the time of one command, whatever comes", async () => {
  const client = await rawClient(postern.port);
  const drip = setInterval(() => client.write("x"), 100);
  const answer = await client.reply();
  clearInterval(drip);
  assert.match(answer, /^421 4\.4\.2 \S+ Error: timeout exceeded$/);
});

test("a client that makes nothing but errors is sent away", async () => {
  const client = await rawClient(postern.port);
  const answers: string[] = [];
  for (let answer = await client.say("FOO"); answer !== ""; answer = await client.say("FOO")) answers.push(answer);
  assert.equal(answers.at(-1), "421 4.7.0 relay.example Error: too many errors");
  assert.equal(answers.length, 21);
});

test("nobody outside mynetworks relays: the connection's own address decides, and nothing that is said", async () => {
  const client = await rawClient(postern.port, "127.0.0.2");
  await client.say("EHLO [127.0.0.1]");
  await client.say("MAIL FROM:<root@relay.example>");
  const elsewhere = ["you@there.example", "you%there.example@relayed.example", '"you@there.example"@relayed.example'];
  for (const address of [...elsewhere, "@relayed.example:you@there.example", "you@[192.0.2.1]", "there.example!you"]) {
    assert.match(await client.say(`RCPT TO:<${address}>`), /^[45]54 [45]\.7\.1 .*Relay access denied/, address);
  }
  assert.match(await client.say("RCPT TO:<you@relayed.example>"), /^250 /);
  await client.say("RSET");
  assert.match(await client.say("XCLIENT ADDR=127.0.0.1"), /^550 /);
  assert.match(await client.say("XFORWARD ADDR=127.0.0.1"), /^550 /);
  client.end();
});

test("a mynetworks that covers the world stops the start, and so does a restriction that is not known", () => {
  const etc = join(postern.directory, "open");
  mkdirSync(etc);
  const [main, master] = ["main.cf", "master.cf"].map((name) =>
    readFileSync(join(postern.directory, "etc", name), "utf8"),
  );
  writeFileSync(join(etc, "master.cf"), master ?? "");
  for (const [setting, problem] of [
    ["mynetworks = 0.0.0.0/0", /mynetworks: covers every IPv4 address/],
    ["mynetworks = 0.0.0.0/1, 128.0.0.0/1", /mynetworks: covers every IPv4 address/],
    ["mynetworks = [::ffff:0:0]/96", /mynetworks: covers every IPv4 address/],
    ["mynetworks = [::]/1, [8000::]/1", /mynetworks: covers every IPv6 address/],
    [
      "smtpd_relay_restrictions = permit_mynetworks, reject_rbl_client x.example",
      /"reject_rbl_client" is not supported/,
    ],
    ["smtpd_relay_restrictions = permit", /specify at least one working instance/],
  ] as const) {
    writeFileSync(join(etc, "main.cf"), `${main}${setting}\n`);
    const { status, stderr, stdout } = spawnSync(launcher, ["-c", etc, "check"], { encoding: "utf8" });
    assert.equal(status, 78, `${setting}: ${stderr}`);
    assert.match(stderr + stdout, problem);
  }
});

test("a message that has gone round too often is refused", async () => {
  const client = await rawClient(postern.port);
  await client.upToData(ours);
  client.write(`${"Received: from a by b; now\r\n".repeat(60)}\r\nx\r\n.\r\n`);
  assert.match(await client.reply(), /^554 5\.4\.0 Error: too many hops$/);
  client.end();
});
