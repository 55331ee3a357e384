/**
 * Tables that ask a server over a small protocol (tcp, socketmap, memcache) against Debian's postmap: both ask the same
 * servers, send them the same, and make the same of what they answer.
 */
import assert from "node:assert/strict";
import { connect } from "node:net";
import { after, before, describe, it } from "node:test";
import { serveTables } from "../../src/table/test-servers.ts";
import { needs } from "../lab/needs.ts";
import { type Outcome, postmapLab } from "../lab/postmap.ts";
import { databasePrograms, type RunningDatabase, startMemcached } from "../peers/database.ts";

const lab = postmapLab("servers");
after(() => lab.remove());

/** Both ask for the key; what they said and did, and what the server was sent by each. */
async function bothAsk(
  reference: (port: number) => string,
  answer: string,
  key: string,
): Promise<{ readonly ours: Outcome; readonly debian: Outcome; readonly sent: string[] }> {
  const sent: string[] = [];
  const server = await serveTables((socket) =>
    socket.on("data", (bytes: Buffer) => {
      sent.push(bytes.toString("latin1"));
      socket.write(answer, "latin1");
    }),
  );
  try {
    const args = ["-q", key, reference(server.port)];
    const ours = await lab.ours("postmap", lab.conf, args);
    const debian = await lab.debian("postmap", lab.conf, args);
    return { ours, debian, sent };
  } finally {
    await server.close();
  }
}

async function agree(reference: (port: number) => string, answer: string, key = "Key"): Promise<string> {
  const { ours, debian, sent } = await bothAsk(reference, answer, key);
  assert.deepEqual(
    { status: ours.status, out: ours.out, cannotTell: /fatal: table/.test(ours.err) },
    { status: debian.status, out: debian.out, cannotTell: /fatal: table/.test(debian.err) },
    ours.err + debian.err,
  );
  const [first, second] = sent;
  assert.equal(first, second);
  return first ?? "";
}

const postmapNeeds = needs({ programs: ["/usr/sbin/postmap"] });

describe("tcp", { ...postmapNeeds, concurrency: 16 }, () => {
  const tcp = (port: number): string => `tcp:127.0.0.1:${port}`;
  const answers = [
    "200 value\n",
    "200 two%20words%0a%25\n",
    "200 two words\n",
    "250 \n",
    "200\n",
    "200 %4\n",
    "200 %zz\n",
    "200 caf%C3%A9\n",
    "200 caf%E9\n",
    "200\tx\n",
    "500 not here\n",
    "510 \n",
    "400 later\n",
    "300 odd\n",
    "900 odd\n",
    "20 x\n",
    "abc x\n",
    "\n",
    "200 first\n200 second\n",
  ];
  for (const answer of answers) {
    it(`${JSON.stringify(answer)} means the same to both`, async () => void (await agree(tcp, answer)));
  }
  for (const key of ["plain", "User+x@Example.COM", "two words", "100%", "grüße", "a=b&c", "%41", "\x7f\t"]) {
    it(`the key ${JSON.stringify(key)} is sent the same way`, async () => {
      assert.match(await agree(tcp, "200 x\n", key), /^get \S+\n$/);
    });
  }
});

describe("socketmap", { ...postmapNeeds, concurrency: 16 }, () => {
  const socketmap = (port: number): string => `socketmap:inet:127.0.0.1:${port}:name`;
  const net = (text: string): string => `${Buffer.from(text, "latin1").length}:${text},`;
  const answers = [
    net("OK value"),
    net("OK two words "),
    net("OK "),
    net("OK"),
    net("NOTFOUND "),
    net("NOTFOUND"),
    net("NOTFOUND really"),
    net("TEMP later"),
    net("TIMEOUT "),
    net("PERM never"),
    net("ODD"),
    net("ok value"),
    net(""),
    net("OK caf\xc3\xa9"),
    net("OK caf\xe9"),
    "x:OK a,",
    "3:OK a,",
    "999999999:OK a,",
    "007:OK zero,",
  ];
  for (const answer of answers) {
    it(`${JSON.stringify(answer)} means the same to both`, async () => void (await agree(socketmap, answer)));
  }
  for (const key of ["plain", "User+x@Example.COM", "two words", "grüße", ",:"]) {
    it(`the key ${JSON.stringify(key)} is sent the same way`, async () => {
      assert.match(await agree(socketmap, net("OK x"), key), /^\d+:name .*,$/);
    });
  }
});

const memcacheNeeds = needs({ root: true, programs: ["/usr/sbin/postmap", ...(databasePrograms.memcached ?? [])] });

describe("memcache", { ...memcacheNeeds, concurrency: 16 }, () => {
  let server: RunningDatabase;
  before(async () => {
    server = await startMemcached();
    await put("key", "value");
    await put("user@example.com", "found");
    await put("p:user:example.com:com", "formed");
    await put("odd", "two words, and\r\na line");
    await put("empty", "");
  });
  after(() => server?.remove());

  /** Puts an entry into the cache itself. */
  async function put(key: string, value: string): Promise<void> {
    const socket = connect(server.port, "127.0.0.1");
    socket.write(`set ${key} 0 0 ${Buffer.from(value).length}\r\n${value}\r\n`);
    assert.equal(await new Promise((done) => socket.once("data", (bytes) => done(bytes.toString()))), "STORED\r\n");
    socket.destroy();
  }

  async function agreeOn(table: string, key: string): Promise<Outcome> {
    const directory = lab.place({ "m.cf": `memcache = inet:127.0.0.1:${server.port}\n${table}` });
    const args = ["-q", key, `memcache:${directory}/m.cf`];
    const ours = await lab.ours("postmap", directory, args);
    const debian = await lab.debian("postmap", directory, args);
    const short = ({ status, out, err }: Outcome) => ({ status, out, cannotTell: /fatal:/.test(err) });
    assert.deepEqual(short(ours), short(debian), ours.err + debian.err);
    return ours;
  }

  for (const key of [
    "key",
    "KEY",
    "none",
    "user@example.com",
    "user@example.org",
    "two words",
    "odd",
    "x".repeat(251),
  ]) {
    it(`${key.slice(0, 40)} has the same answer`, async () => {
      await agreeOn("", key);
      await agreeOn("key_format = p:%u:%d:%1\n", key);
      await agreeOn("domain = example.com\n", key);
    });
  }

  it("a backup's answer is put into the cache", async () => {
    const table = "backup = inline:{key2=behind}\nttl = 100\n";
    assert.equal((await agreeOn(table, "key2")).out, "behind\n");
    assert.equal((await agreeOn("", "key2")).out, "behind\n");
  });

  it("data beyond the limit cannot be told", async () => {
    assert.equal((await agreeOn("data_size_limit = 3\nmax_try = 1\n", "key")).status, 1);
  });

  for (const wrong of ["ttl = x\n", "max_try = 0\n", "key_format = %x\n"]) {
    it(`${JSON.stringify(wrong)} is refused by both`, async () => void (await agreeOn(wrong, "key")));
  }
});
