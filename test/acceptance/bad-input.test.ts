import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chownSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, type TestContext, test } from "node:test";
import { atExit } from "../lab/at-exit.ts";
import { needs } from "../lab/needs.ts";
import { makeNetwork, type Network } from "../lab/network.ts";
import { makePostern, type Postern, type PosternOptions } from "../lab/postern.ts";
import { type Sink, startSink } from "../lab/sink.ts";
import { until } from "../lab/until.ts";

/** Each kind of bad input gets an exit status and words that help, and loses nothing. A wrong password is in how-to.test.ts. */
const able = needs({ root: true, programs: ["smtp-sink", "swaks", "postmap", "ip", "ss", "setpriv", "mount"] });

let network: Network;

before(async () => {
  if (able.skip) return;
  network = await makeNetwork({ "broken.example": "servfail" });
});

after(() => network?.remove());

const sinkPort = 2525;
const sinkHost = "[10.77.0.2]:2525";

function relay(t: TestContext, options: Omit<PosternOptions, "host"> = {}): Postern {
  const postern = makePostern({
    host: network.client,
    ...options,
    mainCf: { relayhost: sinkHost, ...options.mainCf },
  });
  t.after(() => postern.remove());
  return postern;
}

async function withSink(t: TestContext, port = sinkPort, options: readonly string[] = []): Promise<Sink> {
  const sink = await startSink(network.provider, port, { options });
  t.after(() => sink.stop());
  return sink;
}

const lastLine = (path: string): number => readFileSync(path, "utf8").trimEnd().split("\n").length;

const message = (name: string): string => `Message-Id: <${name}@test>\nSubject: ${name}\n\nHello.\n`;

const envelope = ["-f", "me@home.example", "you@far.example"];

/** Sends a message of this many lines of 100 octets over SMTP; the last reply. */
function swaks(name: string, lines = 1): { status: number; replies: string } {
  const body = `${message(name)}${`${"x".repeat(98)}\n`.repeat(lines)}`.replaceAll("\n", "\r\n");
  const { status, stdout, stderr } = network.client.run(
    "swaks",
    [
      ...["--server", "127.0.0.1", "--from", "me@home.example", "--to", "you@far.example"],
      ...["--no-data-fixup", "--data", "@-"],
    ],
    { input: `${body}.` },
  );
  return { status, replies: stdout + stderr };
}

/** A client that only looks in. */
function connects(): boolean {
  return network.client.run("swaks", ["--server", "127.0.0.1", "--quit-after", "CONNECT"]).status === 0;
}

interface Broken {
  readonly what: string;
  /** Breaks it; a function that is given back mends it again, where writing both files anew does not. */
  readonly breakIt: (postern: Postern) => unknown;
  readonly status: number;
  readonly says: (postern: Postern) => string | RegExp;
}

/** A line at the end of main.cf, and what is said about it behind file and line. */
const inMainCf = (what: string, line: string, text: string | RegExp): Broken => ({
  what,
  breakIt: (postern) => writeFileSync(postern.mainCf, `${readFileSync(postern.mainCf, "utf8")}${line}\n`),
  status: 78,
  says: (postern) => {
    const place = `postern: fatal: ${postern.mainCf}, line ${lastLine(postern.mainCf)}: `;
    return typeof text === "string" ? `${place}${text}` : new RegExp(`^${RegExp.escape(place)}${text.source}$`, "m");
  },
});

const broken: readonly Broken[] = [
  {
    what: "a missing main.cf",
    breakIt: (postern) => rmSync(postern.mainCf),
    status: 78,
    says: ({ mainCf }) => `postern: fatal: ${mainCf}: cannot be read: no such file`,
  },
  {
    what: "a missing master.cf",
    breakIt: (postern) => rmSync(postern.masterCf),
    status: 78,
    says: ({ masterCf }) => `postern: fatal: ${masterCf}: cannot be read: no such file`,
  },
  {
    what: "a master.cf line with too few fields",
    breakIt: (postern) => writeFileSync(postern.masterCf, "smtp inet n - n - - smtpd\n2525 inet n -\n"),
    status: 78,
    says: ({ masterCf }) => new RegExp(`^postern: fatal: ${RegExp.escape(masterCf)}, line 2: .*field`, "m"),
  },
  inMainCf("a time that is none", "smtp_mail_timeout = soon", /.*smtp_mail_timeout.*soon.*/),
  inMainCf("a number out of range", "smtp_mail_timeout = 0", /.*smtp_mail_timeout.*/),
  inMainCf(
    "an unknown security option",
    "smtp_sasl_security_options = noplaintxt",
    /.*smtp_sasl_security_options.*noplaintxt.*/,
  ),
  inMainCf("a line without =", "relayhost [mail.example]", /missing '=' after attribute name.*/),
  inMainCf(
    "an unknown restriction",
    "smtpd_relay_restrictions = permit_mynetworks, permit_friends, reject",
    /.*permit_friends.*/,
  ),
  inMainCf("a network open to the world", "mynetworks = 0.0.0.0/0", /.*mynetworks.*permit_open_relay = yes.*/),
  inMainCf(
    "networks that add up to the world",
    "mynetworks = 0.0.0.0/1 128.0.0.0/1",
    /.*mynetworks.*permit_open_relay = yes.*/,
  ),
  inMainCf(
    "an owner that does not exist",
    "mail_owner = nosuchaccount",
    "mail_owner = nosuchaccount: there is no such account. Create it: adduser --system --group --no-create-home --home /nonexistent nosuchaccount\n",
  ),
  inMainCf(
    "root as the owner",
    "mail_owner = root",
    "mail_owner = root is root. Name an account without privileges.\n",
  ),
  inMainCf(
    "a group that does not exist",
    "setgid_group = nosuchgroup",
    /.*setgid_group = nosuchgroup.*addgroup --system nosuchgroup/,
  ),
  inMainCf(
    "a table whose index is missing",
    "transport_maps = hash:/etc/hostname",
    /transport_maps: hash:\/etc\/hostname: .*Make it: postmap hash:\/etc\/hostname/,
  ),
  inMainCf("a table of an unknown type", "transport_maps = hsah:/etc/transport", /.*transport_maps.*hsah.*/),
  {
    ...inMainCf("an index that is none", "", /transport_maps: hash:.*\/garbage: .*/),
    breakIt(postern) {
      writeFileSync(join(postern.etc, "garbage.db"), "this is no Berkeley DB file\n".repeat(500));
      writeFileSync(
        postern.mainCf,
        `${readFileSync(postern.mainCf, "utf8")}transport_maps = hash:${postern.etc}/garbage\n`,
      );
    },
  },
  {
    ...inMainCf("an index that is a directory", "", /transport_maps: hash:.*\/folder: .*[Ii]s a directory.*/),
    breakIt(postern) {
      mkdirSync(join(postern.etc, "folder.db"), { recursive: true });
      writeFileSync(
        postern.mainCf,
        `${readFileSync(postern.mainCf, "utf8")}transport_maps = hash:${postern.etc}/folder\n`,
      );
    },
  },
  {
    what: "a log file outside maillog_file_prefixes",
    breakIt: (postern) =>
      writeFileSync(postern.mainCf, `${readFileSync(postern.mainCf, "utf8")}maillog_file = /etc/mail.log\n`),
    status: 78,
    says: () => /^postern: fatal: .*maillog_file = \/etc\/mail\.log: .*maillog_file_prefixes/m,
  },
  {
    what: "a port that is taken",
    breakIt(postern) {
      writeFileSync(postern.masterCf, "smtp inet n - n - - smtpd\n2626 inet n - n - - smtpd\n");
      const other = network.client.start("smtp-sink", ["-u", "postfix", "127.0.0.1:2626", "10"]);
      while (!network.client.run("ss", ["-Hltn", "sport = :2626"]).stdout) {}
      return () => void other.kill("SIGKILL");
    },
    status: 69,
    says: () =>
      "postern: fatal: cannot listen on [127.0.0.1]:2626 (master.cf, line 2): another program does. 'ss -ltnp sport = :2626' shows which; stop it, or choose another port in master.cf\n",
  },
  {
    what: "an address that this host lacks",
    breakIt: (postern) => writeFileSync(postern.masterCf, "10.9.8.7:25 inet n - n - - smtpd\n"),
    status: 69,
    says: () => /cannot listen on \[10\.9\.8\.7\]:25 \(master\.cf, line 1\): this host has no such address/,
  },
  {
    what: "a queue that cannot be read",
    breakIt(postern) {
      const queue = join(postern.directory, "spool/postern/queue/queue.db");
      renameSync(queue, `${queue}.kept`);
      writeFileSync(queue, "this is no database\n".repeat(500));
      return () => renameSync(`${queue}.kept`, queue);
    },
    status: 69,
    says: () => /^postern: fatal: .*queue\.db.*/m,
  },
];

test("what keeps it from starting is said, and the queue is untouched", able, async (t) => {
  const postern = relay(t);
  postern.start();
  postern.send(message("kept"), envelope);
  await postern.logged(/status=deferred/);
  postern.stop();
  const [main, services] = [readFileSync(postern.mainCf), readFileSync(postern.masterCf)];
  for (const { what, breakIt, status, says } of broken) {
    await t.test(what, () => {
      writeFileSync(postern.mainCf, main);
      writeFileSync(postern.masterCf, services);
      const mend = breakIt(postern);
      try {
        const ran = postern.run(["start"]);
        const expected = says(postern);
        assert.equal(ran.status, status, ran.stderr);
        if (typeof expected === "string") assert.ok(ran.stderr.includes(expected), `${ran.stderr} lacks ${expected}`);
        else assert.match(ran.stderr, expected);
        assert.doesNotMatch(ran.stderr, /\n\s+at /, "no stack trace");
        assert.equal(network.client.run("ss", ["-Hltn", "sport = :25"]).stdout, "");
        assert.equal(postern.run(["status"]).status === 0, false);
      } finally {
        if (typeof mend === "function") mend();
      }
    });
  }
  writeFileSync(postern.mainCf, main);
  writeFileSync(postern.masterCf, services);
  const sink = await withSink(t);
  postern.start();
  assert.equal(postern.run(["flush"]).status, 0);
  assert.deepEqual([...(await sink.received(1))], [["<kept@test>", 1]]);
});

test(
  "an unknown parameter is named with the nearest one that is known, and does not stop the start",
  able,
  async (t) => {
    const sink = await withSink(t);
    const postern = relay(t, { mainCf: { smtp_sasl_pasword_maps: "hash:/nowhere", frobnicate: "yes" } });
    const { status, stderr } = postern.run(["start"]);
    assert.equal(status, 0, stderr);
    const line = (name: string) =>
      readFileSync(postern.mainCf, "utf8")
        .split("\n")
        .findIndex((each) => each.startsWith(name)) + 1;
    const at = (name: string) => `postern: warning: ${postern.mainCf}, line ${line(name)}: unknown parameter ${name}`;
    assert.ok(stderr.includes(`${at("smtp_sasl_pasword_maps")}. Did you mean smtp_sasl_password_maps?\n`), stderr);
    assert.ok(stderr.includes(`${at("frobnicate")}\n`), stderr);
    await postern.logged(/warning: .*unknown parameter smtp_sasl_pasword_maps/);
    assert.equal(postern.run(["check"]).status, 1);
    postern.send(message("all the same"), envelope);
    await sink.received(1);
  },
);

test("without root, port 25 is refused in words that say what to do", able, (t) => {
  const postern = relay(t);
  giveToNobody(postern);
  const { status, stderr } = postern.run(["start"], { user: "nobody" });
  assert.equal(status, 69, stderr);
  assert.equal(
    stderr,
    "postern: fatal: cannot listen on [127.0.0.1]:25 (master.cf, line 1): ports below 1024 are for root. Start as root, or choose a higher port in master.cf\n",
  );
});

test("without root, files and directories of others are named", able, (t) => {
  const postern = relay(t, { masterCf: "2025 inet n - n - - smtpd\n" });
  const queue = postern.run(["start"], { user: "nobody" });
  assert.equal(queue.status, 78, queue.stderr);
  assert.ok(queue.stderr.includes(join(postern.directory, "spool")), queue.stderr);
  giveToNobody(postern);
  const table = join(postern.etc, "sasl_passwd");
  writeFileSync(table, "mail.example test:testpass\n", { mode: 0o600 });
  assert.equal(network.client.run("postmap", [`hash:${table}`]).status, 0);
  writeFileSync(postern.mainCf, `${readFileSync(postern.mainCf, "utf8")}smtp_sasl_password_maps = hash:${table}\n`);
  const unreadable = postern.run(["start"], { user: "nobody" });
  assert.equal(unreadable.status, 78);
  assert.match(
    unreadable.stderr,
    /main\.cf, line \d+: smtp_sasl_password_maps: hash:.*sasl_passwd: .*Permission denied/,
  );
});

function giveToNobody(postern: Postern): void {
  const nobody = Number(network.client.run("id", ["-u", "nobody"]).stdout);
  mkdirSync(join(postern.directory, "spool"), { recursive: true });
  for (const path of [postern.directory, join(postern.directory, "spool")]) chownSync(path, nobody, -1);
}

test(
  "mail for a host that does not exist is returned, and for one whose name server fails is kept",
  able,
  async (t) => {
    const sink = await withSink(t);
    const postern = relay(t, {
      mainCf: {
        transport_maps: "inline:{ {gone.example = smtp:[nowhere.example]} {later.example = smtp:[broken.example]} }",
      },
    });
    postern.start();
    postern.send(message("nowhere"), ["-f", "me@home.example", "you@gone.example"]);
    postern.send(message("broken"), ["-f", "me@home.example", "you@later.example"]);
    const [gone] = await postern.logged(/to=<you@gone\.example>.*/);
    assert.match(
      gone,
      /relay=none, .*dsn=5\.4\.4, status=bounced \(Host or domain name not found\. Name service error for name=nowhere\.example type=A: Host not found\)$/,
    );
    const [later] = await postern.logged(/to=<you@later\.example>.*/);
    assert.match(
      later,
      /relay=none, .*dsn=4\.4\.3, status=deferred \(Host or domain name not found\. Name service error for name=broken\.example type=A: Host not found, try again\)$/,
    );
    await sink.received(1);
    const [notification = ""] = sink.texts();
    assert.match(notification, /^X-Mail-Args: <>/m);
    assert.match(notification, /^X-Rcpt-Args: <me@home\.example>/m);
    assert.match(notification, /^Final-Recipient: rfc822; you@gone\.example$/m);
    assert.deepEqual(
      postern.queue().map(({ queue_name, recipients }) => [queue_name, recipients[0]?.address]),
      [["deferred", "you@later.example"]],
    );
  },
);

test("a refused recipient's sender is told, with the server's words", able, async (t) => {
  const sink = await withSink(t);
  await withSink(t, sinkPort + 1, ["-f", "RCPT", "-B", "550 5.1.1 no such user here"]);
  const postern = relay(t, { mainCf: { transport_maps: `inline:{ far.example=smtp:[10.77.0.2]:${sinkPort + 1} }` } });
  postern.start();
  postern.send(message("refused"), envelope);
  await postern.logged(
    /status=bounced \(host 10\.77\.0\.2\[10\.77\.0\.2\] said: 550 5\.1\.1 no such user here \(in reply to RCPT TO command\)\)/,
  );
  await sink.received(1);
  const [notification = ""] = sink.texts();
  assert.match(notification, /^X-Mail-Args: <>/m);
  assert.match(notification, /^Content-Type: multipart\/report; report-type=delivery-status;/m);
  assert.match(notification, /^Action: failed$/m);
  assert.match(notification, /^Status: 5\.1\.1$/m);
  assert.match(notification, /^Diagnostic-Code: smtp; 550 5\.1\.1 no such user here$/m);
  assert.match(notification, /^Message-Id: <refused@test>$/m);
  await until("an empty queue", () => postern.queue().length === 0);
});

test("a recipient who may not relay is refused before anything is taken", able, (t) => {
  const postern = relay(t, { mainCf: { mynetworks: "192.0.2.0/24" } });
  postern.start();
  const { status, replies } = swaks("not ours");
  assert.notEqual(status, 0);
  assert.match(replies, /454 4\.7\.1 <you@far\.example>: Relay access denied/);
  assert.deepEqual(postern.queue(), []);
});

test(
  "with too little room for the largest message, clients are told to come back, before they send it",
  able,
  async (t) => {
    const { postern, fill, free } = await onSmallDisk(t, 24, {});
    const sink = await withSink(t);
    assert.equal(swaks("before").status, 0);
    fill(12);
    const full =
      /warning: not enough free space in mail queue: \d+ bytes free in .*, \d+ needed; mail is refused until there is/;
    // The disk is looked at when a client comes, and not more often than every two seconds.
    await until("the disk is seen to be full", () => connects() && full.test(postern.log()), { about: postern.log });
    const { status, replies } = swaks("refused");
    assert.notEqual(status, 0);
    assert.match(replies, /452 4\.3\.1 Insufficient system storage/);
    assert.doesNotMatch(replies, /354 /);
    free();
    await postern.logged(/there is room again: /);
    assert.equal(swaks("after").status, 0);
    assert.deepEqual([...(await sink.received(2)).keys()].sort(), ["<after@test>", "<before@test>"]);
  },
);

test("a disk that fills up refuses mail, loses none, and delivers none that was refused", able, async (t) => {
  // So little is asked for beforehand that it is the commit that fails.
  const { postern, fill, free } = await onSmallDisk(t, 8, { message_size_limit: "200000", queue_minfree: "0" });
  fill(4);
  const accepted: string[] = [];
  const refused: string[] = [];
  for (let number = 0; number < 40 && refused.length < 3; number++) {
    const name = `full${number}`;
    const { status, replies } = swaks(name, 1500);
    if (status === 0) accepted.push(`<${name}@test>`);
    else refused.push(`<${name}@test>`);
    if (status !== 0) assert.match(replies, /<\*\* +4[25][1-2] 4\.3\.\d /, replies);
  }
  assert.ok(accepted.length > 0 && refused.length === 3, `${accepted.length} accepted, ${refused.length} refused`);
  free();
  const sink = await withSink(t);
  await until("mail to be taken again", () => swaks("room again").status === 0, { about: postern.log });
  assert.equal(postern.run(["flush"]).status, 0);
  const arrived = await sink.received(accepted.length + 1);
  await until("an empty queue", () => postern.queue().length === 0, { about: postern.log });
  assert.deepEqual([...arrived.keys()].sort(), [...accepted, "<room again@test>"].sort());
});

/** Its queue directory is a file system of its own, of so many MiB; fill() takes some away. */
async function onSmallDisk(t: TestContext, size_mib: number, mainCf: Record<string, string>) {
  const postern = makePostern({ host: network.client, mainCf: { relayhost: sinkHost, ...mainCf } });
  const spool = join(postern.directory, "spool");
  mkdirSync(spool);
  const unmount = (): void => void spawnSync("umount", ["-l", spool]);
  const mounted = spawnSync("mount", ["-t", "tmpfs", "-o", `size=${size_mib}m,mode=755`, "tmpfs", spool], {
    encoding: "utf8",
  });
  assert.equal(mounted.status, 0, mounted.stderr);
  const keep = atExit(unmount);
  t.after(() => {
    postern.run(["abort"]);
    keep();
    unmount();
    postern.remove();
  });
  postern.start();
  const filler = join(spool, "filler");
  return {
    postern,
    fill: (mib: number) => writeFileSync(filler, Buffer.alloc(mib * 1024 * 1024)),
    free: () => rmSync(filler),
  };
}
