import type { Database } from "better-sqlite3";
import Sqlite from "better-sqlite3";

/**
 * A checksum of the small columns of `message` that decide what is delivered: a changed number of chunks would cut a body
 * short, a changed body be another message's, a changed flag return it. SQLite keeps it as it was written with the row.
 */
const guardOf = `(id % 2147483647 * 7 + ifnull(body, id) % 2147483647 * 11 + chunks % 2147483647 * 13
  + state % 2147483647 * 17 + flags % 2147483647 * 19 + due % 2147483647 * 23) % 2147483647`;

/** True of a row whose small columns are what was written. */
export const isIntact = `guard IS ${guardOf}`;

/**
 * The queue file's layout, and how an older one becomes the newest with mail in it.
 * `user_version` counts the migrations done; `application_id` tells a queue
 * from any other database.
 *
 * message   an envelope, guarded by a checksum (`crc`), its small columns guarded by another (`guard`), and in the same row the body of one that has never been deferred: a small message
 *           with one recipient is one row in and one row out. From the first deferral on its body is in
 *           `chunk`, so that reading a million envelopes reads no bodies.
 * chunk     bodies in pieces. The first has the body's number as its id, and needs no other index.
 * unfinished bodies written ahead that no message has named yet.
 * trace     what remains of a message that came from a source, so that the source is not taken twice.
 * held      who accepted messages that were held from the beginning, and have no owner to tell: those of each relay's last
 *           such batch, which may have to be forgotten. An earlier one is known to be synced.
 * tally     how many messages are in a state, other than the active ones, which an index counts.
 *
 * `recipients` is how many an envelope has, so that a search for small messages steps over large mailings without reading
 * them. Messages of an older file have 1 until they are next put off.
 */
export const migrations: readonly string[] = [
  `CREATE TABLE message (
    id INTEGER PRIMARY KEY,
    state INTEGER NOT NULL,
    flags INTEGER NOT NULL,
    owner TEXT,
    batch INTEGER,
    due INTEGER NOT NULL,
    destination TEXT NOT NULL,
    source TEXT,
    chunks INTEGER NOT NULL,
    body INTEGER,
    crc INTEGER NOT NULL,
    envelope BLOB NOT NULL,
    body_crc INTEGER,
    inline BLOB
  );
  CREATE INDEX message_owned ON message (owner, batch) WHERE owner IS NOT NULL;
  CREATE INDEX message_due ON message (due, id, destination) WHERE state = 1;
  CREATE UNIQUE INDEX message_source ON message (source) WHERE source IS NOT NULL;
  CREATE TABLE chunk (
    id INTEGER PRIMARY KEY,
    body INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    crc INTEGER NOT NULL,
    data BLOB NOT NULL
  );
  CREATE UNIQUE INDEX chunk_rest ON chunk (body, seq) WHERE seq > 0;
  CREATE TABLE unfinished (body INTEGER PRIMARY KEY, owner TEXT NOT NULL);
  CREATE TABLE trace (
    source TEXT PRIMARY KEY,
    gone_ms INTEGER NOT NULL,
    id INTEGER NOT NULL,
    crc INTEGER NOT NULL,
    envelope BLOB NOT NULL
  );
  CREATE INDEX trace_gone ON trace (gone_ms);
  CREATE TABLE tally (state INTEGER PRIMARY KEY, count INTEGER NOT NULL);
  INSERT INTO tally (state, count) VALUES (1, 0), (2, 0), (3, 0);`,
  `CREATE TABLE held (
    owner TEXT NOT NULL,
    batch INTEGER NOT NULL,
    id INTEGER NOT NULL,
    PRIMARY KEY (owner, batch, id)
  ) WITHOUT ROWID;`,
  `ALTER TABLE message ADD COLUMN recipients INTEGER NOT NULL DEFAULT 1;
  DROP INDEX message_due;
  CREATE INDEX message_due ON message (due, id, destination, recipients) WHERE state = 1;`,
  `CREATE TABLE guarded (
    id INTEGER PRIMARY KEY,
    state INTEGER NOT NULL,
    flags INTEGER NOT NULL,
    owner TEXT,
    batch INTEGER,
    due INTEGER NOT NULL,
    destination TEXT NOT NULL,
    source TEXT,
    chunks INTEGER NOT NULL,
    body INTEGER,
    crc INTEGER NOT NULL,
    envelope BLOB NOT NULL,
    recipients INTEGER NOT NULL DEFAULT 1,
    guard INTEGER AS (${guardOf}) STORED,
    body_crc INTEGER,
    inline BLOB
  );
  INSERT INTO guarded (id, state, flags, owner, batch, due, destination, source, chunks, body, crc, envelope, recipients, body_crc, inline)
    SELECT id, state, flags, owner, batch, due, destination, source, chunks, body, crc, envelope, recipients, body_crc, inline FROM message;
  DROP TABLE message;
  ALTER TABLE guarded RENAME TO message;
  CREATE INDEX message_owned ON message (owner, batch) WHERE owner IS NOT NULL;
  CREATE INDEX message_due ON message (due, id, destination, recipients) WHERE state = 1;
  CREATE UNIQUE INDEX message_source ON message (source) WHERE source IS NOT NULL;`,
];

/** Larger than SQLite's own choice: a 64 KiB chunk is five pages and not seventeen, several small messages share one. */
export const pageSize_bytes = 16 * 1024;

/** "PoQ1" */
const applicationId = 0x506f5131;

/**
 * foreign      not a queue file, or the mark of its version is damaged
 * newer        one of a newer Postern
 * unsuited     its file system cannot have one
 */
export class SchemaError extends Error {
  readonly code: "foreign" | "newer" | "unsuited";

  constructor(code: SchemaError["code"], message: string) {
    super(message);
    this.code = code;
  }
}

/** Makes a new file a queue, or an older queue the newest; each step is a transaction. Throws SchemaError. */
export function migrate(db: Database, steps: readonly string[] = migrations): void {
  for (;;) {
    const version = assertQueue(db, steps.length);
    if (version === steps.length) return;
    db.transaction(() => {
      // Another process may have been first.
      const now = assertQueue(db, steps.length);
      const step = steps[now];
      if (step === undefined) return;
      db.exec(step);
      db.pragma(`application_id = ${applicationId}`);
      db.pragma(`user_version = ${now + 1}`);
    }).immediate();
  }
}

/** The version of a queue file, 0 for an empty file. Throws SchemaError for what is not a queue that we know. */
export function assertQueue(db: Database, newest: number = migrations.length): number {
  const version = db.pragma("user_version", { simple: true }) as number;
  const id = db.pragma("application_id", { simple: true }) as number;
  if (version === 0 && id === 0) {
    const tables = db.prepare("SELECT count(*) FROM sqlite_schema").pluck().get() as number;
    if (tables === 0) return 0;
  }
  if (id !== applicationId) throw new SchemaError("foreign", `${db.name} is a database, but not a mail queue`);
  if (version > newest && newest === migrations.length && hasOurLayout(db)) {
    throw new SchemaError("foreign", `${db.name} says that its layout is version ${version}, and it is not`);
  }
  if (version > newest) {
    throw new SchemaError(
      "newer",
      `${db.name} was made by a newer Postern (its layout is version ${version}, this one knows ${newest}): install that version, or move the file away`,
    );
  }
  return version;
}

/** Whether its tables are those of the newest version that we know, to the letter. */
function hasOurLayout(db: Database): boolean {
  const layout = (of: Database): string =>
    JSON.stringify(of.prepare("SELECT name, sql FROM sqlite_schema ORDER BY name").raw().all());
  const fresh = new Sqlite(":memory:");
  try {
    migrate(fresh);
    return layout(fresh) === layout(db);
  } finally {
    fresh.close();
  }
}

/** SQLite before 3.51.3 can lose a commit in WAL mode when a checkpoint races with a writer (the "WAL-reset" fix). */
const oldest = [3, 51, 3] as const;

/** Throws an Error that says what to do. */
export function assertSqliteVersion(version: string): void {
  const parts = version.split(".").map(Number);
  for (const [index, least] of oldest.entries()) {
    const part = parts[index] ?? 0;
    if (part > least) return;
    if (part < least) {
      throw new Error(
        `the SQLite library is version ${version}, and the queue needs ${oldest.join(".")} or newer: install the better-sqlite3 that package-lock.json names (npm ci)`,
      );
    }
  }
}
