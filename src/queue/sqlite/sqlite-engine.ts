import { Worker } from "node:worker_threads";
import {
  type Engine,
  EngineError,
  type Op,
  type ReadKind,
  type ReadOf,
  type ReadResultOf,
  type Result,
} from "../engine.ts";
import { type Failure, type OpenOptions, pack, type Reply, type Request } from "./protocol.ts";

/**
 * The relay's end of the queue's thread (worker.ts).
 *
 *   starting -> ready    start    all code is loaded, no file is open
 *   ready    -> open     open     after privileges are dropped
 *   open     -> closed   close
 *   open     -> broken   a sync failed, or the file is damaged: everything outstanding fails; open() begins anew
 *   any      -> dead     the thread ended or threw: the same, for good
 *
 * One batch is under way at a time; reads are numbered, and answered in between.
 */
export class SqliteEngine implements Engine {
  readonly #worker: Worker;
  /** How much has to be free on the disk before new mail is taken; 0 where that is so. As it was at the open. */
  lackingRoom_bytes = 0;
  readonly #reads = new Map<number, Settle<ReadResultOf[ReadKind]>>();
  #readNumber = 0;
  #commit: Settle<readonly Result[]> | undefined;
  /** open or close, whichever is under way. */
  #transition: Settle<number> | undefined;
  #dead: EngineError | undefined;
  #open = false;
  /** The thread has ended: it cannot be had back. */
  #gone = false;
  /** An end that was asked for breaks nothing. */
  #closed = false;
  #reportBroken: (error: EngineError) => void = () => {};
  #broken: Promise<EngineError>;

  private constructor(worker: Worker) {
    this.#worker = worker;
    this.#broken = this.#watchForBroken();
    worker.on("message", (reply: Reply) => this.#heard(reply));
    worker.on("error", (error: Error) => this.#die(`the queue's thread has failed: ${error.message}`));
    worker.on("exit", () => {
      this.#gone = true;
      this.#die("the queue's thread has ended");
    });
    // An open queue keeps a process alive only while something is asked of it.
    worker.unref();
  }

  /** Starts the thread and loads all of its code. Throws an Error where SQLite cannot be loaded or is too old. */
  static async start(): Promise<SqliteEngine> {
    const worker = new Worker(new URL("./worker.ts", import.meta.url), { name: "queue" });
    await new Promise<void>((resolve, reject) => {
      const ended = () => reject(new Error("the queue's thread ended before it was ready"));
      worker.once("message", () => {
        worker.removeListener("error", reject);
        worker.removeListener("exit", ended);
        resolve();
      });
      worker.once("error", reject);
      worker.once("exit", ended);
    });
    return new SqliteEngine(worker);
  }

  get broken(): Promise<EngineError> {
    return this.#broken;
  }

  #watchForBroken(): Promise<EngineError> {
    return new Promise((resolve) => {
      this.#reportBroken = resolve;
    });
  }

  /**
   * Opens the queue file; the largest id in it. Throws an Error that says what is wrong, with the `code` of SQLite or of a
   * SchemaError. After that, and after a failure, it may be opened again: nothing of before is left.
   */
  async open(options: OpenOptions): Promise<number> {
    if (this.#dead && !this.#gone) {
      this.#dead = undefined;
      this.#broken = this.#watchForBroken();
    }
    const largestId = await this.#change({ kind: "open", options });
    this.#open = true;
    return largestId;
  }

  commit(batch: number, ops: readonly Op[]): Promise<readonly Result[]> {
    return new Promise((resolve, reject) => {
      if (this.#dead) return reject(this.#dead);
      if (this.#commit) return reject(new EngineError("failed", "a batch is under way already"));
      this.#commit = { resolve, reject };
      const { packed, given } = pack(ops);
      this.#ask({ kind: "commit", batch, packed, given }, [packed.buffer, ...given.map(({ buffer }) => buffer)]);
    });
  }

  read<Kind extends ReadKind>(read: ReadOf<Kind>): Promise<ReadResultOf[Kind]> {
    return new Promise((resolve, reject) => {
      if (this.#dead) return reject(this.#dead);
      const number = ++this.#readNumber;
      this.#reads.set(number, { resolve: resolve as (result: ReadResultOf[ReadKind]) => void, reject });
      this.#ask({ kind: "read", read, number });
    });
  }

  /** Closes the file and ends the thread. A dead one is only ended. */
  async close(): Promise<void> {
    if (this.#open && !this.#dead) await this.#change({ kind: "close" });
    this.#dead ??= new EngineError("failed", "the queue is closed");
    this.#closed = true;
    await this.#worker.terminate();
  }

  /** Ends the thread at once, whatever it is doing, as a fault in native code would. */
  async kill(): Promise<void> {
    await this.#worker.terminate();
  }

  #change(request: Request): Promise<number> {
    return new Promise((resolve, reject) => {
      if (this.#dead) return reject(this.#dead);
      this.#transition = { resolve, reject };
      this.#ask(request);
    });
  }

  #ask(request: Request, transfer: readonly ArrayBufferLike[] = []): void {
    this.#worker.ref();
    this.#worker.postMessage(request, transfer as ArrayBuffer[]);
  }

  #heard(reply: Reply): void {
    this.#take(reply);
    if (!this.#commit && !this.#transition && this.#reads.size === 0) this.#worker.unref();
  }

  #take(reply: Reply): void {
    switch (reply.kind) {
      case "opened":
        this.lackingRoom_bytes = reply.lackingRoom_bytes;
        this.#transition?.resolve(reply.largestId);
        this.#transition = undefined;
        break;
      case "closed":
        this.#transition?.resolve(0);
        this.#transition = undefined;
        break;
      case "notOpened":
        this.#transition?.reject(Object.assign(new Error(reply.message), { code: reply.code }));
        this.#transition = undefined;
        break;
      case "committed":
        this.#commitEnded()?.resolve(reply.results);
        break;
      case "notCommitted":
        if (reply.error.kind === "failed") this.#die(reply.error.message);
        else this.#commitEnded()?.reject(engineError(reply.error));
        break;
      case "answer":
        this.#readEnded(reply.number)?.resolve(reply.result);
        break;
      case "noAnswer":
        this.#readEnded(reply.number)?.reject(engineError(reply.error));
        break;
      default:
        reply satisfies { kind: "ready" };
    }
  }

  #commitEnded(): Settle<readonly Result[]> | undefined {
    const commit = this.#commit;
    this.#commit = undefined;
    return commit;
  }

  #readEnded(number: number): Settle<ReadResultOf[ReadKind]> | undefined {
    const read = this.#reads.get(number);
    this.#reads.delete(number);
    return read;
  }

  #die(message: string): void {
    const dead = this.#dead ?? new EngineError("failed", message);
    this.#dead = dead;
    const outstanding = [this.#commit, this.#transition, ...this.#reads.values()];
    this.#commit = undefined;
    this.#transition = undefined;
    this.#reads.clear();
    // Whoever hears that the engine is broken has heard of its last batch before.
    for (const each of outstanding) each?.reject(dead);
    if (!this.#closed) this.#reportBroken(dead);
  }
}

interface Settle<T> {
  readonly resolve: (value: T) => void;
  readonly reject: (error: Error) => void;
}

const engineError = ({ kind, message, index }: Failure): EngineError => new EngineError(kind, message, index);
