import assert from "node:assert/strict";
import { once } from "node:events";
import { appendFileSync, chownSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { gunzipSync } from "node:zlib";
import { needs } from "../lab/needs.ts";
import { makeNetwork, type Network } from "../lab/network.ts";
import { launcher, makePostern, type Postern, type PosternOptions } from "../lab/postern.ts";
import { type Sink, startSink } from "../lab/sink.ts";
import { until } from "../lab/until.ts";

/** Starting, stopping, reloading and crashing, with mail on its way. */
const able = needs({ root: true, programs: ["smtp-sink", "smtp-source", "ip", "ss", "setpriv", "gzip"] });

let network: Network;

before(async () => {
  if (able.skip) return;
  network = await makeNetwork({});
});

after(() => network?.remove());

const sinkPort = 2525;

async function withSink(
  t: { after(undo: () => void): void },
  options: readonly string[] = [],
  port = sinkPort,
): Promise<Sink> {
  const sink = await startSink(network.provider, port, { options });
  t.after(() => sink.stop());
  return sink;
}

function relayTo(t: { after(undo: () => void): void }, options: Omit<PosternOptions, "host"> = {}): Postern {
  const relayhost = `[${network.provider.address}]:${sinkPort}`;
  const postern = makePostern({ host: network.client, ...options, mainCf: { relayhost, ...options.mainCf } });
  t.after(() => postern.remove());
  return postern;
}

const sourceArguments = ["-f", "me@client.example.com", "-t", "you@far.example"];

/** Sends `count` messages by smtp-source, each acknowledged; `more` are its options. */
function sendMany(count: number, more: readonly string[] = []): void {
  const args = [...more, "-m", `${count}`, ...sourceArguments, "127.0.0.1:25"];
  const { status, stderr } = network.client.run("smtp-source", args);
  assert.equal(status, 0, stderr);
}

const setParameter = (postern: Postern, line: string): void => appendFileSync(postern.mainCf, `${line}\n`);

/** The line number of the last line of a file. */
const lastLine = (path: string): number => readFileSync(path, "utf8").trimEnd().split("\n").length;

const listens = (port: number): boolean =>
  network.client.run("ss", ["-Hltn", `sport = :${port}`]).stdout.includes("LISTEN");

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

test("start, status and stop say what is the case", able, async (t) => {
  const sink = await withSink(t);
  const postern = relayTo(t);
  const before = postern.run(["status"]);
  assert.deepEqual(before, { status: 1, stdout: "", stderr: "postern: the mail system is not running\n" });
  for (const command of ["stop", "reload", "flush", "logrotate", "abort"]) {
    const { status, stderr } = postern.run([command]);
    assert.deepEqual([status, stderr], [69, "postern: fatal: the mail system is not running\n"], command);
  }
  const started = postern.run(["start"]);
  assert.deepEqual(started, { status: 0, stdout: "", stderr: "" });
  const { status, stdout, stderr } = postern.run(["status"]);
  assert.equal(status, 0);
  assert.match(stderr, /^postern: the mail system is running, master pid \d+, relay pid \d+\n$/);
  assert.match(stdout, /^queue: 0 active, 0 deferred, 0 held\n/);
  sendMany(1);
  await sink.received(1);
  const [master, relay] = [postern.masterPid(), postern.relayPid()];
  assert.deepEqual(postern.run(["stop"]), { status: 0, stdout: "", stderr: "" });
  await until("both processes to end", () => !isAlive(master) && !isAlive(relay));
  assert.ok(!listens(25));
  assert.equal(postern.run(["status"]).status, 1);
});

test("a second start on the same queue is refused, and the first goes on", able, async (t) => {
  const sink = await withSink(t);
  const postern = relayTo(t);
  postern.start();
  const [master, relay] = [postern.masterPid(), postern.relayPid()];
  const { status, stderr } = postern.run(["start"]);
  assert.equal(status, 69);
  const queue = join(postern.directory, "spool", "postern");
  assert.equal(stderr, `postern: fatal: the mail system is already running on ${queue}: pid ${master}\n`);
  // From another configuration directory it is the same queue.
  const twin = relayTo(t, {
    mainCf: { queue_directory: join(postern.directory, "spool") },
    masterCf: "2626 inet n - n - - smtpd\n",
  });
  assert.equal(twin.run(["start"]).status, 69);
  assert.deepEqual([postern.masterPid(), postern.relayPid()], [master, relay]);
  sendMany(1);
  await sink.received(1);
});

test("in the foreground it runs until it is interrupted", able, async (t) => {
  const sink = await withSink(t);
  const postern = relayTo(t);
  const child = network.client.start(launcher, ["-c", postern.etc, "start-fg"]);
  const exited = once(child, "exit");
  t.after(() => child.kill("SIGKILL"));
  await until("it to listen", () => listens(25), { about: postern.log });
  sendMany(1);
  await sink.received(1);
  child.kill("SIGINT");
  assert.deepEqual(await exited, [0, null]);
});

test(
  "a broken configuration is refused at reload, with file and line, and the old one stays in force",
  able,
  async (t) => {
    const sink = await withSink(t);
    const postern = relayTo(t);
    postern.start();
    const relay = postern.relayPid();
    const good = readFileSync(postern.mainCf, "utf8");
    const broken: [string, string, RegExp][] = [
      ["a value of the wrong kind", "smtp_mail_timeout = soon", /parameter smtp_mail_timeout/],
      ["a line without =", "this is no parameter", /missing '=' after attribute name/],
      ["an unknown restriction", "smtpd_relay_restrictions = permit_mynetworks, reject_everybody", /reject_everybody/],
      ["a table that is not there", "transport_maps = hash:/nowhere/transport", /\/nowhere\/transport/],
    ];
    for (const [what, line, text] of broken) {
      // The mail that follows would fail, were this in force.
      writeFileSync(postern.mainCf, `${good}relayhost = [192.0.2.1]:9\n${line}\n`);
      const from = postern.log().length;
      const { status, stderr } = postern.run(["reload"]);
      assert.equal(status, 78, `${what}: ${stderr}`);
      assert.match(stderr, text, what);
      assert.ok(stderr.includes(`${postern.mainCf}, line ${lastLine(postern.mainCf)}: `), `${what}: ${stderr}`);
      await postern.logged(/reload: nothing has changed, the old configuration stays in force/, from);
    }
    writeFileSync(postern.mainCf, good);
    const services = readFileSync(postern.masterCf, "utf8");
    writeFileSync(postern.masterCf, `${services}2526 inet n - n\n`);
    const { status, stderr } = postern.run(["reload"]);
    assert.equal(status, 78, stderr);
    assert.ok(stderr.includes(`${postern.masterCf}, line 2: `), stderr);
    assert.equal(postern.relayPid(), relay, "the relay is the one from before");
    sendMany(5);
    await sink.received(5);
  },
);

test("a reload brings new values, new sockets, and closes those that are gone", able, async (t) => {
  const sink = await withSink(t);
  const elsewhere = await withSink(t, [], sinkPort + 1);
  const postern = relayTo(t);
  postern.start();
  sendMany(1);
  await sink.received(1);
  setParameter(postern, `relayhost = ${elsewhere.relayhost}`);
  writeFileSync(postern.masterCf, "2025 inet n - n - - smtpd\n");
  assert.equal(postern.run(["reload"]).status, 0);
  await until("the old socket to be closed", () => listens(2025) && !listens(25));
  const { status } = network.client.run("smtp-source", [...sourceArguments, "127.0.0.1:2025"]);
  assert.equal(status, 0);
  await elsewhere.received(1);
  assert.equal(sink.messages().size, 1);
});

test("a reload under load refuses no connection and loses no session and no message", able, async (t) => {
  const sink = await withSink(t);
  const postern = relayTo(t, { mainCf: { smtp_destination_concurrency_limit: "20" } });
  postern.start();
  const rounds: { status: number | null; count: number }[] = [];
  let loading = true;
  /** One client after the other, for as long as there are reloads: `-d` keeps its sessions over all messages. */
  const load = async (count: number, more: readonly string[]): Promise<void> => {
    const args = ["-s", "10", ...more, "-m", `${count}`, ...sourceArguments, "127.0.0.1:25"];
    while (loading) {
      const [status] = await once(network.client.start("smtp-source", args), "exit");
      rounds.push({ status, count });
      loading &&= status === 0;
    }
  };
  const loads = [load(400, []), load(400, ["-d"])];
  const relays = new Set<number>();
  try {
    for (let times = 0; times < 5; times++) {
      await until("mail to come in", () => !loading || sink.messages().size > times * 100, { about: postern.log });
      const child = network.client.start(launcher, ["-c", postern.etc, "reload"]);
      assert.deepEqual(await once(child, "exit"), [0, null], postern.log().slice(-2000));
      relays.add(postern.relayPid());
    }
  } finally {
    loading = false;
    await Promise.all(loads);
  }
  assert.equal(relays.size, 5, "each reload brought another relay");
  const failed = rounds.filter(({ status }) => status !== 0);
  assert.deepEqual(failed, [], `smtp-source failed\n${postern.log().slice(-2000)}`);
  const sent = rounds.reduce((sum, { count }) => sum + count, 0);
  assert.ok(sent >= 800);
  const arrived = await sink.received(sent);
  assert.equal(arrived.size, sent);
  assert.deepEqual(
    [...arrived].filter(([, times]) => times !== 1),
    [],
    "each message arrives once",
  );
  assert.deepEqual(postern.queue(), []);
  assert.doesNotMatch(postern.log(), /status=(?!sent)/);
});

test("a session that was open at a reload goes on", able, async (t) => {
  const sink = await withSink(t);
  const postern = relayTo(t);
  postern.start();
  const args = ["-d", "-s", "2", "-m", "8", "-w", "1", ...sourceArguments, "127.0.0.1:25"];
  const source = network.client.start("smtp-source", args);
  const exited = once(source, "exit");
  await sink.received(2);
  assert.equal(postern.run(["reload"]).status, 0);
  assert.deepEqual(await exited, [0, null]);
  const arrived = await sink.received(8);
  assert.ok([...arrived.values()].every((times) => times === 1));
});

test("a relay that is killed is replaced, and what it had accepted is delivered", able, async (t) => {
  // Each delivery takes a second, so that many are in hand when it dies.
  const sink = await withSink(t, ["-W", ".:1"]);
  const postern = relayTo(t);
  postern.start();
  const relay = postern.relayPid();
  sendMany(40, ["-s", "10"]);
  process.kill(relay, "SIGKILL");
  await postern.logged(new RegExp(`warning: process relay pid ${relay} ended: killed by SIGKILL`));
  await postern.logged(/relay restarted after \d+ ms/);
  await sink.received(40);
  const next = postern.relayPid();
  assert.ok(next !== relay && isAlive(next));
  sendMany(1);
  await sink.received(41);
  await until("an empty queue", () => postern.queue().length === 0);
});

test("when the master is killed its relay ends, and a new start takes up the queue", able, async (t) => {
  const postern = relayTo(t);
  postern.start();
  sendMany(3);
  const [master, relay] = [postern.masterPid(), postern.relayPid()];
  process.kill(master, "SIGKILL");
  await until("the relay to end", () => !isAlive(relay));
  assert.ok(!listens(25));
  const sink = await withSink(t);
  postern.start();
  assert.equal(postern.run(["flush"]).status, 0);
  await sink.received(3);
});

test("SIGHUP reloads, and SIGTERM ends it with the queue kept", able, async (t) => {
  const postern = relayTo(t);
  postern.start();
  sendMany(2);
  await postern.logged(/status=deferred/);
  const relay = postern.relayPid();
  setParameter(postern, `relayhost = [${network.provider.address}]:${sinkPort + 1}`);
  process.kill(postern.masterPid(), "SIGHUP");
  await postern.logged(/reload -- version/);
  assert.notEqual(postern.relayPid(), relay);
  const master = postern.masterPid();
  process.kill(master, "SIGTERM");
  await until("the master to end", () => !isAlive(master));
  assert.match(postern.log(), /stopped\n$/);
  assert.ok(!listens(25));
  const sink = await withSink(t, [], sinkPort + 1);
  postern.start();
  assert.equal(postern.run(["flush"]).status, 0);
  await sink.received(2);
});

test("sendmail takes mail while the relay is down, and it goes out afterwards", able, async (t) => {
  const sink = await withSink(t);
  const postern = relayTo(t);
  postern.start();
  postern.stop();
  const root = "Message-Id: <root@client>\n\nHello.\n";
  postern.send(root, ["you@far.example"]);
  postern.send(root.replace("root@", "nobody@"), ["you@far.example"], { user: "nobody" });
  assert.deepEqual(postern.run(["mailq"]).stdout.includes("maildrop"), false);
  postern.start();
  const arrived = await sink.received(2);
  assert.deepEqual([...arrived.keys()].sort(), ["<nobody@client>", "<root@client>"]);
});

test(
  "mail for this host itself is not delivered here: the start says so once, and the sender is told",
  able,
  async (t) => {
    const sink = await withSink(t);
    const postern = relayTo(t, { mainCf: { mydestination: "$myhostname", local_recipient_maps: "" } });
    postern.start();
    postern.send("Subject: x\n\nHello.\n", ["-f", "me@home.example", "nobody-here@client.example.com"]);
    await postern.logged(/status=bounced \(unknown user: "nobody-here"/);
    await sink.received(1);
    const [notification = ""] = sink.texts();
    assert.match(notification, /^X-Rcpt-Args: <me@home\.example>/m);
    const said = postern
      .log()
      .match(
        /main\.cf, line \d+: mail for .* is not delivered into mailboxes here: a recipient there without an alias bounces/g,
      );
    assert.equal(said?.length, 1, postern.log());
  },
);

test("logrotate begins a new log, and compresses the old one whole", able, async (t) => {
  const sink = await withSink(t);
  const postern = relayTo(t);
  postern.start();
  sendMany(3);
  await sink.received(3);
  await until("the log to have all", () => (postern.log().match(/: removed$/gm) ?? []).length === 3);
  const before = postern.log();
  const { status, stderr } = postern.run(["postfix", "logrotate"]);
  assert.deepEqual([status, stderr], [0, ""]);
  const rotated = readdirSync(postern.directory).filter((name) => /^mail\.log\.\d{8}-\d{6}\.gz$/.test(name));
  assert.equal(rotated.length, 1, readdirSync(postern.directory).join());
  const kept = gunzipSync(readFileSync(join(postern.directory, rotated[0] ?? ""))).toString();
  assert.ok(kept.startsWith(before));
  sendMany(1);
  await sink.received(4);
  await postern.logged(/: removed$/m);
  assert.equal((postern.log().match(/status=sent/g) ?? []).length, 1);
  assert.equal(statSync(join(postern.directory, "mail.log")).mode & 0o777, 0o600);
});

test("without root it runs on high ports and in directories of its own", able, async (t) => {
  const sink = await withSink(t);
  const postern = relayTo(t, { masterCf: "2025 inet n - n - - smtpd\n" });
  const nobody = Number(network.client.run("id", ["-u", "nobody"]).stdout);
  mkdirSync(join(postern.directory, "spool"));
  for (const path of [postern.directory, join(postern.directory, "spool")]) chownSync(path, nobody, -1);
  const as = { user: "nobody" };
  const started = postern.run(["start"], as);
  assert.deepEqual(started, { status: 0, stdout: "", stderr: "" }, postern.log());
  const uids = (pid: number) => /^Uid:\s+(.*)$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]?.split(/\s+/);
  const relay = Number(/relay pid (\d+)/.exec(postern.run(["status"], as).stderr)?.[1]);
  for (const pid of [postern.masterPid(), relay]) assert.deepEqual(uids(pid), Array(4).fill(`${nobody}`));
  assert.equal(network.client.run("smtp-source", [...sourceArguments, "127.0.0.1:2025"]).status, 0);
  postern.send("Subject: x\n\nHello.\n", ["you@far.example"], as);
  await sink.received(2);
  assert.equal(postern.run(["reload"], as).status, 0);
  assert.equal(network.client.run("smtp-source", [...sourceArguments, "127.0.0.1:2025"]).status, 0);
  await sink.received(3);
  assert.equal(postern.run(["stop"], as).status, 0);
});

test("import_environment says what the relay gets of the environment, from a reload on", able, async (t) => {
  const postern = relayTo(t, { mainCf: { import_environment: "TZ, MARK=here" } });
  const { status, stderr } = postern.run(["start"], { env: { TZ: "Asia/Tokyo", PRIVATE: "x", MARK: "ours" } });
  assert.equal(status, 0, stderr);
  // PATH is always passed on, and Node's channel has a variable of its own.
  const passed = (...wanted: string[]) => {
    const variables = readFileSync(`/proc/${postern.relayPid()}/environ`, "utf8").split("\0").filter(Boolean);
    assert.deepEqual(variables.filter((each) => !/^(PATH|NODE_CHANNEL_\w+)=/.test(each)).sort(), wanted);
  };
  passed("MARK=here", "TZ=Asia/Tokyo");
  setParameter(postern, "import_environment = PRIVATE");
  assert.equal(postern.run(["reload"]).status, 0);
  passed("PRIVATE=x");
});
