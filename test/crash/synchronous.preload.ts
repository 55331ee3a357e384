import Sqlite from "better-sqlite3";

/** For tests alone (`node --import`): the queue with another `synchronous` than its own, as POSTERN_TEST_SYNCHRONOUS says. */
const wanted = process.env.POSTERN_TEST_SYNCHRONOUS ?? "FULL";
const pragma = Sqlite.prototype.pragma;

Sqlite.prototype.pragma = function (this: Sqlite.Database, source: string, options?: Sqlite.PragmaOptions): unknown {
  return pragma.call(this, source.replace(/^synchronous = FULL$/, `synchronous = ${wanted}`), options);
};
