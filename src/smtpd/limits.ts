/**
 * What single clients take: connections at the same time, and connections,
 * messages and recipients in a time unit. One for all services of a relay
 * generation (Postfix: anvil). Clients are told apart by the first bits of
 * their address. Memory: one entry for each client that is connected or was
 * within the last time unit, at most `entriesLimit`.
 */

import { addressBytes } from "../rfc5321/ip.ts";
import type { Clock } from "../runtime/clock.ts";

export type ClientEvent = "connection" | "message" | "recipient";

interface Entry {
  connections: number;
  /** When the time unit began in which the counts below were made, monotonic. */
  since_ms: number;
  connection: number;
  message: number;
  recipient: number;
}

const entriesLimit = 100_000;

export class ClientLimits {
  readonly #clock: Clock;
  readonly #unit_ms: number;
  readonly #entries = new Map<string, Entry>();
  #swept_ms = 0;

  constructor(clock: Clock, unit_s: number) {
    this.#clock = clock;
    this.#unit_ms = unit_s * 1000;
  }

  /** The number of clients known at the moment. */
  get size(): number {
    return this.#entries.size;
  }

  connected(key: string): { connections: number; rate: number } {
    this.#sweep();
    let entry = this.#entries.get(key);
    if (!entry) {
      entry = { connections: 0, since_ms: this.#clock.monotonic(), connection: 0, message: 0, recipient: 0 };
      this.#entries.set(key, entry);
    }
    entry.connections++;
    return { connections: entry.connections, rate: this.#count(entry, "connection") };
  }

  disconnected(key: string): void {
    const entry = this.#entries.get(key);
    if (entry && entry.connections > 0) entry.connections--;
  }

  /** One more such event; how many there were in this time unit. */
  count(key: string, event: ClientEvent): number {
    const entry = this.#entries.get(key);
    return entry ? this.#count(entry, event) : 0;
  }

  #count(entry: Entry, event: ClientEvent): number {
    const now = this.#clock.monotonic();
    if (now - entry.since_ms >= this.#unit_ms) {
      entry.since_ms = now;
      entry.connection = 0;
      entry.message = 0;
      entry.recipient = 0;
    }
    return ++entry[event];
  }

  /** Forgets who is gone and whose time unit is over: once in a time unit, or when there are too many. */
  #sweep(): void {
    const now = this.#clock.monotonic();
    const full = this.#entries.size >= entriesLimit;
    if (!full && now - this.#swept_ms < this.#unit_ms) return;
    if (full && now - this.#swept_ms < 1000) return;
    this.#swept_ms = now;
    for (const [key, entry] of this.#entries) {
      if (entry.connections === 0 && (full || now - entry.since_ms >= this.#unit_ms)) this.#entries.delete(key);
    }
  }
}

/** Whom a client counts as: the first bits of its address. */
export function clientKey(address: string, ipv4Bits: number, ipv6Bits: number): string {
  const bytes = addressBytes(address);
  if (!bytes) return address;
  const bits = bytes.length === 4 ? ipv4Bits : ipv6Bits;
  if (bits >= bytes.length * 8) return address;
  const kept = Buffer.from(bytes);
  for (let bit = bits; bit < kept.length * 8; bit++) kept[bit >> 3] = (kept[bit >> 3] ?? 0) & ~(0x80 >> (bit & 7));
  return `${kept.toString("hex")}/${bits}`;
}
