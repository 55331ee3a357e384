import type { Connection } from "../runtime/net.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { TableError } from "./table.ts";

/**
 * A table's server, asked one question at a time over one connection that is
 * opened when it is needed, kept for a while, and opened once more where it
 * had gone away meanwhile. Connecting and each answer have a time limit. What
 * does not come is a TableError "retry": nothing is known then.
 */
export type Network = Pick<Runtime, "net" | "names" | "clock">;

/** As long as Postfix waits for tcp and socketmap servers. */
const usualLimit_ms = 100_000;
const idle_ms = 10_000;

export interface ServerAddress {
  /** A host's name or address, or a path. */
  readonly host: string;
  /** 0 for a path. */
  readonly port: number;
}

/** `inet:host:port`, `inet:[address]:port` or `unix:/path`; undefined where it is none of these. */
export function serverAddress(text: string): ServerAddress | undefined {
  const [, path] = /^unix:(\/.*)$/.exec(text) ?? [];
  if (path) return { host: path, port: 0 };
  const [, bracketed, plain, port = ""] = /^inet:(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text) ?? [];
  const host = bracketed ?? plain;
  return host && Number(port) > 0 && Number(port) <= 65535 ? { host, port: Number(port) } : undefined;
}

/** Takes the first answer off the bytes that have come; undefined where it is not complete. Throws Error where it never will be. */
export type Framing = (bytes: Buffer) => { readonly answer: Buffer; readonly length: number } | undefined;

export class ServerClient {
  readonly #network: Network;
  readonly #address: ServerAddress;
  readonly #framing: Framing;
  readonly #limit_ms: number;
  #open: OpenConnection | undefined;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(network: Network, address: ServerAddress, framing: Framing, limit_ms: number = usualLimit_ms) {
    this.#network = network;
    this.#address = address;
    this.#framing = framing;
    this.#limit_ms = limit_ms;
  }

  /** The server's answer. Rejects with a TableError. */
  ask(question: Buffer): Promise<Buffer> {
    const answer = this.#turn.then(() => this.#ask(question));
    this.#turn = answer.catch(() => {});
    return answer;
  }

  close(): void {
    this.#open?.destroy();
    this.#open = undefined;
  }

  async #ask(question: Buffer): Promise<Buffer> {
    const kept = this.#open?.usable ? this.#open : undefined;
    try {
      if (kept) {
        try {
          return await kept.ask(question);
        } catch (error) {
          if (!(error instanceof Gone)) throw error;
        }
      }
      this.#open = new OpenConnection(
        await connectTo(this.#network, this.#address, this.#limit_ms),
        this.#network,
        this.#framing,
        this.#limit_ms,
      );
      return await this.#open.ask(question);
    } catch (error) {
      this.close();
      throw new TableError("retry", `query error: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
}

/** Connects to the first of a host's addresses that can be. Rejects with an Error. */
export async function connectTo(
  { net, names }: Network,
  { host, port }: ServerAddress,
  limit_ms: number,
): Promise<Connection> {
  const isNumeric = port === 0 || /^[\d.]+$/.test(host) || host.includes(":");
  const addresses = isNumeric ? [host] : (await names.native(host)).map(({ address }) => address);
  let failure: unknown = new Error(`${host}: no address`);
  for (const address of addresses) {
    try {
      return await net.connect({ address, port, timeout_ms: limit_ms });
    } catch (error) {
      failure = error;
    }
  }
  throw failure;
}

/** The server went away without an answer. */
class Gone extends Error {}

class OpenConnection {
  readonly #connection: Connection;
  readonly #network: Network;
  readonly #framing: Framing;
  readonly #limit_ms: number;
  #received = Buffer.alloc(0);
  #settle: ((answer: Buffer | Error) => void) | undefined;
  usable = true;

  constructor(connection: Connection, network: Network, framing: Framing, limit_ms: number) {
    this.#connection = connection;
    this.#network = network;
    this.#framing = framing;
    this.#limit_ms = limit_ms;
    connection.listen({
      data: (bytes) => this.#data(bytes),
      ended: () => this.destroy(),
      drained: () => {},
      closed: () => this.#lost(new Gone("the server closed the connection")),
    });
  }

  ask(question: Buffer): Promise<Buffer> {
    const { clock } = this.#network;
    const limit_ms = this.#limit_ms;
    return new Promise((resolve, reject) => {
      const timer = clock.after(limit_ms, () => this.#fail(new Error(`no answer in ${limit_ms / 1000} seconds`)));
      this.#settle = (answer) => {
        this.#settle = undefined;
        timer.cancel();
        if (answer instanceof Error) return reject(answer);
        this.#rest();
        resolve(answer);
      };
      this.#connection.write(question);
    });
  }

  destroy(): void {
    this.#lost(new Gone("the server closed the connection"));
    this.#connection.destroy();
  }

  #data(bytes: Buffer): void {
    this.#received = Buffer.concat([this.#received, bytes]);
    if (!this.#settle) return this.destroy();
    try {
      const framed = this.#framing(this.#received);
      if (!framed) return;
      this.#received = this.#received.subarray(framed.length);
      this.#settle(framed.answer);
    } catch (error) {
      this.#fail(error instanceof Error ? error : new Error(String(error)));
    }
  }

  /** Kept open for the next question, for a while. */
  #rest(): void {
    this.#idle?.cancel();
    this.#idle = this.#network.clock.after(idle_ms, () => this.#settle ?? this.destroy(), { idle: true });
  }

  #idle: { cancel(): void } | undefined;

  #fail(error: Error): void {
    this.#lost(error);
    this.#connection.destroy();
  }

  #lost(error: Error): void {
    this.usable = false;
    this.#idle?.cancel();
    this.#settle?.(error);
  }
}
