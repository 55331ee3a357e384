import type { ControlRequest } from "../relay/control.ts";
import type { Clock } from "../runtime/clock.ts";
import { errorCode } from "../runtime/files.ts";
import type { Connection, Net } from "../runtime/net.ts";

/** No relay answers on this queue: there is none, or it is starting. */
export class NotRunning extends Error {}

const lineLimit_bytes = 16 * 1024 * 1024;
const connectTimeout_ms = 5000;

/** How long the relay may be silent: a page of a long queue is a matter of milliseconds. */
const answerTimeout_ms = 60_000;

/** Asks the running relay; each line of its answer as it comes. Throws NotRunning, or Error with the relay's own words. */
export async function* askRelay(
  { net, clock }: { readonly net: Net; readonly clock: Clock },
  socketPath: string,
  request: ControlRequest,
  patience_ms = answerTimeout_ms,
): AsyncGenerator<object> {
  let connection: Connection;
  try {
    connection = await net.connect({ address: socketPath, port: 0, timeout_ms: connectTimeout_ms });
  } catch (error) {
    throw new NotRunning(`${socketPath}: ${errorCode(error)}`);
  }
  const lines = new LineQueue(connection, clock, patience_ms);
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
  readonly #clock: Clock;
  readonly #patience_ms: number;
  /** The beginning of a line, whose end has not come yet. */
  #parts: Buffer[] = [];
  #size = 0;
  #lines: string[] = [];
  #ended = false;
  #waiting: (() => void) | undefined;

  constructor(connection: Connection, clock: Clock, patience_ms: number) {
    this.#patience_ms = patience_ms;
    this.#connection = connection;
    this.#clock = clock;
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
      const limit = this.#clock.after(this.#patience_ms, () => this.#connection.destroy());
      await new Promise<void>((resolve) => {
        this.#waiting = resolve;
      });
      limit.cancel();
    }
    return this.#lines.shift();
  }

  #data(bytes: Buffer): void {
    const newline = bytes.lastIndexOf(10);
    const begun = bytes.subarray(newline + 1);
    if (newline < 0) {
      this.#parts.push(bytes);
      this.#size += bytes.length;
      if (this.#size > lineLimit_bytes) this.#connection.destroy();
      return;
    }
    const whole = Buffer.concat([...this.#parts, bytes.subarray(0, newline)]);
    this.#parts = [begun];
    this.#size = begun.length;
    this.#lines.push(...whole.toString().split("\n"));
    this.#connection.pause();
    this.#waiting?.();
  }

  #end(): void {
    this.#ended = true;
    this.#waiting?.();
  }
}
