import { type MessagePort, parentPort } from "node:worker_threads";
import Sqlite from "better-sqlite3";
import type { ReadKind, ReadResultOf } from "../engine.ts";
import { type Failure, isTransferable, type OpenOptions, type Reply, type Request, unpack } from "./protocol.ts";
import { assertSqliteVersion } from "./schema.ts";
import { type ReadFailure, Transactor } from "./transactor.ts";

/**
 * The queue's thread. It loads everything at once, SQLite's native code
 * included, and says "ready"; the file is opened later, when privileges are
 * gone. Then: a batch in, its results out, one after the other.
 */
class QueueThread {
  readonly #port: MessagePort;
  #file: Transactor | undefined;
  /** After a failed sync nothing is tried on this handle any more, whatever was sent before its sender knew. */
  #failed: Failure | undefined;

  constructor(port: MessagePort) {
    this.#port = port;
    port.on("message", (request: Request) => this.#handle(request));
    loadNativeCode();
    this.#reply({ kind: "ready" });
  }

  #handle(request: Request): void {
    if (request.kind === "open") this.#reply(this.#open(request.options));
    else if (request.kind === "commit") this.#commit(request);
    else if (request.kind === "read") this.#reply(this.#read(request));
    else this.#reply(this.#close());
  }

  #open(options: OpenOptions): Reply {
    try {
      // After a failure, and a repair: a new handle on a new file.
      this.#file?.close();
      this.#file = undefined;
      this.#failed = undefined;
      this.#file = new Transactor(options);
      const file = this.#file;
      return { kind: "opened", largestId: file.largestId(), lackingRoom_bytes: file.lackingRoom_bytes() };
    } catch (error) {
      const code = error instanceof Error && "code" in error ? String(error.code) : "";
      return { kind: "notOpened", message: error instanceof Error ? error.message : String(error), code };
    }
  }

  #commit({ batch, packed, given }: Extract<Request, { kind: "commit" }>): void {
    const file = this.#file;
    const results = this.#failed ?? file?.commit(batch, unpack(packed, given), packed.length) ?? notOpen;
    if ("kind" in results) {
      if (results.kind === "failed") this.#failed = results;
      this.#reply({ kind: "notCommitted", error: results });
      return;
    }
    this.#reply({ kind: "committed", results });
    this.#failed = file?.tidy();
    if (this.#failed) this.#reply({ kind: "notCommitted", error: this.#failed });
  }

  #read({ number, read }: Extract<Request, { kind: "read" }>): Reply {
    if (!this.#file || this.#failed) return { kind: "noAnswer", number, error: this.#failed ?? notOpen };
    const result = this.#file.read(read);
    if (!isFailure(result)) return { kind: "answer", number, result };
    // What cannot be read for now may be later. Not so a damaged file: nothing more is done with it.
    if (result.damaged) {
      this.#failed = result.failure;
      this.#reply({ kind: "notCommitted", error: result.failure });
    }
    return { kind: "noAnswer", number, error: result.failure };
  }

  #close(): Reply {
    this.#file?.close();
    this.#file = undefined;
    return { kind: "closed" };
  }

  /** A chunk's memory goes along, where it is all its own. */
  #reply(reply: Reply): void {
    const chunk = reply.kind === "answer" && Buffer.isBuffer(reply.result) ? reply.result : undefined;
    const own = chunk && isTransferable(chunk) && chunk.buffer instanceof ArrayBuffer ? [chunk.buffer] : [];
    this.#port.postMessage(reply, own);
  }
}

const notOpen: Failure = { kind: "failed", message: "the queue file is not open", index: -1 };

type Answer = ReadResultOf[ReadKind];

function isFailure(result: Answer | ReadFailure): result is ReadFailure {
  return typeof result === "object" && result !== null && "failure" in result;
}

/** Throws where SQLite is too old, which ends the thread before it is ready. */
function loadNativeCode(): void {
  const db = new Sqlite(":memory:");
  assertSqliteVersion(String(db.prepare("SELECT sqlite_version()").pluck().get()));
  db.close();
}

if (parentPort) new QueueThread(parentPort);
