import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { atExit } from "../lab/at-exit.ts";
import { missing } from "../peers/place.ts";
import { type RunningPostern, startPostern } from "../peers/postern.ts";
import { type Load, startLoad } from "./load.ts";
import { type ReceivingSink, startReceivingSink } from "./receiving-sink.ts";
import { rngFrom } from "./rng.ts";
import { attachStrace } from "./strace.ts";

const skip = missing("strace") ?? false;

const parameters = {
  mynetworks: "127.0.0.0/8",
  smtp_tls_security_level: "none",
  minimal_backoff_time: "1s",
  maximal_backoff_time: "1s",
  queue_run_delay: "1s",
};

interface Scene {
  readonly relay: RunningPostern;
  readonly sink: ReceivingSink;
  readonly load: Load;
}

/** A relay under load; what is left of it goes with the test. */
async function scene(
  context: TestContext,
  given: {
    readonly mainCf?: Readonly<Record<string, string>>;
    readonly prepare?: (directory: string) => void;
    readonly answer?: (messageId: string) => string;
    /** Called when the relay has ended. */
    readonly ended?: () => void;
  },
): Promise<Scene> {
  const sink = await startReceivingSink(given.answer ? { answer: given.answer } : {});
  const mainCf = { ...parameters, relayhost: `[127.0.0.1]:${sink.port}`, ...given.mainCf };
  const relay = await startPostern({ mainCf, ...(given.prepare ? { prepare: given.prepare } : {}) });
  const load = startLoad({ port: relay.port, sessions: 10, rng: rngFrom(1) });
  context.after(async () => {
    await load.stop();
    await relay.halt();
    given.ended?.();
    await relay.stop();
    await sink.close();
  });
  return { relay, sink, load };
}

async function until(what: string, holds: () => boolean, log: () => string): Promise<void> {
  const since_ms = performance.now();
  while (!holds()) {
    if (performance.now() - since_ms > 60_000) assert.fail(`waited a minute: ${what}\n${log().slice(-3000)}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** What holds whatever has happened: everything acknowledged arrives, and nothing that was refused. */
async function assertKept({ relay, sink, load }: Scene): Promise<void> {
  const { acknowledged, refused, unfinished } = load.book;
  const before = acknowledged.size;
  await until(
    "mail is taken again",
    () => acknowledged.size > before + 100,
    () => relay.log(),
  );
  await load.stop();
  await until(
    "the queue is empty",
    () => relay.run("mailq").stdout.includes("Mail queue is empty"),
    () => relay.log(),
  );
  const { taken } = sink;
  assert.deepEqual(
    [...acknowledged].filter((id) => !taken.has(id)),
    [],
    "acknowledged, and lost",
  );
  assert.deepEqual(
    [...refused].filter((id) => taken.has(id)),
    [],
    "refused, and delivered",
  );
  assert.deepEqual(
    [...unfinished].filter((id) => taken.has(id)),
    [],
    "never finished, and delivered",
  );
}

const faults = [
  { name: "a sync that fails", inject: "fdatasync,fsync:error=EIO:when=20", restarts: true },
  { name: "a write to the log that fails", inject: "pwrite64:error=EIO:when=200", restarts: true },
  { name: "no room for a write to the log", inject: "pwrite64:error=ENOSPC:when=200..300", restarts: false },
] as const;

for (const { name, inject, restarts } of faults) {
  test(`${name}: no 250 for that batch, nothing acknowledged is lost, nothing refused is delivered`, {
    skip,
  }, async (context) => {
    const running = await scene(context, {});
    const { relay, load } = running;
    const { book } = load;
    await until(
      "there is a load",
      () => book.acknowledged.size > 200,
      () => relay.log(),
    );
    const first = relay.relayPid() ?? 0;
    const strace = await attachStrace({
      ...{ pids: [first], calls: ["pwrite64", "fdatasync", "fsync"], inject: [inject] },
      file: join(relay.directory, "trace"),
    });
    await until(
      "the fault has struck",
      () => book.refused.size > 0,
      () => relay.log(),
    );
    if (restarts)
      await until(
        "the relay is replaced",
        () => (relay.relayPid() ?? first) !== first,
        () => relay.log(),
      );
    await strace.detach();
    assert.ok(
      [...book.refusals.keys()].every((reply) => reply.startsWith("4")),
      [...book.refusals.keys()].join(),
    );
    await assertKept(running);
    context.diagnostic(
      `${book.acknowledged.size} acknowledged, ${book.refused.size} refused: ${[...book.refusals.keys()].join().trim()}`,
    );
  });
}

test("a queue directory without room: 452 before anything is taken, and mail again when there is room", {
  skip,
}, async (context) => {
  let open = false;
  let unmount = (): void => {};
  const running = await scene(context, {
    answer: () => (open ? "250 2.0.0 Ok: taken" : "451 4.3.0 not yet"),
    prepare(directory) {
      const mounted = join(directory, "queue");
      execFileSync("mount", ["-t", "tmpfs", "-o", "size=64m,mode=755", "tmpfs", mounted]);
      const keep = atExit(() => execFileSync("umount", ["-l", mounted]));
      unmount = () => {
        keep();
        execFileSync("umount", ["-l", mounted]);
      };
    },
    ended: () => unmount(),
  });
  const { relay, load } = running;
  const { book } = load;
  const refusals = (): string => [...book.refusals.keys()].join();
  await until(
    "it is full",
    () => refusals().includes("452"),
    () => relay.log(),
  );
  open = true;
  await assertKept(running);
  context.diagnostic(`${book.acknowledged.size} acknowledged, refusals: ${refusals().trim()}`);
});
