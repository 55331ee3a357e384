import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { until } from "../lab/until.ts";
import { missing } from "../peers/place.ts";
import { type RunningPostern, startPostern } from "../peers/postern.ts";
import { isOver } from "./ended.ts";
import { type LoadBook, startLoad } from "./load.ts";
import { type ReceivingSink, startReceivingSink } from "./receiving-sink.ts";
import { rngFrom } from "./rng.ts";
import { attachStrace, syncCalls } from "./strace.ts";
import { checkSyncs, readTrace } from "./sync-oracle.ts";

/**
 * A real relay whose disk says no at the n-th call, for many n. For each: no 250 without a sync that succeeded
 * (told from the system calls), the relay says why it ends, is replaced, and takes mail again. Over all of them:
 * everything acknowledged arrives, and nothing that was refused.
 */
const skip = missing("strace") ?? false;

const calls = ["fsync", "fdatasync", "pwrite64"];
const books: { readonly name: string; readonly book: LoadBook }[] = [];
let relay: RunningPostern;
let sink: ReceivingSink;

before(async () => {
  if (skip) return;
  sink = await startReceivingSink();
  const backoff = { minimal_backoff_time: "1s", maximal_backoff_time: "1s", queue_run_delay: "1s" };
  const mainCf = { mynetworks: "127.0.0.0/8", smtp_tls_security_level: "none", ...backoff };
  relay = await startPostern({ mainCf: { ...mainCf, relayhost: `[127.0.0.1]:${sink.port}` } });
});

after(async () => {
  if (skip) return;
  await relay.stop();
  await sink.close();
});

const about = (): { about: () => string } => ({ about: () => relay.log().slice(-3000) });

/** Load while a fault waits to happen; `struck` says when it has. No 250 in that time may lack its sync. */
async function underFault(
  name: string,
  inject: readonly string[],
  struck: (book: LoadBook) => Promise<void>,
): Promise<LoadBook> {
  const file = join(relay.directory, `trace-${name}`);
  const strace = await attachStrace({
    pids: [relay.relayPid() ?? 0],
    calls: [...new Set([...syncCalls, ...calls])],
    file,
    inject,
  });
  const load = startLoad({ ...{ port: relay.port, sessions: 5, name }, rng: rngFrom(books.length + 1) });
  books.push({ name, book: load.book });
  try {
    await struck(load.book);
    await strace.detach();
    const before = load.book.acknowledged.size;
    await until(`${name}: mail is taken again`, () => load.book.acknowledged.size > before + 20, about());
  } finally {
    await load.stop();
  }
  assert.deepEqual(checkSyncs(await readTrace(file)).violations, [], name);
  return load.book;
}

/** The master is restarted now and then, since its pauses grow with every relay that ends. */
async function replacedByMaster(name: string, inject: string, says: RegExp): Promise<void> {
  const from = relay.log().length;
  const first = relay.relayPid();
  await underFault(name, [inject], async () => {
    await until(`${name}: the relay is replaced`, () => ![undefined, first].includes(relay.relayPid()), about());
  });
  assert.match(relay.log().slice(from), says, name);
}

/** The master ends before a successor is up: what was refused is known all the same. */
async function replacedByAnother(name: string, inject: string): Promise<void> {
  const first = relay.relayPid() ?? 0;
  await underFault(name, [inject], async () => {
    process.kill(relay.masterPid, "SIGSTOP");
    await until(`${name}: the relay has ended`, () => isOver(first), about());
    await relay.kill("all");
    await relay.start();
  });
}

const failedSync = /panic: mail queue: .*SQLITE_IOERR_FSYNC.*; the relay is restarted/;
const failedWrite = /panic: mail queue: .*SQLITE_IOERR_WRITE.*; the relay is restarted/;

test("a sync that fails, at each of the first fifteen: no 250 for what it held, and the relay is replaced", {
  skip,
}, async () => {
  for (let when = 1; when <= 15; when++) {
    // Where the later ones fail, too, the log stays as the failure has left it: with what was refused in it.
    const inject = `fsync,fdatasync:error=EIO:when=${when}${when % 4 < 2 ? "" : "+"}`;
    if (when % 2 === 1) await replacedByMaster(`sync-${when}`, inject, failedSync);
    else await replacedByAnother(`sync-${when}`, inject);
  }
});

test("a write that fails: no 250 for what it held, and the relay is replaced", { skip }, async () => {
  for (const [index, when] of [1, 2, 7, 61].entries()) {
    const inject = `pwrite64:error=EIO:when=${when}`;
    if (index % 2 === 1) await replacedByMaster(`write-${when}`, inject, failedWrite);
    else await replacedByAnother(`write-${when}`, inject);
  }
});

/**
 * Where the fault hits a batch of outcomes alone, or the log being moved, room is found for them and nobody is refused: another one is tried then.
 * Each write that fails is followed by one that tells a quota from a broken disk, so an even number of them fails.
 */
async function refusedForRoom(error: string, when: number): Promise<LoadBook> {
  const inject = [`pwrite64:error=${error}:when=${when}..${when + 5}`];
  for (let attempt = 1; ; attempt++) {
    const name = `${error}-${when}-${attempt}`;
    const book = await underFault(name, inject, async ({ refusals, acknowledged }) => {
      await until(`${name}: it is refused`, () => refusals.size > 0 || acknowledged.size > 500, about());
    });
    if (book.refusals.size > 0 || attempt === 20) return book;
  }
}

for (const error of ["ENOSPC", "EDQUOT"]) {
  test(`a write without room (${error}): 452, and the relay goes on`, { skip }, async () => {
    const first = relay.relayPid();
    for (const when of [1, 2, 12]) {
      const { refusals } = await refusedForRoom(error, when);
      const replies = [...refusals.keys()];
      assert.ok(replies.length > 0 && replies.every((reply) => reply.startsWith("452 4.3.1")), replies.join());
    }
    assert.equal(relay.relayPid(), first);
  });
}

test("after all of that everything acknowledged has arrived, and nothing that was refused or never finished", {
  skip,
}, async (context) => {
  await until("the queue is empty", () => relay.run("mailq").stdout.includes("Mail queue is empty"), about());
  const { taken } = sink;
  const total = { acknowledged: 0, refused: 0, cut: 0 };
  for (const { name, book } of books) {
    const { acknowledged, refused, unfinished, cut } = book;
    assert.deepEqual(
      [...acknowledged].filter((id) => !taken.has(id)),
      [],
      `${name}: acknowledged, and lost`,
    );
    assert.deepEqual(
      [...refused].filter((id) => taken.has(id)),
      [],
      `${name}: refused, and delivered`,
    );
    assert.deepEqual(
      [...unfinished].filter((id) => taken.has(id)),
      [],
      `${name}: never finished, and delivered`,
    );
    total.acknowledged += acknowledged.size;
    total.refused += refused.size;
    total.cut += cut.size;
  }
  assert.ok(total.refused > 0);
  context.diagnostic(`${JSON.stringify(total)}, repeated ${[...taken.values()].filter((times) => times > 1).length}`);
});
