import { createServer, type Socket } from "node:net";

/**
 * A mail server at the far end that writes down each message that it takes, by the `Message-ID:` in its text,
 * as often as it takes it. It stands outside of what is killed, so its book is the truth.
 */
export interface ReceivingSink {
  readonly port: number;
  /** How many times each message was taken: its final dot was read, and 250 was sent. */
  readonly taken: ReadonlyMap<string, number>;
  /** How many connections there are. */
  readonly connections: number;
  close(): Promise<void>;
}

export interface SinkOptions {
  /** Asked for each message, before it is taken. A reply that is not 2xx refuses it. */
  readonly answer?: (messageId: string) => string;
}

export async function startReceivingSink({ answer = () => taken }: SinkOptions = {}): Promise<ReceivingSink> {
  const book = new Map<string, number>();
  const open = new Set<Socket>();
  const server = createServer({ noDelay: true }, (socket) => {
    open.add(socket);
    socket.on("close", () => open.delete(socket));
    socket.on("error", () => {});
    const session = new SinkSession((messageId) => {
      const reply = answer(messageId);
      if (reply.startsWith("2")) book.set(messageId, (book.get(messageId) ?? 0) + 1);
      return reply;
    });
    socket.write("220 sink.example ESMTP\r\n");
    socket.on("data", (bytes) => {
      const replies = session.take(bytes.toString("latin1"));
      if (replies !== "") socket.write(replies);
      if (session.over) socket.end();
    });
  });
  await new Promise<void>((resolve) => server.listen({ host: "127.0.0.1", port: 0, backlog: 1000 }, resolve));
  const bound = server.address();
  return {
    port: typeof bound === "object" && bound ? bound.port : 0,
    taken: book,
    get connections() {
      return open.size;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of open) socket.destroy();
      }),
  };
}

const taken = "250 2.0.0 Ok: taken";

/** A session without a socket: text in, replies out. */
class SinkSession {
  over = false;
  #text = "";
  #data = false;
  readonly #end: (messageId: string) => string;

  constructor(end: (messageId: string) => string) {
    this.#end = end;
  }

  take(text: string): string {
    this.#text += text;
    let replies = "";
    for (let reply = this.#next(); reply !== undefined; reply = this.#next()) replies += `${reply}\r\n`;
    return replies;
  }

  #next(): string | undefined {
    if (this.over) return undefined;
    return this.#data ? this.#message() : this.#command();
  }

  #message(): string | undefined {
    const end = this.#text.indexOf("\r\n.\r\n");
    if (end < 0) return undefined;
    const message = this.#text.slice(0, end + 2);
    this.#text = this.#text.slice(end + 5);
    this.#data = false;
    return this.#end(messageIdOf(message));
  }

  #command(): string | undefined {
    const end = this.#text.indexOf("\r\n");
    if (end < 0) return undefined;
    const line = this.#text.slice(0, end);
    this.#text = this.#text.slice(end + 2);
    switch (line.slice(0, 4).toUpperCase()) {
      case "EHLO":
        return "250-sink.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 ENHANCEDSTATUSCODES";
      case "DATA":
        this.#data = true;
        return "354 go on";
      case "QUIT":
        this.over = true;
        return "221 2.0.0 Bye";
      default:
        return "250 2.1.0 Ok";
    }
  }
}

/** What stands between < and > of the first Message-ID: field; "" where there is none. */
export function messageIdOf(text: string): string {
  return /^message-id:\s*<([^>]*)>/im.exec(text)?.[1] ?? "";
}
