import assert from "node:assert/strict";
import { closeSync, openSync, readdirSync, readFileSync, writeSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";
import { until } from "../lab/until.ts";
import { type RunningPostern, startPostern } from "../peers/postern.ts";
import { type ReceivingSink, startReceivingSink } from "./receiving-sink.ts";

/** A relay whose queue file is damaged while it is down: at a crash, which the master mends; and while nobody runs, for `postern repair`. */
const page_bytes = 16_384;
const count = 20;

let sink: ReceivingSink;
let relay: RunningPostern;
let closed = true;

before(async () => {
  sink = await startReceivingSink({ answer: () => (closed ? "451 4.3.0 later" : "250 2.0.0 Ok: taken") });
  const backoff = { minimal_backoff_time: "1s", maximal_backoff_time: "1s", queue_run_delay: "1s" };
  relay = await startPostern({
    mainCf: {
      mynetworks: "127.0.0.0/8",
      smtp_tls_security_level: "none",
      ...backoff,
      relayhost: `[127.0.0.1]:${sink.port}`,
    },
  });
});

after(async () => {
  await relay.stop();
  await sink.close();
});

const about = (): { about: () => string } => ({ about: () => relay.log().slice(-3000) });
const file = (): string => join(relay.queue, "queue.db");

/** So many messages that the far end puts off, of which `name` is in each id. */
async function deferMail(name: string): Promise<void> {
  closed = true;
  const from = relay.log().length;
  const client = connect({ host: "127.0.0.1", port: relay.port, noDelay: true });
  const replies = createInterface({ input: client })[Symbol.asyncIterator]();
  const expect = async (code: string): Promise<void> => {
    for (;;) {
      const { value = "" } = await replies.next();
      assert.ok(value.startsWith(code), value);
      if (value[3] !== "-") return;
    }
  };
  await expect("220");
  for (let number = 0; number < count; number++) {
    const id = `${name}-${number}@client.example`;
    const header = `From: a@client.example\r\nTo: b@example.com\r\nMessage-ID: <${id}>\r\n\r\n`;
    const lines = [
      number === 0 ? "EHLO client.example" : "RSET",
      "MAIL FROM:<a@client.example>",
      "RCPT TO:<b@example.com>",
    ];
    for (const line of [...lines, "DATA", `${header}${"x".repeat(900)}\r\n.`]) {
      client.write(`${line}\r\n`);
      await expect(line === "DATA" ? "354" : "250");
    }
  }
  client.end("QUIT\r\n");
  const deferred = (): number =>
    new Set(
      [
        ...relay
          .log()
          .slice(from)
          .matchAll(/ ([0-9A-F]{10,}): to=.* status=deferred /g),
      ].map(([, id]) => id),
    ).size;
  await until(`${name}: all is deferred`, () => deferred() >= count, about());
}

function write(at: number, bytes: Buffer): void {
  const fd = openSync(file(), "r+");
  writeSync(fd, bytes, 0, bytes.length, at);
  closeSync(fd);
}

const arrived = (name: string): number => [...sink.taken.keys()].filter((id) => id.startsWith(`${name}-`)).length;

test("a page of the queue that is lost at a crash: the relay comes up again, once, names what is lost, and delivers the rest", async () => {
  await deferMail("page");
  // With the log in the file.
  await relay.halt();
  await relay.start();
  const from = relay.log().length;
  await relay.kill("relay", () => {
    const at = readFileSync(file()).indexOf("page-7@client.example");
    assert.ok(at >= 0);
    write(at - (at % page_bytes), Buffer.alloc(page_bytes));
  });
  closed = false;
  const named = (): number =>
    new Set(
      [
        ...relay
          .log()
          .slice(from)
          .matchAll(/: ([0-9A-F]{10,}): message (?:lost|set aside|put on hold)/g),
      ].map(([, id]) => id),
    ).size;
  await until("each is delivered or named", () => arrived("page") + named() >= count, about());
  const said = relay.log().slice(from);
  assert.equal(arrived("page") + named(), count, said);
  assert.ok(arrived("page") > 0 && named() > 0, said);
  assert.ok((said.match(/relay restarted/g) ?? []).length <= 2, said);
});

test("postern repair refuses while Postern runs, finds what is damaged, saves the rest, and then finds nothing", async () => {
  const refused = relay.run("repair");
  assert.match(refused.stderr, /the mail system is running/);
  assert.equal(refused.status, 69);
  await deferMail("byte");
  await relay.halt();
  const sound = relay.run("repair", "-n");
  assert.deepEqual([sound.status, sound.stderr.includes("the queue is sound")], [0, true], sound.stderr);
  const at = readFileSync(file()).indexOf("byte-3@client.example");
  assert.ok(at > 0);
  write(at, Buffer.from("X"));
  const looked = relay.run("repair", "-n");
  assert.equal(looked.status, 1);
  assert.match(looked.stderr, /[0-9A-F]{10,}: part 1 of its body fails its checksum/);
  const checked = relay.run("check", "--offline");
  assert.match(checked.stdout, /part 1 of its body fails its checksum/);
  const repaired = relay.run("repair");
  assert.equal(repaired.status, 1);
  assert.match(repaired.stderr, /\d+ messages saved, 1 message set aside as corrupt, 0 messages known to be lost/);
  assert.match(repaired.stderr, /the damaged file is kept as .*queue\.db\.damaged-\d{8}T\d{6}Z/);
  assert.ok(readdirSync(relay.queue).some((name) => name.startsWith("queue.db.damaged-")));
  assert.match(relay.log(), /postfix\/repair\[\d+\]: warning: [0-9A-F]{10,}: message set aside as corrupt/);
  await relay.start();
  closed = false;
  await until("the rest is delivered", () => arrived("byte") === count - 1, about());
});
