import { isUtf8 } from "node:buffer";
import { createRequire } from "node:module";
import { userInfo } from "node:os";
import type { Connection, ConnectionOptions, FieldPacket, QueryError } from "mysql2";
import type { TableParameters } from "./database/parameters.ts";
import { type Driver, Refused, type Server, ServerPool, words } from "./database/server-pool.ts";
import { type QueryFor, type Rows, sqlTable } from "./database/sql.ts";
import { databaseType } from "./database/table-of.ts";
import type { Quote } from "./database/templates.ts";
import type { TableContext } from "./table.ts";

/**
 * mysql: a MySQL or MariaDB database (mysql_table(5)). All columns of all rows are the answer,
 * joined by commas; a stored procedure may be called, of whose results one may hold rows.
 *
 * TLS is used where a tls_ parameter is given, and then required. Text is UTF-8.
 */
export const mysql = databaseType("mysql", async (opening) => {
  const { parameters, context } = opening;
  const servers = parameters.words("hosts", "localhost").map(serverAt);
  if (servers.length === 0) servers.push(serverAt("localhost"));
  for (const name of ["option_file", "tls_CApath"]) {
    if (parameters.optional(name)) context.warn(`${parameters.name}: ${name} is not supported`);
  }
  const tls = await tlsSettings(parameters, context);
  const { createConnection } = await import("mysql2");
  loadTheRest();
  const driver = new MysqlDriver(createConnection, {
    user: parameters.text("user", "") || userInfo().username,
    password: parameters.text("password", ""),
    database: parameters.text("dbname", "", { required: true }),
    ...(tls ? { ssl: tls } : {}),
  });
  const needsRows = parameters.flag("require_result_set", true);
  const pool = new ServerPool(driver, servers, context);
  return sqlTable(
    opening,
    (query) => pool.ask((client) => driver.query(client, query, needsRows)),
    () => pool.close(),
  );
});

/** mysql2 loads some of its code when it first needs it: when privileges are gone, it may not be able to. */
function loadTheRest(): void {
  const require = createRequire(import.meta.resolve("mysql2"));
  require("iconv-lite").encodingExists("utf8");
  require("./lib/commands/auth_switch.js");
}

type Tls = NonNullable<Exclude<ConnectionOptions["ssl"], string>>;

/** Undefined where no tls_ parameter is given. Files are read now, as root. */
async function tlsSettings(parameters: TableParameters, context: TableContext): Promise<Tls | undefined> {
  const tls: Tls = {};
  for (const [name, option] of [
    ["tls_key_file", "key"],
    ["tls_cert_file", "cert"],
    ["tls_CAfile", "ca"],
  ] as const) {
    const path = parameters.optional(name);
    if (path) tls[option] = (await context.read(path)).bytes.toString();
  }
  const ciphers = parameters.optional("tls_ciphers");
  if (ciphers) tls.ciphers = ciphers;
  const verified = parameters.flag("tls_verify_cert", false);
  if (Object.keys(tls).length === 0 && !verified) return undefined;
  return { ...tls, rejectUnauthorized: verified, verifyIdentity: verified };
}

/** The most that a server may send in answer to one query. */
const answerLimit_bytes = 16 * 1024 * 1024;

/** Where Debian's servers have their socket. */
const usualSocket = "/run/mysqld/mysqld.sock";

interface MysqlServer extends Server {
  readonly socketPath?: string;
  readonly host?: string;
  readonly port?: number;
}

/** A word of `hosts`: `unix:/path`, `inet:host:port`, or without `inet:`. "localhost" is the usual socket, as MySQL's own programs have it. */
function serverAt(word: string): MysqlServer {
  if (word.startsWith("unix:")) return { name: word, local: true, socketPath: word.slice("unix:".length) };
  const [, host = "", port] = /^(?:inet:)?(.*?)(?::(\d+))?$/.exec(word) ?? [];
  if (host.toLowerCase() === "localhost") return { name: word, local: true, socketPath: usualSocket };
  return { name: word, local: false, host: host.replace(/^\[(.*)\]$/, "$1"), port: Number(port ?? 3306) };
}

interface MysqlConnection {
  readonly connection: Connection;
  lost: boolean;
  busy: boolean;
  /** sql_mode has NO_BACKSLASH_ESCAPES. */
  plainBackslashes: boolean;
  /** What has come since the last query. */
  received_bytes: number;
}

type Column = Buffer | null;

class MysqlDriver implements Driver<MysqlServer, MysqlConnection> {
  readonly type = "mysql";
  readonly #create: (options: ConnectionOptions) => Connection;
  readonly #common: ConnectionOptions;

  constructor(create: (options: ConnectionOptions) => Connection, common: ConnectionOptions) {
    this.#create = create;
    this.#common = common;
  }

  async connect({ socketPath, host, port }: MysqlServer, givenUp: AbortSignal): Promise<MysqlConnection> {
    const connection = this.#create({
      ...this.#common,
      ...(socketPath ? { socketPath } : { host, port }),
      charset: "utf8mb4",
      connectTimeout: 0,
      disableEval: true,
      multipleStatements: false,
      jsonStrings: true,
    } as ConnectionOptions);
    const client = { connection, lost: false, busy: true, plainBackslashes: false, received_bytes: 0 };
    const abandon = (): void => connection.destroy();
    givenUp.addEventListener("abort", abandon);
    try {
      await connected(client);
      const [[mode] = []] = await this.#rows(client, "SELECT @@sql_mode", true);
      client.plainBackslashes = /NO_BACKSLASH_ESCAPES/i.test(mode ?? "");
      return client;
    } catch (error) {
      connection.destroy();
      throw error;
    } finally {
      givenUp.removeEventListener("abort", abandon);
    }
  }

  query(client: MysqlConnection, query: QueryFor, needsRows: boolean): Promise<Rows> {
    return this.#rows(
      client,
      query((text) => quoted(text, client.plainBackslashes)),
      needsRows,
    );
  }

  usable({ lost }: MysqlConnection): boolean {
    return !lost;
  }

  drop(client: MysqlConnection): void {
    const { lost, busy, connection } = client;
    client.lost = true;
    if (lost || busy) connection.destroy();
    else connection.end(() => connection.destroy());
  }

  async #rows(client: MysqlConnection, sql: string, needsRows: boolean): Promise<Rows> {
    client.received_bytes = 0;
    client.busy = true;
    const sets = await new Promise<readonly Column[][][]>((resolve, reject) => {
      const options = { sql, rowsAsArray: true, typeCast: (field: { buffer(): Column }) => field.buffer() };
      innards(client.connection).onLost = reject;
      client.connection.query(options as { sql: string }, (error, rows, fields) => {
        if (error) reject(failure(error, client));
        else resolve(resultSets(rows, fields));
      });
    });
    client.busy = false;
    const [first, second] = sets;
    if (second) throw new Refused("multiple result sets returning data are not supported");
    if (!first && needsRows) throw new Refused("query returned no result set (require_result_set = yes)");
    return (first ?? []).map((row) => row.map(asText));
  }
}

/** Resolves when the login is done. From then on the connection says by itself that it is lost. */
function connected(client: MysqlConnection): Promise<void> {
  const { connection } = client;
  return new Promise((resolve, reject) => {
    guard(client, reject);
    connection.on("error", (error: Error) => {
      client.lost = true;
      innards(connection).onLost?.(error);
    });
    connection.on("end", () => {
      client.lost = true;
    });
    connection.once("connect", () => {
      watchBytes(client);
      resolve();
    });
  });
}

/** What mysql2 keeps to itself, and we need. `onLost` is ours: who is to know that the connection failed. */
interface Innards {
  readonly stream: { on(event: "data", heard: (bytes: Buffer) => void): void };
  readonly sequenceId: number;
  handlePacket(packet: { readonly sequenceId: number } | undefined): void;
  onLost?: ((error: Error) => void) | undefined;
}

const innards = (connection: Connection): Innards => connection as unknown as Innards;

/** mysql2 throws out of its stream's events where what comes is no answer: that ends the connection, not the process. */
function guard(client: MysqlConnection, failed: (error: Error) => void): void {
  const inner = innards(client.connection);
  inner.onLost = failed;
  watchBytes(client);
  const handle = inner.handlePacket.bind(inner);
  inner.handlePacket = (packet) => {
    // mysql2 only writes to standard error about it, once for each.
    if (packet && packet.sequenceId !== inner.sequenceId)
      return end(client, new Error("protocol error: packets out of order"));
    try {
      handle(packet);
    } catch (error) {
      end(client, new Error(`protocol error: ${words(error)}`));
    }
  };
}

/** Once at the beginning, and again when TLS has given the connection another stream. */
function watchBytes(client: MysqlConnection): void {
  innards(client.connection).stream.on("data", (bytes) => {
    client.received_bytes += bytes.length;
    if (client.received_bytes > answerLimit_bytes) end(client, tooLong());
  });
}

const tooLong = (): Error => new Error(`the answer is longer than ${answerLimit_bytes} bytes`);

function end(client: MysqlConnection, error: Error): void {
  client.lost = true;
  client.connection.destroy();
  innards(client.connection).onLost?.(error);
}

function failure(error: QueryError, client: MysqlConnection): Error {
  if (error.fatal || client.lost) return error;
  client.busy = false;
  return new Refused(error.message);
}

/** Those of the results that hold rows. Of several results, mysql2 gives lists of all rows and of all columns. */
function resultSets(rows: unknown, fields: FieldPacket[] | undefined): readonly Column[][][] {
  if (!fields) return [];
  const several = fields.some((each) => each === undefined || Array.isArray(each));
  if (!several) return [rows as Column[][]];
  return (rows as Column[][][]).filter((_, at) => fields[at] !== undefined);
}

function asText(column: Column): string | null {
  if (column === null) return null;
  if (!isUtf8(column)) throw new Refused("the answer is not UTF-8");
  return column.toString();
}

/** As mysql_real_escape_string() does it; in UTF-8 no part of a character can pass for a quote. */
const quoted = (text: string, plainBackslashes: boolean): ReturnType<Quote> =>
  plainBackslashes ? text.replaceAll("'", "''") : text.replace(/[\0\n\r\\'"\x1a]/g, (char) => escapes[char] ?? char);

const escapes: Readonly<Record<string, string>> = {
  "\0": "\\0",
  "\n": "\\n",
  "\r": "\\r",
  "\\": "\\\\",
  "'": "\\'",
  '"': '\\"',
  "\x1a": "\\Z",
};
