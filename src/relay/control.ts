import type { QueueEntry } from "../queue/store.ts";
import type { Clock, Timer } from "../runtime/clock.ts";
import type { Connection, Listener, Net } from "../runtime/net.ts";
import type { FollowedLine } from "./follow.ts";
import { type ChangeRequest, changeRequest } from "./operate.ts";

/**
 * What commands ask a running relay, over a Unix socket: one line of JSON in, lines of JSON out, the last
 * one `{"end":true}` or `{"error":"…"}`. There are two. The one that every local user may open tells what
 * `mailq` tells anybody and starts deliveries early; it changes nothing else. The one that only root and the
 * relay's user may open (its ports have `operator`) changes the queue, too.
 *
 * Any user may connect, so nobody is waited for: a client that does not ask, or does not read, is cut
 * off, and closing cuts off all.
 */
export type ControlRequest =
  | { readonly command: "list" }
  | ({ readonly command: "flush" } & FlushRequest)
  | { readonly command: "status" }
  /** What is logged of the message with that Message-ID, from the first answer (`waiting`) on, until it has left. */
  | { readonly command: "follow"; readonly messageId: string }
  | ({ readonly command: "change" } & ChangeRequest)
  /** A line for the mail log, from the command with that process id. */
  | { readonly command: "note"; readonly pid: number; readonly text: string };

/** Nothing of these: all mail. A site is a domain of recipients, a destination one as messages wait for it: "smtp:[mail.example]:587". */
export interface FlushRequest {
  readonly id?: string;
  readonly site?: string;
  readonly destination?: string;
}

export interface ControlPorts {
  list(after: string | undefined, limit: number): Promise<QueueEntry[]>;
  /** The number of messages that are now due. */
  flush(which: FlushRequest): Promise<number>;
  status(): Promise<object>;
  follow(messageId: string): AsyncIterable<FollowedLine | { readonly waiting: true }>;
  readonly operator?: OperatorPorts;
}

export interface OperatorPorts {
  /** Page after page; ends early when nobody goes on reading. */
  change(request: ChangeRequest): AsyncIterable<{ readonly changed: readonly string[] } | { readonly count: number }>;
  note(pid: number, text: string): void;
}

const requestLimit_bytes = 4096;
const pageSize = 200;
const connectionLimit = 50;

/** How long a client may take to ask, to read on, or to end. */
const clientTimeout_ms = 10_000;

export async function startControl(
  { net, clock }: { readonly net: Net; readonly clock: Clock },
  path: string,
  ports: ControlPorts,
): Promise<Listener> {
  const open = new Set<ControlClient>();
  const listener = await net.listen({ path }, (connection) => {
    const client = new ControlClient(connection, clock, ports, () => open.delete(client));
    open.add(client);
    if (open.size > connectionLimit) client.refuse("too many commands at once: try again");
  });
  return {
    bound: listener.bound,
    close() {
      const closed = listener.close();
      for (const client of open) client.destroy();
      return closed;
    },
  };
}

class ControlClient {
  readonly #connection: Connection;
  readonly #ports: ControlPorts;
  readonly #clock: Clock;
  #deadline: Timer | undefined;
  #request = "";
  #state: "asking" | "answering" | "gone" = "asking";
  #drained: (() => void) | undefined;

  constructor(connection: Connection, clock: Clock, ports: ControlPorts, closed: () => void) {
    this.#connection = connection;
    this.#ports = ports;
    this.#clock = clock;
    this.#waitForClient();
    connection.listen({
      data: (bytes) => this.#data(bytes),
      ended: () => {
        if (this.#state === "asking") connection.end();
      },
      drained: () => this.#goOn(),
      closed: () => {
        this.#state = "gone";
        this.#goOn();
        closed();
      },
    });
  }

  refuse(text: string): void {
    this.#state = "answering";
    this.#connection.end(line({ error: text }));
  }

  destroy(): void {
    this.#connection.destroy();
  }

  #data(bytes: Buffer): void {
    if (this.#state !== "asking") return;
    this.#request += bytes.toString("latin1");
    const end = this.#request.indexOf("\n");
    if (end > requestLimit_bytes || (end < 0 && this.#request.length > requestLimit_bytes)) {
      return this.refuse(`a request has at most ${requestLimit_bytes} bytes`);
    }
    if (end < 0) return;
    this.#state = "answering";
    // What the answer takes is the queue's business; only the client is timed.
    this.#deadline?.cancel();
    void this.#answer(Buffer.from(this.#request.slice(0, end), "latin1").toString()).then((last) => {
      if (this.#state === "gone") return;
      this.#waitForClient();
      this.#connection.end(line(last));
    });
  }

  /** Resolves to the last line. */
  async #answer(text: string): Promise<object> {
    try {
      const request: unknown = JSON.parse(text);
      if (typeof request !== "object" || request === null) throw new Error("no such command");
      await this.#carryOut(request);
      return { end: true };
    } catch (error) {
      return { error: error instanceof Error ? error.message : String(error) };
    }
  }

  async #carryOut(
    request: Partial<Record<"command" | "id" | "site" | "destination" | "pid" | "text" | "messageId", unknown>>,
  ): Promise<void> {
    const { command, id, site, destination } = request;
    switch (command) {
      case "list":
        return this.#list();
      case "flush": {
        const which = {
          ...(typeof id === "string" ? { id } : {}),
          ...(typeof site === "string" ? { site } : {}),
          ...(typeof destination === "string" ? { destination } : {}),
        };
        return this.#write({ flushed: await this.#ports.flush(which) });
      }
      case "status":
        return this.#write(await this.#ports.status());
      case "follow":
        return this.#follow(followable(request.messageId));
      case "change":
        return this.#change(changeRequest(request));
      case "note":
        return this.#operator().note(Number(request.pid), String(request.text));
      default:
        throw new Error("no such command");
    }
  }

  async #list(): Promise<void> {
    let after: string | undefined;
    do {
      const page = await this.#ports.list(after, pageSize);
      await this.#write(...page);
      after = page.at(-1)?.envelope.id;
    } while (after !== undefined && this.#state !== "gone");
  }

  async #follow(messageId: string): Promise<void> {
    for await (const value of this.#ports.follow(messageId)) {
      await this.#write(value);
      if (this.#state === "gone") return;
    }
  }

  /** A command that is interrupted stops what it asked for, at the end of a page. */
  async #change(request: ChangeRequest): Promise<void> {
    for await (const page of this.#operator().change(request)) {
      await this.#write(page);
      if (this.#state === "gone") return;
    }
  }

  #operator(): OperatorPorts {
    const { operator } = this.#ports;
    if (!operator) throw new Error("this socket changes nothing");
    return operator;
  }

  /** Resolves when more may be written. */
  async #write(...values: readonly object[]): Promise<void> {
    if (this.#state === "gone" || values.length === 0) return;
    if (this.#connection.write(Buffer.from(values.map(line).join("")))) return;
    this.#waitForClient();
    await new Promise<void>((resolve) => {
      this.#drained = resolve;
    });
  }

  #waitForClient(): void {
    this.#deadline?.cancel();
    this.#deadline = this.#clock.after(clientTimeout_ms, () => this.#connection.destroy(), { idle: true });
  }

  #goOn(): void {
    this.#deadline?.cancel();
    this.#drained?.();
    this.#drained = undefined;
  }
}

const line = (value: object): string => `${JSON.stringify(value)}\n`;

/**
 * What a message that may be followed is called: its Message-ID holds 96 random bits, so that only who sent it knows it. This socket is
 * open to everybody, and the log of other people's mail is not.
 */
const tried = /^<try\.[0-9a-f]{24}@[^<>\s]{1,255}>$/;

function followable(messageId: unknown): string {
  if (typeof messageId === "string" && tried.test(messageId)) return messageId;
  throw new Error("only messages of postern try can be followed");
}
