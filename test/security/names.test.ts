import assert from "node:assert/strict";
import { createSocket, type Socket } from "node:dgram";
import { after, before, test } from "node:test";
import { memoryLog } from "../../src/log/log.ts";
import type { DeliveryResult } from "../../src/queue/delivery.ts";
import { realClock } from "../../src/runtime/clock.ts";
import { realNames } from "../../src/runtime/names.ts";
import { requestTo, testClient } from "../../src/smtp/testing/client.ts";
import { PeerNames } from "../../src/smtpd/peername.ts";

/** A name server that answers as no name server should, by the first label of the question. */
type Answer = (query: Buffer, question: Buffer) => readonly Buffer[];

const header = (query: Buffer, flags: number, counts: readonly number[]): Buffer => {
  const bytes = Buffer.alloc(12);
  query.copy(bytes, 0, 0, 2);
  bytes.writeUInt16BE(0x8180 | flags, 2);
  for (const [index, count] of counts.entries()) bytes.writeUInt16BE(count, 4 + index * 2);
  return bytes;
};

const label = (text: string): Buffer => Buffer.concat([Buffer.of(text.length), Buffer.from(text, "latin1")]);
const dnsName = (...labels: readonly string[]): Buffer => Buffer.concat([...labels.map(label), Buffer.of(0)]);

/** A record of the name in the question; type 1 is A, 5 CNAME, 12 PTR, 15 MX. */
const record = (type: number, data: Buffer, length = data.length): Buffer => {
  const fixed = Buffer.from("c00c00000001000000050000", "hex");
  fixed.writeUInt16BE(type, 2);
  fixed.writeUInt16BE(length, 10);
  return Buffer.concat([fixed, data]);
};
const mx = (exchange: Buffer): Buffer => record(15, Buffer.concat([Buffer.of(0, 10), exchange]));
const answering =
  (...records: readonly Buffer[]): Answer =>
  (query, question) => [Buffer.concat([header(query, 0, [1, records.length, 0, 0]), question, ...records])];

const failing: Answer = (query, question) => [Buffer.concat([header(query, 2, [1, 0, 0, 0]), question])];
const pointer = (to: number): Buffer => Buffer.of(0xc0 | (to >> 8), to & 0xff);

/** Whatever a resolver makes of them: after a while the server says SERVFAIL, so that nothing hangs on a time limit. */
const malformed: Readonly<Record<string, Answer>> = {
  empty: () => [Buffer.alloc(0)],
  byte: () => [Buffer.of(0)],
  "short-header": (query) => [header(query, 0, [1, 1, 0, 0]).subarray(0, 11)],
  "counts-only": (query) => [header(query, 0, [65535, 65535, 65535, 65535])],
  "other-id": (query, question) => {
    const [answer = Buffer.alloc(0)] = answering(mx(dnsName("evil", "test")))(query, question);
    answer.writeUInt16BE((answer.readUInt16BE(0) + 1) & 0xffff, 0);
    return [answer];
  },
  "other-question": (query) => [
    Buffer.concat([
      header(query, 0, [1, 1, 0, 0]),
      dnsName("evil", "test"),
      Buffer.of(0, 15, 0, 1),
      mx(dnsName("evil", "test")),
    ]),
  ],
  // The exchange's name begins behind the header, the question, the record's 12 bytes and the preference.
  "pointer-loop": (query, question) => answering(mx(pointer(12 + question.length + 14)))(query, question),
  "pointer-to-itself": (query) => [
    Buffer.concat([header(query, 0, [1, 0, 0, 0]), pointer(12), Buffer.of(0, 15, 0, 1)]),
  ],
  "pointer-beyond": answering(mx(pointer(0x3fff))),
  "length-beyond": answering(record(15, Buffer.of(0, 10, 1, 0x61, 0), 4000)),
  "no-end": answering(mx(Buffer.from("3f", "hex"))),
  "three-bytes": answering(record(1, Buffer.of(127, 0, 0))),
  "long-name": answering(mx(Buffer.concat([...Array.from({ length: 8 }, () => label("x".repeat(60))), Buffer.of(0)]))),
  noise: (_query, question) => [Buffer.concat([Buffer.alloc(512, 0xff), question])],
};

/** Well formed, and nothing that mail could go to. */
const nonsense: Readonly<Record<string, Answer>> = {
  "line-ends": answering(mx(dnsName("a\r\nRCPT TO:<x>", "test"))),
  nul: answering(mx(dnsName("mx\0", "test"))),
  blank: answering(mx(dnsName("mx test"))),
  brackets: answering(mx(dnsName("[127", "0", "0", "1]:25"))),
  path: answering(mx(dnsName("../../run/x.sock"))),
  colon: answering(mx(dnsName("mx:25", "test"))),
  escape: answering(mx(dnsName("\x1b[2J", "test"))),
  latin1: answering(mx(dnsName("m\xfcx", "test"))),
};

let server: Socket;
let closed = false;
let address = "";
const asked: string[] = [];

before(async () => {
  server = createSocket("udp4");
  server.on("message", (query, from) => {
    const end = query.indexOf(0, 12);
    const question = query.subarray(12, end + 5);
    const first = query.toString("latin1", 13, 13 + (query[12] ?? 0)).toLowerCase();
    asked.push(first);
    const known = malformed[first] ?? nonsense[first] ?? reverse(query);
    for (const answer of known?.(query, question) ?? []) server.send(answer, from.port, from.address);
    const later = (): void => {
      if (!closed) server.send(failing(query, question)[0] ?? "", from.port, from.address);
    };
    setTimeout(later, 50);
  });
  await new Promise<void>((resolve) => server.bind(0, "127.0.0.1", resolve));
  address = `127.0.0.1:${server.address().port}`;
});

after(() => {
  closed = true;
  server?.close();
});

/** What an address is called, by its last number. */
function reverse(query: Buffer): Answer | undefined {
  const first = query.toString("latin1", 13, 13 + (query[12] ?? 0));
  const names: Readonly<Record<string, Buffer>> = {
    "1": dnsName("localhost"),
    "2": dnsName("a\nb", "test"),
    "3": dnsName("127", "0", "0", "1"),
    "4": dnsName("x".repeat(63), "y".repeat(63), "z".repeat(63)),
    "5": pointer(12),
  };
  const called = names[first];
  return called && answering(record(12, called));
}

async function deliverTo(domain: string): Promise<{ result: DeliveryResult; log: string; tried: number }> {
  let tried = 0;
  const net = { connect: () => Promise.reject(new Error(`connection ${++tried}`)) };
  const { client, log, parts } = testClient({}, { runtime: { names: realNames([address]) } });
  Object.assign(parts.runtime, { net });
  const result = await client.deliver(requestTo(domain));
  await client.close();
  return { result, log: log.lines.join("\n"), tried };
}

test("answers that are malformed defer the mail, and lead nowhere", { timeout: 60_000 }, async () => {
  const domains = Object.keys(malformed);
  const told = await Promise.all(domains.map((name) => deliverTo(`${name}.dest.test`)));
  for (const [index, { result, log, tried }] of told.entries()) {
    const name = domains[index] ?? "";
    assert.ok(asked.includes(name), `${name} was asked for`);
    assert.equal(result.recipients[0]?.status, "deferred", `${name}: ${result.recipients[0]?.reason}`);
    assert.equal(tried, 0, name);
    assert.ok(!/[^\x20-\x7e\n]/.test(log), log);
  }
});

test("mail exchangers whose names are no names get no mail, and never reach a log or a socket as they are", async () => {
  for (const name of Object.keys(nonsense)) {
    const { result, log, tried } = await deliverTo(`${name}.dest.test`);
    assert.notEqual(result.recipients[0]?.status, "sent", name);
    assert.equal(tried, 0, name);
    assert.ok(!/[^\x20-\x7e\n]/.test(log + result.recipients[0]?.reason), `${name}: ${log}`);
  }
});

test("a client is called by no name that does not lead back to it, whatever its name server says", async () => {
  const peers = new PeerNames({ names: realNames([address]), clock: realClock, log: memoryLog(), timeout_s: 5 });
  const names = await Promise.all([1, 2, 3, 4, 5].map((last) => peers.nameOf(`192.0.2.${last}`)));
  assert.deepEqual(new Set(names), new Set(["unknown"]));
});
