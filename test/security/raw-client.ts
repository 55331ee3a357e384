import { connect, type Socket } from "node:net";

/**
 * An SMTP client that says exactly the bytes it is told to, in the pieces it is told to, and that
 * shares no code with the product.
 */
export interface RawClient {
  /** Everything that the server has said. */
  readonly said: string;
  /** The server has hung up. */
  readonly over: boolean;
  write(bytes: string | Buffer): void;
  /** Each piece in a packet of its own, as far as the system lets us say so. */
  pieces(...all: readonly (string | Buffer)[]): Promise<void>;
  /** The next whole reply, of several lines or one; "" where the server hangs up instead. */
  reply(): Promise<string>;
  /** One command, and its reply. */
  say(line: string): Promise<string>;
  /** EHLO, MAIL, RCPT and DATA; rejects unless the server then wants the text. */
  upToData(recipient: string, more?: { readonly sender?: string; readonly mail?: string }): Promise<void>;
  end(): void;
}

const replyLimit_ms = 20_000;
const packet_ms = 2;

/** Greeted by the server at `port` of this machine; `from` is the address that it sees. */
export async function rawClient(port: number, from = "127.0.0.1"): Promise<RawClient> {
  const socket = await new Promise<Socket>((resolve, reject) => {
    const made = connect({ host: "127.0.0.1", port, localAddress: from, noDelay: true });
    made.once("connect", () => resolve(made));
    made.once("error", reject);
  });
  const client = new Client(socket);
  await client.reply();
  return client;
}

class Client implements RawClient {
  said = "";
  over = false;
  readonly #socket: Socket;
  #read = 0;
  #changed: () => void = () => {};

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", (bytes: Buffer) => {
      this.said += bytes.toString("latin1");
      this.#changed();
    });
    socket.on("error", () => {});
    socket.on("close", () => {
      this.over = true;
      this.#changed();
    });
  }

  write(bytes: string | Buffer): void {
    this.#socket.write(typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes);
  }

  async pieces(...all: readonly (string | Buffer)[]): Promise<void> {
    for (const piece of all) {
      if (piece.length === 0) continue;
      this.write(piece);
      await new Promise((resolve) => setTimeout(resolve, packet_ms));
    }
  }

  async reply(): Promise<string> {
    const late = setTimeout(() => this.#socket.destroy(), replyLimit_ms);
    for (;;) {
      const [found] = /^(?:\d{3}-.*\r\n)*\d{3}(?: .*)?\r\n/.exec(this.said.slice(this.#read)) ?? [];
      if (found !== undefined || this.over) {
        clearTimeout(late);
        this.#read += found?.length ?? 0;
        return found?.trimEnd() ?? "";
      }
      await new Promise<void>((resolve) => {
        this.#changed = resolve;
      });
    }
  }

  say(line: string): Promise<string> {
    this.write(`${line}\r\n`);
    return this.reply();
  }

  async upToData(recipient: string, { sender = "me@client.example", mail = "" } = {}): Promise<void> {
    const commands = ["EHLO client.example", `MAIL FROM:<${sender}>${mail}`, `RCPT TO:<${recipient}>`, "DATA"];
    for (const command of commands) {
      const answer = await this.say(command);
      if (!/^[23]/.test(answer)) throw new Error(`${command}: ${answer}`);
    }
  }

  end(): void {
    this.#socket.destroy();
  }
}
