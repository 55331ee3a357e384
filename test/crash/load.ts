import { connect, type Socket } from "node:net";
import type { Rng } from "./rng.ts";

/**
 * Clients that hand over messages as fast as they can, and write down what they were told of each. Every message has an id of its
 * own, and is tried once: what becomes of it says what may be done with it.
 */
export interface LoadBook {
  /** 250: it has to arrive. */
  readonly acknowledged: Set<string>;
  /** 4xx or 5xx after the text: it must not arrive. */
  readonly refused: Set<string>;
  /** The connection was lost between the final dot and the reply: it may arrive. */
  readonly cut: Set<string>;
  /** The final dot was never sent: it must not arrive. */
  readonly unfinished: Set<string>;
  /** What the refusals said. */
  readonly refusals: Map<string, number>;
}

export interface Load {
  readonly book: LoadBook;
  /** Ends the sessions when each has had its reply. */
  stop(): Promise<void>;
}

export interface LoadOptions {
  readonly port: number;
  readonly sessions: number;
  readonly rng: Rng;
  /** Goes into every message's id: two loads of one test need two. */
  readonly name?: string;
}

export function startLoad({ port, sessions, rng, name = "load" }: LoadOptions): Load {
  const book: LoadBook = {
    acknowledged: new Set(),
    refused: new Set(),
    cut: new Set(),
    unfinished: new Set(),
    refusals: new Map(),
  };
  const clients = Array.from({ length: sessions }, (_, number) => new LoadClient(port, `${name}-${number}`, book, rng));
  const ended = clients.map((client) => client.run());
  return {
    book,
    async stop() {
      for (const client of clients) client.stopping = true;
      await Promise.all(ended);
    },
  };
}

/** After a connection that could not be made or was lost. */
const pause_ms = 20;
/** With a server that has gone away, nobody waits for a greeting longer than this. */
const patience_ms = 20_000;

class LoadClient {
  stopping = false;
  readonly #port: number;
  readonly #name: string;
  readonly #book: LoadBook;
  readonly #rng: Rng;
  #count = 0;

  constructor(port: number, name: string, book: LoadBook, rng: Rng) {
    this.#port = port;
    this.#name = name;
    this.#book = book;
    this.#rng = rng;
  }

  async run(): Promise<void> {
    while (!this.stopping) {
      const wire = await Wire.open(this.#port);
      if (wire) await this.#session(wire);
      if (!this.stopping) await new Promise((resolve) => setTimeout(resolve, pause_ms));
    }
  }

  async #session(wire: Wire): Promise<void> {
    const welcome = (await wire.reply()).startsWith("220") && (await wire.ask("EHLO client.example")).startsWith("250");
    while (welcome && !this.stopping && !wire.lost) await this.#message(wire);
    wire.close();
  }

  async #message(wire: Wire): Promise<void> {
    const id = `${this.#name}-${++this.#count}@client.example`;
    const started = [
      await wire.ask("MAIL FROM:<from@client.example>\r\nRCPT TO:<to@example.com>\r\nDATA"),
      await wire.reply(),
      await wire.reply(),
    ];
    if (!started[2]?.startsWith("354")) {
      this.#book.unfinished.add(id);
      if (wire.lost) return;
      this.#refused(started.find((reply) => /^[45]/.test(reply)) ?? "");
      await wire.ask("RSET");
      await new Promise((resolve) => setTimeout(resolve, pause_ms));
      return;
    }
    const reply = await wire.ask(text(id, this.#size()));
    if (reply.startsWith("250")) this.#book.acknowledged.add(id);
    else if (reply === "") this.#book.cut.add(id);
    else {
      this.#book.refused.add(id);
      this.#refused(reply);
    }
  }

  #refused(reply: string): void {
    const said = reply.slice(0, 60);
    this.#book.refusals.set(said, (this.#book.refusals.get(said) ?? 0) + 1);
  }

  /** Mostly small ones, some that are kept in several chunks. */
  #size(): number {
    const kind = this.#rng();
    if (kind < 0.9) return 200 + Math.floor(this.#rng() * 6000);
    return kind < 0.99 ? 20_000 : 300_000;
  }
}

/** A message from its header to the final dot, without the line end that ask() adds. */
function text(id: string, size_bytes: number): string {
  const header = `From: from@client.example\r\nTo: to@example.com\r\nMessage-ID: <${id}>\r\nSubject: load\r\n\r\n`;
  const line = `${"0123456789".repeat(7)}\r\n`;
  return `${header}${line.repeat(Math.ceil(size_bytes / line.length))}.`;
}

/** A connection by reply; "" once it is lost. */
class Wire {
  lost = false;
  readonly #socket: Socket;
  #input = "";
  #waiting: ((reply: string) => void) | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setTimeout(patience_ms, () => socket.destroy());
    socket.on("data", (bytes) => {
      this.#input += bytes.toString("latin1");
      this.#next();
    });
    socket.on("error", () => {});
    socket.on("end", () => socket.destroy());
    socket.on("close", () => {
      this.lost = true;
      this.#next();
    });
  }

  static open(port: number): Promise<Wire | undefined> {
    return new Promise((resolve) => {
      const socket = connect({ host: "127.0.0.1", port, noDelay: true });
      socket.once("connect", () => resolve(new Wire(socket)));
      socket.once("error", () => resolve(undefined));
    });
  }

  ask(command: string): Promise<string> {
    if (!this.lost) this.#socket.write(`${command}\r\n`);
    return this.reply();
  }

  reply(): Promise<string> {
    return new Promise((resolve) => {
      this.#waiting = resolve;
      this.#next();
    });
  }

  close(): void {
    this.#socket.end("QUIT\r\n");
  }

  #next(): void {
    const waiting = this.#waiting;
    if (!waiting) return;
    const [whole] = /^(?:\d{3}-[^\n]*\n)*\d{3}[^-\n][^\n]*\n/.exec(this.#input) ?? [];
    if (whole === undefined && !this.lost) return;
    this.#waiting = undefined;
    this.#input = this.#input.slice(whole?.length ?? 0);
    waiting(whole ?? "");
  }
}
