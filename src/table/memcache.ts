import { isUtf8 } from "node:buffer";
import { pause } from "../runtime/clock.ts";
import { keyDomains } from "./database/key-domains.ts";
import { databaseType, type Opening, withinDomains } from "./database/table-of.ts";
import { Templates } from "./database/templates.ts";
import { type Framing, ServerClient, serverAddress } from "./server-client.ts";
import { TableError } from "./table.ts";

/**
 * memcache: a memcached server (memcache_table(5)), with or without a table behind it. What is not in the
 * cache is asked of `backup`, and put into the cache. A cache that is away is no obstacle
 * where there is a backup; without one, the table cannot tell.
 */
export const memcache = databaseType("memcache", async (opening) => {
  const { reference, parameters, context, part } = opening;
  const cache = new Cache(opening);
  const templates = new Templates();
  const format = templates.add(parameters.text("key_format", "%s"), "query", parameters.name);
  const domains = await keyDomains(parameters.text("domain", ""), context, part);
  const backup = parameters.optional("backup");
  if (backup && !part) throw new TableError("config", `${reference}: no table can be part of another one here`);
  const behind = backup ? await part?.(backup) : undefined;
  const find = async (key: string): Promise<string | undefined> => {
    const cacheKey = templates.query(format, key);
    // Postfix skips these altogether, the backup included: such a key is in neither.
    if (!cacheKey || /[\t-\r ]/.test(cacheKey)) return undefined;
    if (!behind) return cache.get(cacheKey);
    const cached = await cache.get(cacheKey).catch(ignored);
    if (cached !== undefined) return cached;
    const value = await behind.get(key);
    if (value !== undefined) await cache.set(cacheKey, value).catch(ignored);
    return value;
  };
  return { find: withinDomains(domains, find), close: () => cache.close() };
});

const ignored = (error: unknown): undefined => {
  if (!(error instanceof TableError)) throw error;
  return undefined;
};

/** memcached's text protocol: `get` and `set` of one key. */
class Cache {
  readonly #opening: Opening;
  readonly #answers: ServerClient;
  readonly #value: ServerClient;
  readonly #tries: number;
  readonly #pause_ms: number;
  readonly #dataLimit_bytes: number;
  readonly #ttl_s: number;
  readonly #flags: number;

  constructor(opening: Opening) {
    const { reference, parameters, context } = opening;
    const { network } = context;
    if (!network) throw new TableError("config", `${reference}: there is no network here`);
    const place = parameters.text("memcache", "inet:localhost:11211");
    const address = serverAddress(place);
    if (!address)
      throw new TableError("config", `${parameters.name}: memcache = ${place}: need "inet:host:port" or "unix:/path"`);
    const limit_ms = parameters.number("timeout", 2, 1) * 1000;
    const lineLimit_bytes = parameters.number("line_size_limit", 1024, 1);
    this.#dataLimit_bytes = parameters.number("data_size_limit", 10_240, 1);
    this.#tries = parameters.number("max_try", 2, 1);
    this.#pause_ms = parameters.number("retry_pause", 1, 1) * 1000;
    this.#ttl_s = parameters.number("ttl", 3600);
    this.#flags = parameters.number("flags", 0);
    this.#opening = opening;
    this.#value = new ServerClient(network, address, valueFraming(lineLimit_bytes, this.#dataLimit_bytes), limit_ms);
    this.#answers = new ServerClient(network, address, lineFraming(lineLimit_bytes), limit_ms);
  }

  async get(key: string): Promise<string | undefined> {
    const answer = await this.#tried(() => this.#value.ask(Buffer.from(`get ${key}\r\n`)));
    return valueIn(answer);
  }

  async set(key: string, value: string): Promise<void> {
    const bytes = Buffer.from(value);
    if (bytes.length > this.#dataLimit_bytes) {
      const { reference, context } = this.#opening;
      return context.warn(
        `database ${reference}: data for key ${key} is too long (data_size_limit=${this.#dataLimit_bytes}) -- not stored`,
      );
    }
    const head = Buffer.from(`set ${key} ${this.#flags} ${this.#ttl_s} ${bytes.length}\r\n`);
    await this.#tried(() => this.#answers.ask(Buffer.concat([head, bytes, Buffer.from("\r\n")])));
  }

  close(): void {
    this.#value.close();
    this.#answers.close();
  }

  async #tried(ask: () => Promise<Buffer>): Promise<Buffer> {
    for (let tries = 1; ; tries++) {
      try {
        return await ask();
      } catch (error) {
        const { clock } = this.#opening.context.network ?? {};
        if (tries >= this.#tries || !clock) throw error;
        await pause(clock, this.#pause_ms);
      }
    }
  }
}

const endLine = Buffer.from("END");

/** The value in a whole answer. Throws TableError where it is no text. */
export function valueIn(answer: Buffer): string | undefined {
  const line = answer.subarray(0, answer.indexOf("\r\n"));
  if (line.equals(endLine)) return undefined;
  const value = answer.subarray(line.length + 2, line.length + 2 + dataLength(line));
  if (!isUtf8(value)) throw new TableError("retry", "query error: the answer is not UTF-8");
  return value.toString();
}

/** Throws Error where the line is none that announces a value. */
function dataLength(line: Buffer): number {
  const [, length] = /^VALUE \S+ \S+ (\d{1,9})(?: |$)/.exec(line.toString("latin1")) ?? [];
  if (length === undefined)
    throw new Error(`unexpected memcache server reply: ${line.toString("latin1").slice(0, 30)}`);
  return Number(length);
}

function lineEnd(bytes: Buffer, limit_bytes: number): number {
  const end = bytes.indexOf("\r\n");
  if (end > limit_bytes || (end < 0 && bytes.length > limit_bytes + 1)) {
    throw new Error(`the answer is longer than ${limit_bytes} bytes`);
  }
  return end;
}

const lineFraming =
  (limit_bytes: number): Framing =>
  (bytes) => {
    const end = lineEnd(bytes, limit_bytes);
    return end < 0 ? undefined : { answer: bytes.subarray(0, end), length: end + 2 };
  };

/** `END`, or `VALUE key flags length`, as many bytes of data, and `END`. */
export const valueFraming =
  (lineLimit_bytes: number, dataLimit_bytes: number): Framing =>
  (bytes) => {
    const end = lineEnd(bytes, lineLimit_bytes);
    if (end < 0) return undefined;
    const line = bytes.subarray(0, end);
    if (line.equals(endLine)) return { answer: bytes.subarray(0, end + 2), length: end + 2 };
    const data = dataLength(line);
    if (data > dataLimit_bytes) throw new Error(`the answer is longer than ${dataLimit_bytes} bytes`);
    const whole = end + 2 + data + behindData.length;
    if (bytes.length < whole) return undefined;
    if (!bytes.subarray(whole - behindData.length, whole).equals(behindData)) throw new Error("the answer has no end");
    return { answer: bytes.subarray(0, whole), length: whole };
  };

const behindData = Buffer.from("\r\nEND\r\n");
