/**
 * A server for tests that does as it is told: every reply of it can be replaced,
 * held back or turned into a hang-up. It keeps what it was told and what it took.
 */
import type { Connection, Listener, Net, TlsServerOptions } from "../../runtime/net.ts";

/** A reply (lines without their ends), or what to do in its place. */
export type Answer =
  | string
  | readonly string[]
  | { readonly raw: string }
  | { readonly after: string; readonly drop: true }
  | "DROP"
  /** Nothing, and nothing after that. */
  | "SILENCE";

export interface Script {
  readonly greeting?: Answer;
  readonly ehlo?: Answer;
  readonly helo?: Answer;
  /** By verb, upper case, or by whole line; a function is asked with the line and how often that verb has come. */
  readonly on?: Readonly<Record<string, Answer | ((line: string, count: number) => Answer | undefined)>>;
  /** LHLO is known in place of EHLO, and the final dot is answered for each recipient that was taken. */
  readonly lmtp?: boolean;
  /** The reply to the final dot; a function is asked with the number of the message, or with LMTP of the recipient in it. */
  readonly dot?: Answer | ((count: number) => Answer);
  readonly tls?: TlsServerOptions;
  /** TLS from the first byte. */
  readonly wrapper?: boolean;
  /** What EHLO says once TLS is there. */
  readonly ehloTls?: Answer;
  /** Hang up after so many bytes of a message. */
  readonly dropInBody?: number;
}

export interface TakenMessage {
  readonly mail: string;
  readonly rcpts: readonly string[];
  /** Dots and all, up to the final one. */
  readonly data: string;
}

export class ScriptedServer {
  readonly script: Script;
  /** Lines received, per connection. */
  readonly conversations: string[][] = [];
  readonly messages: TakenMessage[] = [];
  #listener: Listener | undefined;

  constructor(script: Script) {
    this.script = script;
  }

  get port(): number {
    return this.#listener?.bound.port ?? 0;
  }

  /** All lines of all connections. */
  get lines(): string[] {
    return this.conversations.flat();
  }

  /** `address`: numeric, or the path of a Unix socket. */
  async listen(net: Net, port = 0, address = "127.0.0.1"): Promise<this> {
    const at = address.startsWith("/") ? { path: address } : { address, port };
    this.#listener = await net.listen(at, (connection) => new Conversation(this, connection).begin());
    return this;
  }

  async close(): Promise<void> {
    for (const connection of this.connections) connection.destroy();
    await this.#listener?.close();
  }

  readonly connections = new Set<Connection>();
}

class Conversation {
  readonly #server: ScriptedServer;
  readonly #connection: Connection;
  readonly #lines: string[] = [];
  readonly #counts = new Map<string, number>();
  #text = "";
  #inBody = false;
  #secured = false;
  #mail = "";
  #rcpts: string[] = [];
  #received = 0;
  #messages = 0;
  #over = false;

  constructor(server: ScriptedServer, connection: Connection) {
    this.#server = server;
    this.#connection = connection;
    server.conversations.push(this.#lines);
    server.connections.add(connection);
  }

  begin(): void {
    const { script } = this.#server;
    this.#connection.listen({
      data: (bytes) => this.#onData(bytes),
      ended: () => this.#connection.end(),
      drained() {},
      closed: () => {
        this.#over = true;
        this.#server.connections.delete(this.#connection);
      },
    });
    if (script.wrapper && script.tls) {
      this.#secured = true;
      this.#connection.acceptTls(script.tls).then(
        () => this.#answer(script.greeting ?? "220 scripted.test ESMTP"),
        () => {},
      );
      return;
    }
    this.#answer(script.greeting ?? "220 scripted.test ESMTP");
  }

  #onData(bytes: Buffer): void {
    const { dropInBody } = this.#server.script;
    if (this.#over) return;
    if (this.#inBody && dropInBody !== undefined) {
      this.#received += bytes.length;
      if (this.#received > dropInBody) this.#drop();
    }
    this.#text += bytes.toString("latin1");
    while (!this.#over && this.#step()) {
      // One step after the other, while there is something whole to read.
    }
  }

  #step(): boolean {
    if (this.#inBody) {
      const whole = `\r\n${this.#text}`;
      const end = whole.indexOf("\r\n.\r\n");
      if (end < 0) return false;
      this.#inBody = false;
      this.#server.messages.push({ mail: this.#mail, rcpts: this.#rcpts, data: whole.slice(2, end + 2) });
      this.#text = whole.slice(end + 5);
      this.#onDot();
      return true;
    }
    const end = this.#text.indexOf("\r\n");
    if (end < 0) return false;
    const line = this.#text.slice(0, end);
    this.#text = this.#text.slice(end + 2);
    this.#lines.push(line);
    this.#onLine(line);
    return true;
  }

  #onDot(): void {
    const { dot, lmtp } = this.#server.script;
    const number = this.#messages++;
    for (const index of lmtp ? this.#rcpts.keys() : [number]) {
      const answer = typeof dot === "function" ? dot(index) : dot;
      if (!this.#over) this.#answer(answer ?? "250 2.0.0 Ok: queued as 12345");
    }
    this.#rcpts = [];
  }

  #onLine(line: string): void {
    const { script } = this.#server;
    const verb = (line.split(/[ :]/)[0] ?? "").toUpperCase();
    const count = this.#counts.get(verb) ?? 0;
    this.#counts.set(verb, count + 1);
    const scripted = script.on?.[line] ?? script.on?.[verb];
    const special = typeof scripted === "function" ? scripted(line, count) : scripted;
    if (verb === "MAIL") this.#mail = line;
    const answer = special ?? this.#usual(verb);
    if (verb === "RCPT" && typeof answer === "string" && answer.startsWith("2")) this.#rcpts.push(line);
    if (verb === "DATA" && typeof answer === "string" && answer.startsWith("3")) this.#inBody = true;
    this.#answer(answer);
    if (verb === "QUIT" && !this.#over && this.#server.script.on?.QUIT === undefined) this.#connection.end();
    if (verb === "STARTTLS" && script.tls && typeof answer === "string" && answer.startsWith("2")) {
      this.#secured = true;
      this.#text = "";
      this.#connection.acceptTls(script.tls).catch(() => {});
    }
  }

  #usual(verb: string): Answer {
    const { script } = this.#server;
    if (script.lmtp && (verb === "EHLO" || verb === "HELO")) return "500 5.5.1 LHLO it is";
    switch (verb) {
      case "LHLO":
        if (!script.lmtp) return "500 5.5.1 what";
        return script.ehlo ?? ["scripted.test", "PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES"];
      case "EHLO":
        return (
          (this.#secured ? script.ehloTls : undefined) ?? script.ehlo ?? ["scripted.test", "PIPELINING", "8BITMIME"]
        );
      case "HELO":
        return script.helo ?? "250 scripted.test";
      case "DATA":
        return this.#rcpts.length > 0 ? "354 go ahead" : "554 5.5.1 no valid recipients";
      case "MAIL":
        this.#rcpts = [];
        return "250 2.1.0 Ok";
      case "RCPT":
        return "250 2.1.5 Ok";
      case "QUIT":
        return "221 2.0.0 Bye";
      case "STARTTLS":
        return "220 2.0.0 Ready to start TLS";
      default:
        return "250 2.0.0 Ok";
    }
  }

  #answer(answer: Answer): void {
    if (answer === "SILENCE") {
      this.#over = true;
      return;
    }
    if (answer === "DROP") this.#drop();
    else if (typeof answer === "string") this.#connection.write(`${answer}\r\n`);
    else if ("raw" in answer) this.#connection.write(answer.raw);
    else if ("after" in answer) this.#connection.end(`${answer.after}\r\n`);
    else {
      const lines = answer.map((text, index) => `250${index < answer.length - 1 ? "-" : " "}${text}\r\n`);
      this.#connection.write(lines.join(""));
    }
  }

  #drop(): void {
    this.#over = true;
    this.#connection.destroy();
  }
}
