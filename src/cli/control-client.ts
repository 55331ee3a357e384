import type { ControlRequest } from "../relay/control.ts";
import { errorCode } from "../runtime/files.ts";
import type { Connection, Net } from "../runtime/net.ts";

/** No relay answers on this queue: there is none, or it is starting. */
export class NotRunning extends Error {}

const lineLimit_bytes = 16 * 1024 * 1024;

/** Asks the running relay; each line of its answer as it comes. Throws NotRunning, or Error with the relay's own words. */
export async function* askRelay(net: Net, socketPath: string, request: ControlRequest): AsyncGenerator<object> {
  let connection: Connection;
  try {
    connection = await net.connect({ address: socketPath, port: 0, timeout_ms: 5000 });
  } catch (error) {
    throw new NotRunning(`${socketPath}: ${errorCode(error)}`);
  }
  const lines = new LineQueue(connection);
  connection.write(Buffer.from(`${JSON.stringify(request)}\n`));
  try {
    for (;;) {
      const line = await lines.next();
      if (line === undefined) throw new Error("the relay ended before it had answered");
      const value = JSON.parse(line) as { end?: boolean; error?: string };
      if (value.end) return;
      if (value.error !== undefined) throw new Error(value.error);
      yield value;
    }
  } finally {
    connection.destroy();
  }
}

/** Lines of a connection, read no faster than they are asked for. */
class LineQueue {
  readonly #connection: Connection;
  #parts: Buffer[] = [];
  #size = 0;
  #lines: string[] = [];
  #ended = false;
  #waiting: (() => void) | undefined;

  constructor(connection: Connection) {
    this.#connection = connection;
    connection.listen({
      data: (bytes) => this.#data(bytes),
      ended: () => this.#end(),
      drained() {},
      closed: () => this.#end(),
    });
  }

  async next(): Promise<string | undefined> {
    while (this.#lines.length === 0 && !this.#ended) {
      this.#connection.resume();
      await new Promise<void>((resolve) => {
        this.#waiting = resolve;
      });
    }
    return this.#lines.shift();
  }

  #data(bytes: Buffer): void {
    this.#parts.push(bytes);
    this.#size += bytes.length;
    if (this.#size > lineLimit_bytes) return this.#connection.destroy();
    if (!bytes.includes(10)) return;
    const lines = Buffer.concat(this.#parts).toString().split("\n");
    const rest = Buffer.from(lines.pop() ?? "");
    this.#parts = [rest];
    this.#size = rest.length;
    this.#lines.push(...lines);
    this.#connection.pause();
    this.#waiting?.();
  }

  #end(): void {
    this.#ended = true;
    this.#waiting?.();
  }
}
