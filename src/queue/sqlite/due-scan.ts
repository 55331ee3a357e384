import type { Database, Statement } from "better-sqlite3";
import type { DuePosition } from "../engine.ts";
import { OrderError } from "./order.ts";

/** What is wanted, other than due: `upTo` and `most` as a claim has them (engine.ts); no bound where they are not given. */
export interface Wanted {
  readonly upTo?: number | undefined;
  readonly most?: number | undefined;
}

/**
 * Finds what is due, oldest first, but for excluded destinations and for messages with too many recipients. A million
 * messages for a suspended one, or a million large ones, would have to be stepped over each time; so a
 * scan goes on where the one before it ended, as long as what lies behind
 * cannot have become eligible: nothing was excluded then that is not excluded
 * now, and nothing changed there. Each bound of recipients has a place of its own. And a scan is bounded: `more` asks for another
 * call, between which other work is done.
 */
export class DueScan {
  readonly #after: Statement<
    [number, number, number, number],
    [due: number, id: number, destination: string, recipients: number]
  >;
  readonly #dataVersion: Statement<[], number>;
  /** By bound of recipients: there are as many as a scheduler has sizes of messages. */
  readonly #places = new Map<number, Place>();
  /** Messages whose pages SQLite cannot read, nor mark. */
  readonly unreadable = new Set<number>();

  constructor(db: Database) {
    this.#after = db
      .prepare<[number, number, number, number], [number, number, string, number]>(
        "SELECT due, id, destination, recipients FROM message INDEXED BY message_due WHERE state = 1 AND (due, id) > (?, ?) AND due <= ? ORDER BY due, id LIMIT ?",
      )
      .raw();
    this.#dataVersion = db.prepare<[], number>("PRAGMA data_version").pluck();
  }

  find(
    until: number,
    limit: number,
    excluding: readonly string[],
    { upTo = Number.POSITIVE_INFINITY, most = Number.POSITIVE_INFINITY }: Wanted = {},
  ): { found: DuePosition[]; more: boolean } {
    const place = this.#resume(excluding, upTo);
    const selective = excluding.length + this.unreadable.size > 0 || upTo < Number.POSITIVE_INFINITY;
    const found: DuePosition[] = [];
    let inFound = 0;
    let at = place.position;
    for (let scanned = 0; scanned < mostScanned; ) {
      const page = Math.min(pageRows, selective ? Math.max(limit, 64) : limit - found.length);
      const rows = this.#after.all(at.due, at.id, until, page);
      for (const [due, id, destination, recipients] of rows) {
        if (due < at.due || (due === at.due && id <= at.id)) throw new OrderError("the index of due messages");
        if (recipients <= upTo && !place.excluding.has(destination) && !this.unreadable.has(id)) {
          found.push({ due, id });
          inFound += recipients;
        }
        // What is found is claimed, or has to be found again: only what lies before it is behind us.
        else if (found.length === 0) place.position = { due, id };
        if (found.length === limit || inFound >= most) return { found, more: false };
        at = { due, id };
      }
      if (rows.length < page) return { found, more: false };
      scanned += rows.length;
    }
    return { found, more: true };
  }

  /** A row was put there: if that is behind us, it has to be found again. */
  touched(due: number, recipients = 0): void {
    for (const [upTo, place] of this.#places) {
      if (recipients <= upTo && due <= place.position.due) place.position = start;
    }
  }

  rewind(): void {
    this.#places.clear();
  }

  #resume(excluding: readonly string[], upTo: number): Place {
    const now = new Set(excluding);
    const seen = this.#dataVersion.get() ?? 0;
    const known = this.#places.get(upTo);
    const valid = known?.seen === seen && known.excluding.isSubsetOf(now);
    const place = { position: valid ? known.position : start, excluding: now, seen };
    if (!known && this.#places.size >= mostPlaces) this.#places.clear();
    this.#places.set(upTo, place);
    return place;
  }
}

/** How far a scan has come, and what it left out on its way. */
interface Place {
  position: DuePosition;
  readonly excluding: ReadonlySet<string>;
  /** SQLite's data_version: what another process has changed. */
  readonly seen: number;
}

const start: DuePosition = { due: -1, id: 0 };
const pageRows = 1000;
const mostScanned = 20_000;
const mostPlaces = 8;
