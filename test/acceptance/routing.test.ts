/**
 * A running Postern whose mail takes many ways: named transports with parameters of their own, LMTP over a Unix
 * socket for local mailboxes, services that throw away, refuse, put off, or do not exist.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { realNet } from "../../src/runtime/net.ts";
import { ScriptedServer } from "../../src/smtp/testing/scripted-server.ts";
import { until } from "../lab/until.ts";
import { type RunningPostern, startPostern } from "../peers/postern.ts";

let postern: RunningPostern;
let store: ScriptedServer;
let slow: ScriptedServer;

before(async () => {
  store = new ScriptedServer({ lmtp: true, dot: (index) => (index === 0 ? "250 2.1.5 kept" : "552 5.2.2 full") });
  slow = await new ScriptedServer({}).listen(realNet);
  postern = await startPostern({
    mainCf: {
      ...{ myhostname: "mx.here.example", myorigin: "here.example", mydestination: "here.example" },
      ...{ mynetworks: "127.0.0.0/8", append_dot_mydomain: "no", virtual_mailbox_domains: "box.example" },
      ...{ local_transport: "lmtp:unix:private/store", virtual_transport: "lmtp:unix:private/store" },
      alias_maps: "inline:{root=admin@slow.example}",
      transport_maps: "texthash:@DIRECTORY@/etc/transport",
      slow_destination_recipient_limit: "1",
    },
    masterCf: [
      "slow unix - - n - 1 smtp\n  -o smtp_helo_name=slow.here.example",
      "hole unix - - n - - discard",
      "maildrop unix - n n - - pipe\n  flags=DRXhu argv=/usr/bin/maildrop",
    ],
    files: {
      "etc/transport": `slow.example slow:[127.0.0.1]:${slow.port}
hole.example hole:gone
closed.example error:5.7.1 closed
later.example retry:4.7.1 not now
drop.example maildrop:
nosuch.example nosuch:
`,
    },
    async prepare(directory) {
      mkdirSync(join(directory, "queue/private"), { recursive: true });
      await store.listen(realNet, 0, join(directory, "queue/private/store"));
      chmodSync(join(directory, "queue/private/store"), 0o777);
    },
  });
});

after(async () => {
  await postern?.stop();
  await Promise.all([store?.close(), slow?.close()]);
});

/** Sends to these, and gives the line of each, without its times. */
async function lines(...recipients: string[]): Promise<string[]> {
  const program = join(import.meta.dirname, "../../bin/postern");
  const args = ["-c", join(postern.directory, "etc"), "sendmail", "-f", "me@here.example", ...recipients];
  const { status, stderr } = spawnSync(program, args, { input: "Subject: x\n\nx\n", encoding: "utf8" });
  assert.equal(status, 0, stderr);
  const found = await until(
    "each has a line",
    () => {
      const all = [...postern.log().matchAll(/postfix\/(\w+)\[\d+\]: \w+: to=<([^>]*)>(.*)$/gm)]
        .map(([, service, to = "", rest = ""]) => `${service} ${to}${rest.replace(/ delay=[^,]*, delays=[^,]*,/, "")}`)
        .filter((line) => recipients.some((each) => line.includes(` ${each},`) || line.includes(`<${each}>`)));
      return all.length >= recipients.length ? all : undefined;
    },
    { about: () => postern.log().slice(-3000) },
  );
  return found.sort();
}

test("local and virtual mailboxes are at an LMTP server, which answers for each recipient, and aliases come first", async () => {
  const found = await lines("a@here.example", "b@here.example", "root@here.example");
  assert.deepEqual(found, [
    "lmtp a@here.example, relay=mx.here.example[private/store], dsn=2.1.5, status=sent (250 2.1.5 kept)",
    "lmtp b@here.example, relay=mx.here.example[private/store], dsn=5.2.2, status=bounced (host mx.here.example[private/store] said: 552 5.2.2 full (in reply to end of DATA command))",
    `smtp admin@slow.example, orig_to=<root@here.example>, relay=127.0.0.1[127.0.0.1]:${slow.port}, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as 12345)`,
  ]);
  assert.match((await lines("c@box.example"))[0] ?? "", /^lmtp c@box\.example, .* status=sent/);
});

test("a named transport has parameters of its own", async () => {
  const found = await lines("x@slow.example", "y@slow.example");
  assert.equal(found.length, 2);
  assert.ok(slow.lines.includes("EHLO slow.here.example"));
  for (const { rcpts } of slow.messages) assert.equal(rcpts.length, 1);
});

test("services that deliver nothing end their mail, and those that there are none of let it wait, without alarm", async () => {
  const found = await lines(
    ...["a@hole.example", "a@closed.example", "a@later.example", "a@drop.example", "a@nosuch.example"],
  );
  assert.deepEqual(found, [
    "discard a@hole.example, relay=none, dsn=2.0.0, status=sent (gone)",
    "error a@closed.example, relay=none, dsn=5.7.1, status=bounced (closed)",
    "error a@drop.example, relay=none, dsn=4.3.0, status=deferred (mail transport unavailable: service maildrop runs pipe, which is not supported here)",
    "error a@later.example, relay=none, dsn=4.7.1, status=deferred (not now)",
    "error a@nosuch.example, relay=none, dsn=4.3.0, status=deferred (mail transport unavailable)",
  ]);
  const log = postern.log();
  assert.equal(
    log.match(/pipe is not supported: mail that is routed to one of these services waits: maildrop/g)?.length,
    1,
  );
  assert.equal(log.match(/warning: connect to transport private\/nosuch: No such file or directory/g)?.length, 1);
  assert.doesNotMatch(log, /warning:.*maildrop/);
});
