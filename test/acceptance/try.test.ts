import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it, type TestContext } from "node:test";
import { testIo } from "../../src/cli/test-io.ts";
import { tryCommand } from "../../src/cli/try.ts";
import { type PracticeServer, startPracticeServer } from "../../src/practice/practice-server.ts";
import { realRuntime } from "../../src/runtime/real.ts";
import { needs } from "../lab/needs.ts";
import { type RunningPostern, startPostern } from "../peers/postern.ts";

/** A provider that takes mail for nearly everybody. */
const provider = () =>
  startPracticeServer(realRuntime(), {
    ...{ address: "127.0.0.1", port: 0, requireTls: false, requireAuth: false, certificate: false },
    script({ verb, argument }) {
      if (verb !== "RCPT") return undefined;
      if (argument.includes("nobody@")) return { reply: "550 5.1.1 no such user" };
      return argument.includes("later@") ? { reply: "451 4.7.1 greylisted" } : undefined;
    },
  });

const run = async (directory: string, ...args: readonly string[]) => {
  const io = testIo({ directory, env: {} });
  const status = await tryCommand(args, io);
  const { out, err } = io.written();
  return { status, out: out.toString(), err };
};

describe("with no relay running", needs({ root: true }), () => {
  let server: PracticeServer;
  let directory: string;
  const temporary = (): string[] => readdirSync(tmpdir()).filter((name) => /^postern-[0-9a-f]{16}$/.test(name));

  before(async () => {
    server = await provider();
    directory = mkdtempSync(join(tmpdir(), "postern-try-"));
    mkdirSync(join(directory, "spool"));
    const main = {
      ...{ compatibility_level: "3.6", myhostname: "relay.example", mydestination: "", alias_maps: "" },
      ...{
        mynetworks: "127.0.0.0/8",
        relayhost: `[127.0.0.1]:${server.port}`,
        queue_directory: join(directory, "spool"),
      },
    };
    writeFileSync(
      join(directory, "main.cf"),
      Object.entries(main)
        .map(([name, value]) => `${name} = ${value}\n`)
        .join(""),
    );
    writeFileSync(join(directory, "master.cf"), "");
  });
  after(async () => {
    await server.close();
    rmSync(directory, { recursive: true });
  });

  it("a message that is taken is followed to the next server, and its files are gone", async () => {
    const { status, out, err } = await run(directory, "--from", "me@relay.example", "you@elsewhere.example");
    assert.equal(status, 0, out + err);
    assert.match(err, /no relay runs/);
    assert.match(out, /taken into the queue as \w+/);
    assert.match(out, /<you@elsewhere\.example> accepted by 127\.0\.0\.1\[127\.0\.0\.1\]:\d+: 250/);
    const message = server.messages.at(-1);
    assert.equal(message?.sender, "me@relay.example");
    assert.match(message?.data.toString() ?? "", /^Subject: A test of the mail from /m);
    assert.deepEqual(temporary(), []);
  });

  it("a refusal is told with the server's words, and exits with 1", async () => {
    const { status, out } = await run(directory, "nobody@elsewhere.example");
    assert.equal(status, 1, out);
    assert.match(out, /refused for good by .*550 5\.1\.1 no such user/);
  });

  it("mail that is put off exits with 75, and is not kept", async () => {
    const { status, out } = await run(directory, "later@elsewhere.example");
    assert.equal(status, 75, out);
    assert.match(out, /deferred by .*451 4\.7\.1 greylisted/);
    assert.match(out, /not tried again, since the temporary relay ends here/);
    assert.deepEqual(temporary(), []);
  });

  it("what is no address is refused with the usage", async () => {
    for (const args of [
      [],
      ["nobody"],
      ["a@b.example", "c@d.example"],
      ["--frob", "a@b.example"],
      ["--timeout", "x", "a@b.example"],
    ]) {
      const { status, err } = await run(directory, ...args);
      assert.equal(status, 64, err);
      assert.match(err, /usage: postern/);
    }
  });
});

describe("through the relay that runs", needs({ root: true }), () => {
  const running = async (t: TestContext): Promise<{ server: PracticeServer; postern: RunningPostern; etc: string }> => {
    const server = await provider();
    t.after(() => server.close());
    const postern = await startPostern({ mainCf: { relayhost: `[127.0.0.1]:${server.port}` } });
    t.after(() => postern.stop());
    return { server, postern, etc: join(postern.directory, "etc") };
  };

  it("messages are followed by what the relay logs of them, and mail that is put off stays in the queue", async (t) => {
    const { server, postern, etc } = await running(t);
    const taken = await run(etc, "you@elsewhere.example");
    assert.equal(taken.status, 0, taken.out + taken.err);
    assert.match(taken.err, /through the relay that runs/);
    assert.match(taken.out, /accepted by/);
    assert.equal(server.messages.length, 1);
    const late = await run(etc, "later@elsewhere.example");
    assert.equal(late.status, 75, late.out);
    const [, id = ""] = /postern why (\w+)/.exec(late.out) ?? [];
    assert.match(postern.run("mailq").stdout, new RegExp(`^${id} `, "m"));
  });
});
