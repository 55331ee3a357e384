import { createServer, type Server, type Socket } from "node:net";
import { TLSSocket } from "node:tls";

/**
 * A mail server that records every byte, and at chosen moments does what no server should. It shares no
 * code with the product: a message ends where RFC 5321 says that it ends, and nowhere else.
 */
export interface HostileOptions {
  /** Lines of the EHLO reply behind the name; PIPELINING and 8BITMIME unless given. `secured` once there is TLS. */
  readonly ehlo?: (secured: boolean) => readonly string[];
  /** For STARTTLS. */
  readonly certificate?: { readonly key: string; readonly certificate: string };
  /** Asked for each line (the text of a message excluded), "CONNECT" and "DOT": bytes in place of the ordinary reply; "silent" for none. */
  readonly on?: (moment: Moment) => string | "silent" | undefined;
}

export interface Moment {
  /** The first word in upper case. */
  readonly verb: string;
  readonly line: string;
  readonly secured: boolean;
  /** How often this verb has come on this connection, from 1. */
  readonly count: number;
  readonly socket: Socket;
}

export interface HostileServer {
  readonly port: number;
  /** Of every connection: what the client sent, in clear or decrypted, up to now. */
  readonly sent: readonly Buffer[];
  /** What was sent before TLS, or without it. */
  readonly sentInClear: readonly Buffer[];
  readonly messages: readonly HostileMessage[];
  close(): Promise<void>;
}

export interface HostileMessage {
  readonly mail: string;
  readonly rcpts: readonly string[];
  /** With dots as they were sent, up to and with the last line end before the final dot. */
  readonly data: Buffer;
}

const endOfData = Buffer.from("\r\n.\r\n");

export async function hostileServer(options: HostileOptions = {}): Promise<HostileServer> {
  const connections: Recording[] = [];
  const messages: HostileMessage[] = [];
  const server: Server = createServer({ noDelay: true }, (socket) => {
    const recording = new Recording(socket, options, messages);
    connections.push(recording);
    recording.begin();
  });
  await new Promise<void>((resolve) => server.listen({ host: "127.0.0.1", port: 0, backlog: 1024 }, resolve));
  const bound = server.address();
  return {
    port: typeof bound === "object" && bound ? bound.port : 0,
    messages,
    get sent() {
      return connections.map(({ all }) => Buffer.concat(all));
    },
    get sentInClear() {
      return connections.map(({ clear }) => Buffer.concat(clear));
    },
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const { socket } of connections) socket.destroy();
      await closed;
    },
  };
}

class Recording {
  readonly all: Buffer[] = [];
  readonly clear: Buffer[] = [];
  socket: Socket;
  readonly #options: HostileOptions;
  readonly #messages: HostileMessage[];
  readonly #counts = new Map<string, number>();
  #secured = false;
  #unread: Buffer = Buffer.alloc(0);
  #text: Buffer[] | undefined;
  #mail = "";
  #rcpts: string[] = [];

  constructor(socket: Socket, options: HostileOptions, messages: HostileMessage[]) {
    this.socket = socket;
    this.#options = options;
    this.#messages = messages;
  }

  begin(): void {
    this.#listen();
    this.#answer("CONNECT", "CONNECT", "220 hostile.example ESMTP\r\n");
  }

  #listen(): void {
    this.socket.on("error", () => {});
    this.socket.on("data", (bytes: Buffer) => {
      this.all.push(bytes);
      if (!this.#secured) this.clear.push(bytes);
      this.#unread = this.#unread.length === 0 ? bytes : Buffer.concat([this.#unread, bytes]);
      while (this.#text ? this.#message(this.#text) : this.#line());
    });
  }

  #line(): boolean {
    const end = this.#unread.indexOf("\r\n");
    if (end < 0) return false;
    const line = this.#unread.toString("latin1", 0, end);
    this.#unread = this.#unread.subarray(end + 2);
    const verb = (line.split(/[ :]/)[0] ?? "").toUpperCase();
    if (verb === "MAIL") [this.#mail, this.#rcpts] = [line, []];
    if (verb === "RCPT") this.#rcpts.push(line);
    const said = this.#answer(verb, line, this.#usual(verb));
    if (verb === "DATA" && said?.startsWith("354")) this.#text = [Buffer.from("\r\n")];
    if (verb === "STARTTLS" && said === ready) this.#secure();
    if (verb === "QUIT") this.socket.end();
    return true;
  }

  #usual(verb: string): string {
    if (verb === "EHLO") {
      const words = ["hostile.example", ...(this.#options.ehlo?.(this.#secured) ?? ["PIPELINING", "8BITMIME"])];
      return words.map((word, index) => `250${index < words.length - 1 ? "-" : " "}${word}\r\n`).join("");
    }
    if (verb === "DATA") return "354 go ahead\r\n";
    if (verb === "STARTTLS") return ready;
    if (verb === "QUIT") return "221 2.0.0 Bye\r\n";
    return "250 2.0.0 Ok\r\n";
  }

  /** The text up to here, kept in pieces: only the last few bytes are looked at twice. */
  #message(text: Buffer[]): boolean {
    const last = text.pop() ?? Buffer.alloc(0);
    const joined = Buffer.concat([last, this.#unread]);
    const end = joined.indexOf(endOfData);
    if (end < 0) {
      const certain = Math.max(0, joined.length - endOfData.length);
      text.push(joined.subarray(0, certain), joined.subarray(certain));
      this.#unread = Buffer.alloc(0);
      return false;
    }
    const data = Buffer.concat([...text, joined.subarray(0, end + 2)]).subarray(2);
    this.#unread = joined.subarray(end + endOfData.length);
    this.#text = undefined;
    this.#messages.push({ mail: this.#mail, rcpts: this.#rcpts, data });
    this.#answer("DOT", ".", "250 2.0.0 Ok: taken\r\n");
    return true;
  }

  #answer(verb: string, line: string, usual: string): string | undefined {
    const count = (this.#counts.get(verb) ?? 0) + 1;
    this.#counts.set(verb, count);
    const moment = { verb, line, secured: this.#secured, count, socket: this.socket };
    const said = this.#options.on?.(moment) ?? usual;
    if (said === "silent") return undefined;
    this.socket.write(Buffer.from(said, "latin1"));
    return said;
  }

  #secure(): void {
    const { certificate: own } = this.#options;
    if (!own) return;
    const plain = this.socket;
    plain.removeAllListeners("data");
    this.#secured = true;
    this.#unread = Buffer.alloc(0);
    this.socket = new TLSSocket(plain, { isServer: true, key: own.key, cert: own.certificate });
    this.#listen();
  }
}

const ready = "220 2.0.0 Ready to start TLS\r\n";
