import { randomBelow } from "../../runtime/random.ts";
import type { TableContext } from "../table.ts";
import { TableError } from "../table.ts";
import { withinTime } from "./time-limit.ts";

/**
 * The connections of one table to its servers, any of which will do.
 *
 * A question goes over a connection that is open and idle, or over a new one to a server
 * drawn from those that do not rest, Unix sockets first. A server that cannot be
 * connected to, or does not answer in time, rests; the question goes to the next one.
 * An open connection that has gone away meanwhile is replaced, and nobody rests for it.
 * A server that refuses a question keeps its connection, and the next one is asked. A TableError of
 * the question is its end: it is about what was answered.
 *
 * Where nobody answers, nothing is known: a TableError "retry".
 */
export interface Server {
  /** As messages name it; no password in it. */
  readonly name: string;
  /** Reached over a Unix socket: preferred. */
  readonly local: boolean;
}

/** How one protocol connects, and when a connection is no good any more. */
export interface Driver<S extends Server, C> {
  /** Before the colon of messages: "pgsql". */
  readonly type: string;
  /** When `givenUp` comes first, the connection is dropped. */
  connect(server: S, givenUp: AbortSignal): Promise<C>;
  /** False once it was lost. */
  usable(client: C): boolean;
  /** Drops it, whatever is under way. */
  drop(client: C): void;
}

/** A server's answer that the question cannot be answered; its connection is still good. */
export class Refused extends Error {}

export interface PoolOptions {
  /** The first server that does not rest is asked, in place of any. */
  readonly inOrder: boolean;
  /** How long a server rests after a failure, where there are others. */
  readonly rest_ms: number;
  /** How long a connection is kept that nobody uses. */
  readonly idle_ms: number;
  readonly connectLimit_ms: number;
  readonly answerLimit_ms: number;
}

export const usualPool: PoolOptions = {
  inOrder: false,
  rest_ms: 60_000,
  idle_ms: 60_000,
  connectLimit_ms: 10_000,
  answerLimit_ms: 30_000,
};

/** A single server is tried again sooner: nobody else could answer. */
const restAlone_ms = 5_000;

/** Questions under way at a time, each over a connection of its own. */
const connectionLimit = 4;

/** Questions that wait for their turn. */
const waitingLimit = 1000;

interface Kept<S, C> {
  readonly server: S;
  readonly client: C;
  idle?: { cancel(): void };
}

export class ServerPool<S extends Server, C> {
  readonly #driver: Driver<S, C>;
  readonly #servers: readonly S[];
  readonly #context: TableContext;
  readonly #options: PoolOptions;
  readonly #idle: Kept<S, C>[] = [];
  /** When a server may be tried again, on the monotonic clock. */
  readonly #restUntil_ms = new Map<S, number>();
  readonly #waiting: (() => void)[] = [];
  #busy = 0;
  #closed = false;

  constructor(driver: Driver<S, C>, servers: readonly S[], context: TableContext, options: PoolOptions = usualPool) {
    this.#driver = driver;
    this.#servers = servers;
    this.#context = context;
    this.#options = options;
  }

  /** The answer to `question`, put to a server. */
  async ask<T>(question: (client: C) => Promise<T>): Promise<T> {
    await this.#turn();
    try {
      return await this.#askAny(question);
    } finally {
      this.#endTurn();
    }
  }

  /** What is under way is finished; its connections are closed then. */
  close(): void {
    this.#closed = true;
    for (const kept of this.#idle.splice(0)) this.#drop(kept);
  }

  async #turn(): Promise<void> {
    if (this.#busy < connectionLimit) {
      this.#busy++;
      return;
    }
    if (this.#waiting.length >= waitingLimit)
      throw new TableError("retry", "query error: too many questions at a time");
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.push(resolve);
    try {
      await withinTime(this.#clock, promise, this.#options.answerLimit_ms, "all connections are busy");
    } catch (error) {
      const place = this.#waiting.indexOf(resolve);
      if (place < 0) this.#endTurn();
      else this.#waiting.splice(place, 1);
      throw retry(error);
    }
  }

  /** The next one in line takes the place of the one that ends. */
  #endTurn(): void {
    const next = this.#waiting.shift();
    if (next) next();
    else this.#busy--;
  }

  async #askAny<T>(question: (client: C) => Promise<T>): Promise<T> {
    const tried = new Set<S>();
    let failure: unknown = new Error("all servers are resting after a failure");
    for (;;) {
      const kept = this.#takeIdle(tried);
      const server = kept?.server ?? this.#choose(tried);
      if (!server) throw retry(failure);
      let connection = kept;
      try {
        connection ??= { server, client: await this.#connect(server) };
        const answer = await this.#put(connection, question);
        this.#restUntil_ms.delete(server);
        this.#keep(connection);
        return answer;
      } catch (error) {
        failure = error;
        if (error instanceof TableError && connection) {
          this.#keep(connection);
          throw error;
        }
        if (error instanceof Refused && connection) this.#keep(connection);
        else if (connection) this.#drop(connection);
        const wasGone = kept && !(error instanceof Refused) && !(error instanceof OutOfTime);
        if (wasGone) continue;
        tried.add(server);
        this.#report(server, error, connection !== undefined);
        if (!(error instanceof Refused)) this.#rest(server);
      }
    }
  }

  #takeIdle(tried: ReadonlySet<S>): Kept<S, C> | undefined {
    for (let at = this.#idle.length - 1; at >= 0; at--) {
      const kept = this.#idle[at] as Kept<S, C>;
      if (tried.has(kept.server)) continue;
      this.#idle.splice(at, 1);
      kept.idle?.cancel();
      if (this.#driver.usable(kept.client)) return kept;
      this.#driver.drop(kept.client);
    }
    return undefined;
  }

  #choose(tried: ReadonlySet<S>): S | undefined {
    const now = this.#clock.monotonic();
    const awake = this.#servers.filter((each) => !tried.has(each) && (this.#restUntil_ms.get(each) ?? now) <= now);
    if (this.#options.inOrder) return awake[0];
    const local = awake.filter((each) => each.local);
    const able = local.length > 0 ? local : awake;
    const { random } = this.#context;
    return able[random && able.length > 1 ? randomBelow(random, able.length) : 0];
  }

  async #connect(server: S): Promise<C> {
    const given = new AbortController();
    const connecting = this.#driver.connect(server, given.signal);
    const limit_ms = this.#options.connectLimit_ms;
    try {
      return await withinTime(this.#clock, connecting, limit_ms, `no connection in ${limit_ms / 1000} seconds`);
    } catch (error) {
      given.abort();
      connecting.then(
        (late) => this.#driver.drop(late),
        () => {},
      );
      throw error;
    }
  }

  async #put<T>({ client }: Kept<S, C>, question: (client: C) => Promise<T>): Promise<T> {
    const limit_ms = this.#options.answerLimit_ms;
    return withinTime(
      this.#clock,
      question(client),
      limit_ms,
      `no answer in ${limit_ms / 1000} seconds`,
      (text) => new OutOfTime(text),
    );
  }

  #keep(connection: Kept<S, C>): void {
    if (this.#closed || !this.#driver.usable(connection.client)) return this.#drop(connection);
    connection.idle = this.#clock.after(
      this.#options.idle_ms,
      () => {
        const place = this.#idle.indexOf(connection);
        if (place >= 0) this.#idle.splice(place, 1);
        this.#driver.drop(connection.client);
      },
      { idle: true },
    );
    this.#idle.push(connection);
  }

  #drop(connection: Kept<S, C>): void {
    connection.idle?.cancel();
    this.#driver.drop(connection.client);
  }

  #rest(server: S): void {
    const { rest_ms } = this.#options;
    const time_ms = this.#servers.length > 1 ? rest_ms : Math.min(rest_ms, restAlone_ms);
    this.#restUntil_ms.set(server, this.#clock.monotonic() + time_ms);
  }

  #report({ name }: S, error: unknown, connected: boolean): void {
    const { type } = this.#driver;
    const text = words(error);
    this.#context.warn(
      connected ? `${type} query failed: host ${name}: ${text}` : `connect to ${type} server ${name}: ${text}`,
    );
  }

  get #clock() {
    const { network } = this.#context;
    if (!network) throw new TableError("config", `${this.#driver.type}: there is no network here`);
    return network.clock;
  }
}

class OutOfTime extends Error {}

/** What went wrong, on one line. An AggregateError (several addresses of a host) says nothing itself. */
export function words(error: unknown): string {
  const first: unknown = error instanceof AggregateError ? error.errors[0] : error;
  const text = first instanceof Error ? first.message : String(first);
  return text.replace(/\s+/g, " ").trim().slice(0, 500);
}

const retry = (error: unknown): TableError =>
  error instanceof TableError ? error : new TableError("retry", `query error: ${words(error)}`);
