import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { needs } from "../lab/needs.ts";
import { makeNetwork, type Network } from "../lab/network.ts";
import { launcher, makePostern, type Postern } from "../lab/postern.ts";
import { until } from "../lab/until.ts";

/** What an operator does to queued mail, with the relay running and without: postsuper, postcat, postqueue. */
const able = needs({ root: true, programs: ["ip", "ss", "setpriv"] });

let network: Network;
let postern: Postern;

before(async () => {
  if (able.skip) return;
  network = await makeNetwork({});
  // Nobody listens there: everything is deferred.
  const relayhost = `[${network.provider.address}]:2525`;
  postern = makePostern({ host: network.client, mainCf: { relayhost } });
  postern.start();
});

after(() => {
  postern?.remove();
  network?.remove();
});

/** Queues one message and waits until it is deferred. */
async function deferred(sender: string): Promise<string> {
  postern.send("Subject: s\n\nfirst\n.second\n", ["-i", "-f", sender, "you@far.example"]);
  const item = await until(`the message of ${sender} is deferred`, () =>
    postern.queue().find((each) => each.sender === sender && each.queue_name === "deferred"),
  );
  return item.queue_id;
}

const postsuper = (args: readonly string[], input = ""): string => {
  const { status, stderr, stdout } = postern.program("postsuper", args, { input });
  assert.deepEqual([status, stdout], [0, ""], stderr);
  return stderr;
};

const queueOf = (id: string): string | undefined => postern.queue().find((each) => each.queue_id === id)?.queue_name;

/** What the log says of a run, without time, host and process. */
const logged = (from: number): string[] =>
  [
    ...postern
      .log()
      .slice(from)
      .matchAll(/ postfix\/postsuper\[\d+\]: (.*)/g),
  ].map(([, text]) => text ?? "");

/** What the command says is what the log says. */
async function assertLogged(from: number, said: readonly string[]): Promise<void> {
  const lines = await until("the last line is logged", () => {
    const seen = logged(from);
    return seen.length >= said.length && seen;
  });
  assert.deepEqual(
    lines.map((text) => `postsuper: ${text}`),
    said,
  );
}

/** Runs it once for each list of arguments, and gives all that it said. */
function sayAll(runs: readonly (readonly [args: readonly string[], input?: string])[]): string[] {
  return runs.flatMap(([args, input]) => postsuper(args, input).trimEnd().split("\n"));
}

test(
  "postsuper holds, releases, expires and removes while the relay runs, and says so as Postfix does",
  able,
  async () => {
    const [a, b] = [await deferred("a@x"), await deferred("b@x")];
    const from = postern.log().length;
    const said = sayAll([[["-h", a]], [["-h", a]], [["-d", b, "hold"]]]);
    assert.equal(queueOf(a), "hold");
    said.push(...sayAll([[["-H", a.toLowerCase()]]]));
    await until("it was tried, and is deferred again", () => queueOf(a) === "deferred");
    said.push(...sayAll([[["-h", "-"], `${a}\nNOSUCH\n${b}\n`], [["-e", b, "-r", "0"]], [["-d", a, "-d", "a/b"]]]));
    assert.equal(queueOf(a), undefined);
    assert.deepEqual(
      said,
      [
        `${a}: placed on hold`,
        "Placed on hold: 1 message",
        "Placed on hold: 0 messages",
        "Deleted: 0 messages",
        `${a}: released from hold`,
        "Released from hold: 1 message",
        `${a}: placed on hold`,
        `${b}: placed on hold`,
        "Placed on hold: 2 messages",
        `${b}: expired`,
        "Requeued: 0 messages",
        "Force-expired: 1 message",
        "warning: invalid mail queue id: a/b",
        `${a}: removed`,
        "Deleted: 1 message",
      ].map((text) => `postsuper: ${text}`),
    );
    await assertLogged(from, said);
    postsuper(["-f", b]);
    await postern.logged(
      new RegExp(`from=<b@x>, status=force-expired, returned to sender[\\s\\S]*qmgr\\[\\d+\\]: ${b}: removed`),
    );
    await until("nothing is left", () => {
      postsuper(["-d", "ALL"]);
      return postern.queue().length === 0;
    });
  },
);

test("without a relay postsuper changes the queue itself, and the next relay goes on with it", able, async () => {
  const [a, b] = [await deferred("one@x"), await deferred("two@x")];
  postern.stop();
  const from = postern.log().length;
  const said = sayAll([[["-h", a]], [["-d", "ALL", "deferred"]], [["-r", a]]]);
  assert.deepEqual(
    postern.queue().map((each) => [each.queue_id, each.queue_name]),
    [[a, "deferred"]],
  );
  said.push(...sayAll([[["-h", "ALL"]]]));
  assert.deepEqual(
    said,
    [
      `${a}: placed on hold`,
      "Placed on hold: 1 message",
      "Deleted: 1 message",
      `${a}: requeued`,
      "Requeued: 1 message",
      "Placed on hold: 1 message",
    ].map((text) => `postsuper: ${text}`),
  );
  await assertLogged(from, said);
  postern.start();
  assert.deepEqual([queueOf(a), queueOf(b)], ["hold", undefined]);
  const tried = new RegExp(`${a}: to=<you@far.example>`);
  const restarted = postern.log().length;
  assert.equal(postsuper(["-H", "ALL"]), "postsuper: Released from hold: 1 message\n");
  await postern.logged(tried, restarted);
  assert.equal(postsuper(["-d", a]), `postsuper: ${a}: removed\npostsuper: Deleted: 1 message\n`);
});

test("postcat shows a message in Postfix's form, with and without a relay", able, async () => {
  const id = await deferred("cat@x");
  const whole = postern.program("postcat", ["-q", id]);
  assert.equal(whole.status, 0, whole.stderr);
  assert.match(
    whole.stdout,
    new RegExp(
      `^\\*\\*\\* ENVELOPE RECORDS deferred/${id} \\*\\*\\*\nmessage_size: +\\d+ +0 +1 +0 +\\d+ +0\nmessage_arrival_time: .*\ncreate_time: .*\n[\\s\\S]*sender: cat@x\n[\\s\\S]*original_recipient: you@far.example\nrecipient: you@far.example\n\\*\\*\\* MESSAGE CONTENTS deferred/${id} \\*\\*\\*\nReceived: [\\s\\S]*\nSubject: s\n[\\s\\S]*\n\nfirst\n\\.second\n\\*\\*\\* HEADER EXTRACTED deferred/${id} \\*\\*\\*\n\\*\\*\\* MESSAGE FILE END deferred/${id} \\*\\*\\*\n$`,
    ),
  );
  const part = (option: string): string => postern.program("postcat", [option, "-q", id]).stdout;
  assert.equal(part("-b"), "\nfirst\n.second\n");
  assert.match(part("-h"), /^Received: [\s\S]*\nFrom: .*\n$/);
  assert.equal(part("-bh"), part("-h") + part("-b"));
  assert.doesNotMatch(part("-e"), /first|Subject/);
  assert.match(part("-bv"), /^regular_text: \nregular_text: first\nregular_text: \.second\n$/);
  assert.match(part("-bo"), /^ *(\d+) \n *\d+ first\n *\d+ \.second\n$/);
  postern.stop();
  assert.equal(postern.program("postcat", ["-q", id]).stdout, whole.stdout);
  assert.deepEqual(postern.program("postcat", ["-q", "ABC"]), {
    status: 1,
    stdout: "",
    stderr: "postcat: fatal: open queue file ABC: No such file or directory\n",
  });
  postern.start();
  postsuper(["-d", id]);
});

test("a user who is not root neither changes the queue nor reads mail, with and without a relay", able, async () => {
  const id = await deferred("mine@x");
  const asNobody = (program: string, args: readonly string[]) =>
    network.client.run("setpriv", ["--reuid=65534", "--regid=65534", "--clear-groups", launcher, program, ...args], {
      env: { MAIL_CONFIG: postern.etc },
    });
  for (const running of [true, false]) {
    if (!running) postern.stop();
    const removed = asNobody("postsuper", ["-d", id]);
    assert.deepEqual(
      [removed.status, removed.stderr],
      [1, "postsuper: fatal: use of this command is reserved for the superuser\n"],
    );
    const read = asNobody("postcat", ["-q", id]);
    assert.deepEqual([read.status, read.stdout], [1, ""]);
    assert.equal(read.stderr, `postcat: fatal: open queue file ${id}: Permission denied\n`);
  }
  postern.start();
  assert.notEqual(queueOf(id), undefined);
  postsuper(["-d", "ALL"]);
});
