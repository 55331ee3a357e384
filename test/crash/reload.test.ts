import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { until } from "../lab/until.ts";
import { missing } from "../peers/place.ts";
import { type RunningPostern, startPostern } from "../peers/postern.ts";
import { startLoad } from "./load.ts";
import { messageIdOf, startReceivingSink } from "./receiving-sink.ts";
import { rngFrom } from "./rng.ts";

const root = join(import.meta.dirname, "..", "..");
const skip = missing() ?? false;
const parameters = { mynetworks: "127.0.0.0/8", smtp_tls_security_level: "none" };

/** Not as RunningPostern.run(): the clients of this process have to go on meanwhile. */
async function reload(relay: RunningPostern): Promise<void> {
  const child = spawn(join(root, "bin", "postern"), ["-c", join(relay.directory, "etc"), "reload"], {
    stdio: "ignore",
  });
  const [status] = (await once(child, "exit")) as [number];
  assert.equal(status, 0);
}

test("reloads under load: nobody is refused, everything arrives, and once", { skip }, async (context) => {
  const sink = await startReceivingSink();
  const relay = await startPostern({ mainCf: { ...parameters, relayhost: `[127.0.0.1]:${sink.port}` } });
  context.after(async () => {
    await relay.stop();
    await sink.close();
  });
  const acknowledged = new Set<string>();
  for (let round = 1; round <= 3; round++) {
    const load = startLoad({ port: relay.port, sessions: 5, rng: rngFrom(round), name: `round-${round}` });
    const { book } = load;
    const more = async (): Promise<void> => {
      const before = book.acknowledged.size;
      await until("mail is taken", () => book.acknowledged.size > before + 100, {
        about: () => relay.log().slice(-3000),
      });
    };
    try {
      await more();
      await reload(relay);
      await more();
    } finally {
      await load.stop();
    }
    assert.deepEqual([[...book.refusals.keys()], book.cut.size], [[], 0]);
    for (const id of book.acknowledged) acknowledged.add(id);
  }
  await until("the queue is empty", () => relay.run("mailq").stdout.includes("Mail queue is empty"));
  assert.deepEqual(
    [...acknowledged].filter((id) => !sink.taken.has(id)),
    [],
    "lost",
  );
  assert.deepEqual(
    [...sink.taken].filter(([, times]) => times > 1),
    [],
    "delivered twice",
  );
  context.diagnostic(`${acknowledged.size} acknowledged`);
});

/** A server that takes everything, but leaves the sender of the first message without an answer. */
async function startSlowSink(): Promise<{ port: number; taken: string[]; answer(): void; close(): Promise<void> }> {
  const taken: string[] = [];
  const open = new Set<Socket>();
  let answer = (): void => {};
  const server = createServer((socket) => {
    open.add(socket.on("error", () => {}));
    socket.on("close", () => open.delete(socket));
    let text = "";
    let data = false;
    socket.write("220 sink.example ESMTP\r\n");
    socket.on("data", (bytes) => {
      text += bytes.toString("latin1");
      for (
        let end = text.indexOf(data ? "\r\n.\r\n" : "\r\n");
        end >= 0;
        end = text.indexOf(data ? "\r\n.\r\n" : "\r\n")
      ) {
        const part = text.slice(0, end + 2);
        text = text.slice(end + (data ? 5 : 2));
        if (data) {
          data = false;
          const reply = (): void => void socket.write("250 2.0.0 Ok\r\n");
          if (taken.push(messageIdOf(part)) > 1) reply();
          else answer = reply;
        } else {
          data = part.startsWith("DATA");
          socket.write(data ? "354 go on\r\n" : "250 Ok\r\n");
        }
      }
    });
  });
  await new Promise<void>((resolve) => server.listen({ host: "127.0.0.1", port: 0 }, resolve));
  const bound = server.address();
  return {
    port: typeof bound === "object" && bound ? bound.port : 0,
    taken,
    answer: () => answer(),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of open) socket.destroy();
      }),
  };
}

test("what waited behind a delivery in hand goes out through the new generation, long before that delivery ends", {
  skip,
}, async (context) => {
  const sink = await startSlowSink();
  const one = { initial_destination_concurrency: "1", default_destination_concurrency_limit: "1" };
  const relay = await startPostern({ mainCf: { ...parameters, ...one, relayhost: `[127.0.0.1]:${sink.port}` } });
  context.after(async () => {
    await relay.stop();
    await sink.close();
  });
  const load = startLoad({ port: relay.port, sessions: 1, rng: rngFrom(2) });
  await until("some are taken", () => load.book.acknowledged.size >= 5 && sink.taken.length === 1);
  await load.stop();
  await reload(relay);
  const count = load.book.acknowledged.size;
  await until("the others are delivered", () => sink.taken.length === count, { limit_s: 10, about: () => relay.log() });
  sink.answer();
  await until("the queue is empty", () => relay.run("mailq").stdout.includes("Mail queue is empty"));
  assert.deepEqual(sink.taken.toSorted(), [...load.book.acknowledged].toSorted());
});
