/** Mail for this host's own users, handed to Dovecot by LMTP over a Unix socket. Needs root and dovecot-lmtpd. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { lacking } from "../lab/needs.ts";
import { until } from "../lab/until.ts";
import { startDovecotLmtp } from "../peers/dovecot-lmtp.ts";
import { missing } from "../peers/place.ts";
import { startPostern } from "../peers/postern.ts";

const program = "/usr/lib/dovecot/lmtp";
const why = missing("dovecot") ?? (existsSync(program) ? undefined : lacking(`needs ${program}`));

test("Dovecot's mailboxes get their mail, and whom it does not know is returned", { skip: why ?? false }, async () => {
  const dovecot = await startDovecotLmtp(["bob", "admin"]);
  const postern = await startPostern({
    mainCf: {
      ...{ myorigin: "here.example", mydestination: "here.example", append_dot_mydomain: "no" },
      ...{ mailbox_transport: `lmtp:unix:${dovecot.socket}`, alias_maps: "inline:{root=admin}" },
    },
  });
  try {
    const recipients = ["bob@here.example", "root@here.example", "carol@here.example"];
    const args = ["-c", join(postern.directory, "etc"), "sendmail", "-f", "bob@here.example", ...recipients];
    const sent = spawnSync(join(import.meta.dirname, "../../bin/postern"), args, { input: "Subject: hello\n\n.dot\n" });
    assert.equal(sent.status, 0, String(sent.stderr));
    const about = () => `${postern.log()}\n${dovecot.log()}`;
    const mine = await until(
      "a message and a notification",
      () => dovecot.mailbox("bob").length === 2 && dovecot.mailbox("bob"),
      { about },
    );
    await until("the alias's message", () => dovecot.mailbox("admin").length === 1, { about });
    assert.ok(mine.some((text) => /^Subject: hello\r?\n[\s\S]*\n\.dot\r?\n$/m.test(text)));
    assert.ok(mine.some((text) => /carol@here\.example[\s\S]*5\.1\.1/.test(text)));
    const line = /postfix\/lmtp\[\d+\]: \w+: to=<(\w+)@here\.example>.*status=(\w+) \((.*)\)/g;
    const outcome = () => [...postern.log().matchAll(line)].map(([, user, status]) => `${user} ${status}`).sort();
    // A mailbox has a message before its server says so.
    await until("a line for each delivery", () => outcome().length >= 4, { about });
    assert.deepEqual(outcome(), ["admin sent", "bob sent", "bob sent", "carol bounced"]);
    const log = postern.log();
    assert.match(log, /to=<carol@here\.example>, relay=relay\.example\[\S+lmtp\], .*User doesn't exist/);
  } finally {
    await postern.stop();
    await dovecot.stop();
  }
});
