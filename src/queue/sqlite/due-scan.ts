import type { Database, Statement } from "better-sqlite3";
import type { DuePosition } from "../engine.ts";

/**
 * Finds what is due, oldest first, but for excluded destinations. A million
 * messages for a suspended one would have to be stepped over each time; so a
 * scan goes on where the one before it ended, as long as what lies behind
 * cannot have become eligible: nothing was excluded then that is not excluded
 * now, and nothing changed there. And it is bounded: `more` asks for another
 * call, between which other work is done.
 */
export class DueScan {
  readonly #after: Statement<[number, number, number, number], [due: number, id: number, destination: string]>;
  readonly #dataVersion: Statement<[], number>;
  #position: DuePosition = start;
  #excluding: ReadonlySet<string> = new Set();
  #seen = -1;
  /** Messages whose pages SQLite cannot read, nor mark. */
  readonly unreadable = new Set<number>();

  constructor(db: Database) {
    this.#after = db
      .prepare<[number, number, number, number], [number, number, string]>(
        "SELECT due, id, destination FROM message INDEXED BY message_due WHERE state = 1 AND (due, id) > (?, ?) AND due <= ? ORDER BY due, id LIMIT ?",
      )
      .raw();
    this.#dataVersion = db.prepare<[], number>("PRAGMA data_version").pluck();
  }

  find(until: number, limit: number, excluding: readonly string[]): { found: DuePosition[]; more: boolean } {
    this.#resume(excluding);
    const found: DuePosition[] = [];
    let at = this.#position;
    for (let scanned = 0; scanned < mostScanned; ) {
      const page = Math.min(
        pageRows,
        excluding.length + this.unreadable.size > 0 ? Math.max(limit, 64) : limit - found.length,
      );
      const rows = this.#after.all(at.due, at.id, until, page);
      for (const [due, id, destination] of rows) {
        if (!this.#excluding.has(destination) && !this.unreadable.has(id)) found.push({ due, id });
        // What is found is claimed, or has to be found again: only what lies before it is behind us.
        else if (found.length === 0) this.#position = { due, id };
        if (found.length === limit) return { found, more: false };
        at = { due, id };
      }
      if (rows.length < page) return { found, more: false };
      scanned += rows.length;
    }
    return { found, more: true };
  }

  /** A row was put there: if that is behind us, it has to be found again. */
  touched(due: number): void {
    if (due <= this.#position.due) this.rewind();
  }

  rewind(): void {
    this.#position = start;
  }

  #resume(excluding: readonly string[]): void {
    const now = new Set(excluding);
    const seen = this.#dataVersion.get() ?? 0;
    if (seen !== this.#seen || !this.#excluding.isSubsetOf(now)) this.rewind();
    this.#seen = seen;
    this.#excluding = now;
  }
}

const start: DuePosition = { due: -1, id: 0 };
const pageRows = 1000;
const mostScanned = 20_000;
