import { copyFileSync, existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Sqlite from "better-sqlite3";
import { messageIdOf } from "./receiving-sink.ts";

/**
 * The `Message-ID:`s in a queue's file, while nothing writes to it: told from a copy, so that the next relay
 * finds the files as the crash has left them.
 */
export function messagesInQueue(queue: string): Set<string> {
  if (!existsSync(join(queue, "queue.db"))) return new Set();
  const copy = mkdtempSync(join(tmpdir(), "postern-snapshot-"));
  try {
    for (const name of ["queue.db", "queue.db-wal"]) {
      if (existsSync(join(queue, name))) copyFileSync(join(queue, name), join(copy, name));
    }
    return readIds(join(copy, "queue.db"));
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}

function readIds(path: string): Set<string> {
  const db = new Sqlite(path);
  try {
    const begun = "SELECT substr(coalesce(inline, (SELECT data FROM chunk WHERE chunk.id = message.body)), 1, 4096)";
    const bodies = db.prepare<[], Buffer | null>(`${begun} FROM message`).pluck().all();
    return new Set(bodies.map((body) => messageIdOf(body?.toString("latin1") ?? "")));
  } catch (error) {
    // Killed before the file had its tables: it holds nothing.
    if (error instanceof Error && error.message.includes("no such table")) return new Set();
    throw error;
  } finally {
    db.close();
  }
}
