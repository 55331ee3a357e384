import { type MessagePort, parentPort } from "node:worker_threads";
import Sqlite from "better-sqlite3";
import type { ReadKind, ReadResultOf } from "../engine.ts";
import { type Failure, isTransferable, type Reply, type Request, unpack } from "./protocol.ts";
import { assertSqliteVersion } from "./schema.ts";
import { Transactor } from "./transactor.ts";

/**
 * The queue's thread. It loads everything at once, SQLite's native code
 * included, and says "ready"; the file is opened later, when privileges are
 * gone. Then: a batch in, its results out, one after the other.
 */
function serve(port: MessagePort): void {
  let open: Transactor | undefined;
  /** After a failed sync nothing is tried on this handle any more, whatever was sent before its sender knew. */
  let failed: Failure | undefined;
  const reply = (message: Reply, transfer: ArrayBuffer[] = []): void => port.postMessage(message, transfer);

  const handle = (request: Request): void => {
    switch (request.kind) {
      case "open":
        try {
          open = new Transactor(request.options);
          return reply({ kind: "opened", largestId: open.largestId() });
        } catch (error) {
          open = undefined;
          return reply({ kind: "notOpened", message: error instanceof Error ? error.message : String(error) });
        }
      case "commit": {
        if (!open || failed) return reply({ kind: "notCommitted", error: failed ?? notOpen });
        const results = open.commit(request.batch, unpack(request.packed, request.given), request.packed.length);
        if ("kind" in results) {
          if (results.kind === "failed") failed = results;
          return reply({ kind: "notCommitted", error: results });
        }
        reply({ kind: "committed", results });
        failed = open.tidy();
        if (failed) reply({ kind: "notCommitted", error: failed });
        return;
      }
      case "read": {
        const { number, read } = request;
        if (!open || failed) return reply({ kind: "noAnswer", number, error: failed ?? notOpen });
        const result = open.read(read);
        if (isFailure(result)) return reply({ kind: "noAnswer", number, error: result.failure });
        return reply({ kind: "answer", number, result }, transferable(result));
      }
      case "close":
        open?.close();
        open = undefined;
        return reply({ kind: "closed" });
      default:
        return request satisfies never;
    }
  };

  port.on("message", handle);
  loadNativeCode();
  reply({ kind: "ready" });
}

const notOpen: Failure = { kind: "failed", message: "the queue file is not open", index: -1 };

/** A chunk's memory goes along, where it is all its own. */
function transferable(result: ReadResultOf[ReadKind]): ArrayBuffer[] {
  const own = Buffer.isBuffer(result) && isTransferable(result) && result.buffer instanceof ArrayBuffer;
  return own ? [result.buffer as ArrayBuffer] : [];
}

type Answer = ReadResultOf[ReadKind];

function isFailure(result: Answer | { readonly failure: Failure }): result is { readonly failure: Failure } {
  return typeof result === "object" && result !== null && "failure" in result;
}

/** Throws where SQLite is too old, which ends the thread before it is ready. */
function loadNativeCode(): void {
  const db = new Sqlite(":memory:");
  assertSqliteVersion(String(db.prepare("SELECT sqlite_version()").pluck().get()));
  db.close();
}

if (parentPort) serve(parentPort);
