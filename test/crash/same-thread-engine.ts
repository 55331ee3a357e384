import type { Engine, Op, ReadKind, ReadOf, ReadResultOf, Result } from "../../src/queue/engine.ts";
import { EngineError } from "../../src/queue/engine.ts";
import type { OpenOptions } from "../../src/queue/sqlite/protocol.ts";
import { Transactor } from "../../src/queue/sqlite/transactor.ts";

/** The queue file as the queue's thread has it, without the thread: where it is opened a thousand times, and nobody else waits. */
export class SameThreadEngine implements Engine {
  #file: Transactor | undefined;

  async open(options: OpenOptions): Promise<number> {
    this.#file = new Transactor(options);
    return this.#file.largestId();
  }

  async commit(batch: number, ops: readonly Op[]): Promise<readonly Result[]> {
    const results = this.#opened.commit(batch, ops, 0);
    if ("kind" in results) throw new EngineError(results.kind, results.message, results.index);
    return results;
  }

  async read<Kind extends ReadKind>(read: ReadOf<Kind>): Promise<ReadResultOf[Kind]> {
    const result = this.#opened.read(read as ReadOf<ReadKind>);
    if (typeof result === "object" && result !== null && "failure" in result) {
      throw new EngineError(result.failure.kind, result.failure.message);
    }
    return result as ReadResultOf[Kind];
  }

  async close(): Promise<void> {
    this.#file?.close();
    this.#file = undefined;
  }

  get #opened(): Transactor {
    if (!this.#file) throw new EngineError("failed", "the queue file is not open");
    return this.#file;
  }
}
