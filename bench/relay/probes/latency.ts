/** From the end of data to its receipt at the next server, one message at a time. */
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { median } from "../figures.ts";
import type { Probe, Subject } from "../probe.ts";
import { benchPostern, benchPostfix, type System } from "../systems.ts";

const messages = 200;
/** Between two messages, so that what the last one has left to do is done. */
const between_ms = 20;
const body = `Subject: latency\r\n\r\n${"A line of the message, which is 4 KiB long in all.\r\n".repeat(78)}`;

export const latency: Probe = {
  name: "latency",
  what: `from the end of data to its receipt at the next server, ${messages} messages of 4 KiB one after the other`,
  async open({ node }) {
    const sink = await startClockedSink();
    const systems: System[] = [];
    const close = async (): Promise<void> => {
      for (const system of systems) await system.stop();
      sink.stop();
    };
    try {
      systems.push(await benchPostern("Postern", { relayTo: sink.port, node }));
      systems.push(await benchPostfix("Postfix", { relayTo: sink.port }));
    } catch (error) {
      await close();
      throw error;
    }
    const subjects = systems.map(
      ({ name, port }): Subject => ({ name, measure: async () => figures(await measure(port, sink)) }),
    );
    // Everything warm, and every process there.
    for (const subject of subjects) await subject.measure();
    return { subjects, close };
  },
};

function figures(delays_ms: readonly number[]) {
  const sorted = delays_ms.toSorted((one, other) => one - other);
  return { "p50 ms": median(sorted), "p95 ms": sorted[Math.floor(sorted.length * 0.95)] ?? Number.NaN };
}

async function measure(port: number, sink: ClockedSink): Promise<number[]> {
  const socket = connect(port, "127.0.0.1").setNoDelay(true);
  const replies = new Replies(socket);
  await replies.next("220");
  const say = async (line: string, code: string): Promise<void> => {
    socket.write(`${line}\r\n`);
    await replies.next(code);
  };
  await say("HELO bench.example.org", "250");
  const delays_ms: number[] = [];
  for (let count = 0; count < messages; count++) {
    await say("MAIL FROM:<sender@example.org>", "250");
    await say("RCPT TO:<recipient@example.com>", "250");
    await say("DATA", "354");
    const received = sink.next();
    const ended_ms = performance.now();
    await say(`${body}.`, "250");
    delays_ms.push((await received) - ended_ms);
    await pause(between_ms);
  }
  await say("QUIT", "221");
  socket.destroy();
  return delays_ms;
}

/** The server's replies, of one line each. */
class Replies {
  readonly #lines: AsyncIterator<string>;

  constructor(socket: Socket) {
    this.#lines = lines(socket);
  }

  async next(code: string): Promise<void> {
    const { value } = await this.#lines.next();
    if (!value?.startsWith(code)) throw new Error(`wanted ${code}, and the reply was ${value ?? "nothing"}`);
  }
}

async function* lines(socket: Socket): AsyncGenerator<string> {
  let rest = "";
  for await (const piece of socket.setEncoding("latin1")) {
    rest += piece;
    for (let end = rest.indexOf("\r\n"); end >= 0; end = rest.indexOf("\r\n")) {
      yield rest.slice(0, end);
      rest = rest.slice(end + 2);
    }
  }
}

interface ClockedSink {
  readonly port: number;
  /** When the next message has been received, to its last byte. */
  next(): Promise<number>;
  stop(): void;
}

async function startClockedSink(): Promise<ClockedSink> {
  const sockets = new Set<Socket>();
  let resolve = (_now_ms: number): void => {};
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket.on("error", () => {}).on("close", () => sockets.delete(socket)));
    let rest = "";
    let inText = false;
    socket.write("220 sink ESMTP\r\n");
    socket.setEncoding("latin1").on("data", (piece: string) => {
      rest += piece;
      for (;;) {
        const ending = inText ? "\r\n.\r\n" : "\r\n";
        const end = rest.indexOf(ending);
        if (end < 0) return;
        if (inText) resolve(performance.now());
        const verb = inText ? "" : rest.slice(0, 4).toUpperCase();
        inText = verb === "DATA";
        rest = rest.slice(end + ending.length);
        if (verb === "QUIT") socket.end("221 Bye\r\n");
        else socket.write(inText ? "354 Go on\r\n" : verb === "EHLO" ? "250-sink\r\n250 PIPELINING\r\n" : "250 Ok\r\n");
      }
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const bound = server.address();
  return {
    port: typeof bound === "object" && bound ? bound.port : 0,
    next: () => new Promise((received) => (resolve = received)),
    stop() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
