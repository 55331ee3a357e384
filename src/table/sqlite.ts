import { type QueryFor, type Rows, sqlTable } from "./database/sql.ts";
import { databaseType } from "./database/table-of.ts";
import type { Quote } from "./database/templates.ts";
import { withinTime } from "./database/time-limit.ts";
import { SqliteThread } from "./sqlite/thread.ts";
import { TableError } from "./table.ts";

/**
 * sqlite: an SQLite database file (sqlite_table(5)), read in a thread of its own. The first
 * column of all rows is the answer, joined by commas.
 */
export const sqlite = databaseType("sqlite", async (opening) => {
  const { reference, parameters, context } = opening;
  const path = parameters.text("dbpath", "", { required: true });
  const { clock } = context.network ?? {};
  if (!clock) throw new TableError("config", `${reference}: there is no clock here`);
  const thread = SqliteThread.take();
  const run = async (query: QueryFor): Promise<Rows> => {
    const values = await withinTime(clock, thread.query(path, query(quote)), limit_ms, tooLate, inTime);
    return values.map((value) => [value]);
  };
  try {
    await thread.open(path).catch((error: Error) => {
      throw new TableError(
        "config",
        `${reference}: Can't open database: ${path}: ${error.message.replace(/^query error: /, "")}`,
      );
    });
    return await sqlTable(opening, run, () => thread.giveBack());
  } catch (error) {
    thread.giveBack();
    throw error;
  }
});

const limit_ms = 30_000;
const tooLate = `query error: no answer in ${limit_ms / 1000} seconds`;
const inTime = (text: string): TableError => new TableError("retry", text);

const quote: Quote = (text) => text.replaceAll("'", "''");
