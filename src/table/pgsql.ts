import { userInfo } from "node:os";
import type { Client, ClientConfig } from "pg";
import type { TableParameters } from "./database/parameters.ts";
import { type Driver, Refused, type Server, ServerPool, usualPool, words } from "./database/server-pool.ts";
import { type QueryFor, type Rows, sqlTable } from "./database/sql.ts";
import { databaseType } from "./database/table-of.ts";
import type { Quote } from "./database/templates.ts";

/**
 * pgsql: a PostgreSQL database (pgsql_table(5)). All columns of all rows are the answer, joined by commas.
 *
 * As libpq does by itself, TLS is used where the server offers it, without a look at its
 * certificate; a connection URI with sslmode says otherwise. Text is UTF-8.
 */
export const pgsql = databaseType("pgsql", async (opening) => {
  const { parameters, context } = opening;
  const servers = parameters.words("hosts", "").map(serverAt);
  if (servers.length === 0) servers.push(serverAt("localhost"));
  const needsName = servers.some(({ uri }) => uri === undefined);
  const options = {
    ...usualPool,
    rest_ms: parameters.number("retry_interval", 60, 1) * 1000,
    idle_ms: parameters.number("idle_interval", 60, 1) * 1000,
  };
  const { default: pg } = await import("pg");
  const driver = new PgDriver(pg.Client, {
    user: parameters.text("user", ""),
    password: parameters.text("password", ""),
    database: parameters.text("dbname", "", { required: needsName }),
  });
  warnOfEncoding(parameters, context.warn);
  const pool = new ServerPool(driver, servers, context, options);
  return sqlTable(
    opening,
    (query) => pool.ask((client) => driver.query(client, query)),
    () => pool.close(),
  );
});

function warnOfEncoding(parameters: TableParameters, warn: (text: string) => void): void {
  const encoding = parameters.text("encoding", "UTF8");
  if (!/^utf-?8$/i.test(encoding)) warn(`${parameters.name}: encoding = ${encoding} is not supported, UTF8 is used`);
}

/** The most that a server may send in answer to one query. */
const answerLimit_bytes = 16 * 1024 * 1024;

interface PgServer extends Server {
  readonly host?: string;
  readonly port?: number;
  readonly uri?: string;
}

/** A word of `hosts`: a connection URI, `inet:host:port`, `unix:/directory`, each without its prefix, too. */
function serverAt(word: string): PgServer {
  if (/^postgres(?:ql)?:\/\//.test(word)) return { name: shownUri(word), local: false, uri: word };
  const place = word.replace(/^(?:unix|inet):/, "");
  if (place.startsWith("/") || place === "") return { name: word, local: true, host: place };
  const [, bracketed, plain, port] = /^(?:\[([^\]]+)\]|(.*?))(?::(\d+))?$/.exec(place) ?? [];
  const host = bracketed ?? plain ?? place;
  return { name: word, local: false, host, ...(port ? { port: Number(port) } : {}) };
}

/** Scheme, host, port and database of a URI, put together anew: a password that was not encoded can look like any other part of it. */
function shownUri(uri: string): string {
  try {
    const { protocol, host, pathname } = new URL(uri);
    return /^[\w.:[\]-]*$/.test(host) ? `${protocol}//${host}${pathname}` : `${protocol}//…`;
  } catch {
    return "postgresql://… (a connection URI that cannot be read)";
  }
}

interface PgConnection {
  readonly client: Client;
  lost: boolean;
  /** Backslashes are ordinary characters in '…': standard_conforming_strings. */
  plainBackslashes: boolean;
  /** What has come since the last query. */
  received_bytes: number;
}

interface Credentials {
  readonly user: string;
  readonly password: string;
  readonly database: string;
}

class PgDriver implements Driver<PgServer, PgConnection> {
  readonly type = "pgsql";
  readonly #Client: typeof Client;
  readonly #credentials: Credentials;

  constructor(clientClass: typeof Client, credentials: Credentials) {
    this.#Client = clientClass;
    this.#credentials = credentials;
  }

  async connect(server: PgServer, givenUp: AbortSignal): Promise<PgConnection> {
    if (server.local) return this.#open(this.#settings(server, false), givenUp);
    if (server.uri && /[?&]sslmode=/.test(server.uri)) return this.#open(this.#settings(server), givenUp);
    try {
      return await this.#open(this.#settings(server, { rejectUnauthorized: false }), givenUp);
    } catch (error) {
      if (givenUp.aborted || !refusedTls(error)) throw error;
      return this.#open(this.#settings(server, false), givenUp);
    }
  }

  /** The rows of a query; of several, of the last one. */
  async query(connection: PgConnection, query: QueryFor): Promise<Rows> {
    connection.received_bytes = 0;
    const quote: Quote = (text) => quoted(text, connection.plainBackslashes);
    try {
      const result = await connection.client.query<(string | null)[]>({
        text: query(quote),
        rowMode: "array",
        types: asText,
      } as { text: string; rowMode: "array" });
      const last = Array.isArray(result) ? result.at(-1) : result;
      return last?.rows ?? [];
    } catch (error) {
      if (connection.received_bytes > answerLimit_bytes) {
        throw new Error(`the answer is longer than ${answerLimit_bytes} bytes`);
      }
      if (error instanceof Error && "severity" in error && error.severity === "ERROR") throw new Refused(error.message);
      throw error;
    }
  }

  usable({ lost }: PgConnection): boolean {
    return !lost;
  }

  drop(connection: PgConnection): void {
    connection.lost = true;
    connection.client.end().catch(() => {});
    // A server that does not hang up in its turn holds nothing.
    innards(connection.client).stream.destroySoon();
  }

  #settings({ host, port, uri }: PgServer, ssl?: ClientConfig["ssl"]): ClientConfig {
    const { user, password, database } = this.#credentials;
    const tls = ssl === undefined ? {} : { ssl };
    if (uri) return { connectionString: libpqLike(uri), ...tls };
    return {
      ...(host ? { host } : {}),
      ...(port ? { port } : {}),
      user: user || userInfo().username,
      // Given as a function, an empty one stays empty: nothing is read from files of root's.
      password: () => password,
      database,
      ...tls,
    };
  }

  async #open(settings: ClientConfig, givenUp: AbortSignal): Promise<PgConnection> {
    const client = new this.#Client(settings);
    const connection: PgConnection = { client, lost: false, plainBackslashes: false, received_bytes: 0 };
    const inner = innards(client);
    guard(inner, connection);
    const abandon = (): void => void inner.stream.destroy(new Error("given up"));
    givenUp.addEventListener("abort", abandon);
    client.on("error", () => {
      connection.lost = true;
    });
    client.on("end", () => {
      connection.lost = true;
    });
    inner.on("parameterStatus", ({ parameterName, parameterValue }) => {
      if (parameterName === "standard_conforming_strings") connection.plainBackslashes = parameterValue === "on";
    });
    try {
      await client.connect();
    } catch (error) {
      inner.stream.destroy();
      throw error;
    } finally {
      givenUp.removeEventListener("abort", abandon);
    }
    return connection;
  }
}

/** What pg keeps to itself, and we need: its stream, and what the server says of itself. */
interface Innards {
  readonly stream: Stream;
  /** Reads the stream, which is another one once TLS has begun. */
  attachListeners(stream: Pick<Stream, "on">): void;
  on(event: "parameterStatus", heard: (status: { parameterName: string; parameterValue: string }) => void): void;
}

const innards = (client: Client): Innards => (client as unknown as { connection: Innards }).connection;

interface Stream {
  on(event: string, heard: (bytes: Buffer) => void): void;
  destroy(error?: Error): void;
  /** When all is written. */
  destroySoon(): void;
}

/** pg throws out of its stream's events where what comes is no answer: that ends the connection, not the process. So does too much. */
function guard(inner: Innards, connection: PgConnection): void {
  const attach = inner.attachListeners.bind(inner);
  inner.attachListeners = (stream) => {
    const heard = (take: (bytes: Buffer) => void) => (bytes: Buffer) => {
      connection.received_bytes += bytes.length;
      if (connection.received_bytes > answerLimit_bytes) return inner.stream.destroy(new Error("too much"));
      try {
        take(bytes);
      } catch (error) {
        inner.stream.destroy(new Error(`protocol error: ${words(error)}`));
      }
    };
    attach({ on: (event, listener) => stream.on(event, event === "data" ? heard(listener) : listener) });
  };
}

/** Values as the server writes them. */
const asText = { getTypeParser: () => (value: string) => value };

/** As PQescapeStringConn() does it; in UTF-8 no part of a character can pass for a quote. */
const quoted = (text: string, plainBackslashes: boolean): string =>
  (plainBackslashes ? text : text.replaceAll("\\", "\\\\")).replaceAll("'", "''");

/** The server has no TLS, or wants this user without. */
const refusedTls = (error: unknown): boolean =>
  error instanceof Error && (/does not support SSL/.test(error.message) || ("code" in error && error.code === "28000"));

/** sslmode as libpq has it; pg would take each for verify-full. */
const libpqLike = (uri: string): string =>
  /[?&]sslmode=(?:require|verify-ca|prefer|allow)/.test(uri) ? `${uri}&uselibpqcompat=true` : uri;
