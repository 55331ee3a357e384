import { Worker } from "node:worker_threads";
import { TableError } from "../table.ts";
import type { SqliteReply, SqliteRequest } from "./protocol.ts";

/** How many queries may wait for the thread. */
const waitingLimit = 1000;

/**
 * Our end of the sqlite tables' thread (worker.ts), one for all tables of a process: it is
 * started by the first that is opened, while all code can be read, and ends with the last that is closed.
 * It keeps a process alive only while something is asked of it.
 */
export class SqliteThread {
  readonly #worker: Worker;
  readonly #asked = new Map<number, (reply: SqliteReply) => void>();
  #number = 0;
  #ended: string | undefined;

  private constructor() {
    this.#worker = new Worker(new URL("./worker.ts", import.meta.url), { name: "sqlite tables" });
    this.#worker.on("message", (reply: SqliteReply) => this.#heard(reply));
    this.#worker.on("error", (error: Error) => this.#end(`the thread has failed: ${error.message}`));
    this.#worker.on("exit", () => this.#end("the thread has ended"));
    this.#worker.unref();
  }

  static #shared: SqliteThread | undefined;
  static #users = 0;

  /** The thread, to be given back. */
  static take(): SqliteThread {
    SqliteThread.#users++;
    SqliteThread.#shared ??= new SqliteThread();
    return SqliteThread.#shared;
  }

  giveBack(): void {
    SqliteThread.#users--;
    if (SqliteThread.#users > 0) return;
    SqliteThread.#shared = undefined;
    void this.#worker.terminate();
  }

  /** Opens the file. Rejects with an Error that says why not. */
  async open(path: string): Promise<void> {
    await this.#ask((number) => ({ kind: "open", number, path }));
  }

  /** The first column of each row. Rejects with a TableError "retry". */
  query(path: string, query: string): Promise<readonly (string | null)[]> {
    return this.#ask((number) => ({ kind: "query", number, path, query }));
  }

  #ask(request: (number: number) => SqliteRequest): Promise<readonly (string | null)[]> {
    return new Promise((resolve, reject) => {
      const failed = (problem: string): void => reject(new TableError("retry", `query error: ${problem}`));
      if (this.#ended !== undefined) return failed(this.#ended);
      // Whoever asked has given up on the first of them long since; the thread still works on each.
      if (this.#asked.size >= waitingLimit) return failed("too many queries wait for this database");
      const number = ++this.#number;
      this.#asked.set(number, (reply) => ("values" in reply ? resolve(reply.values) : failed(reply.problem)));
      this.#worker.ref();
      this.#worker.postMessage(request(number));
    });
  }

  #heard(reply: SqliteReply): void {
    const settle = this.#asked.get(reply.number);
    this.#asked.delete(reply.number);
    settle?.(reply);
    if (this.#asked.size === 0) this.#worker.unref();
  }

  #end(problem: string): void {
    this.#ended ??= problem;
    const waiting = [...this.#asked.keys()];
    for (const number of waiting) this.#heard({ number, problem });
  }
}
