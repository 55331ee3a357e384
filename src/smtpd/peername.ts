/**
 * The name of a client: what its address is called, believed only if that name
 * leads back to the address. Answers are kept for a while, so that a client
 * that connects for each message costs one look-up.
 */
import type { Log } from "../log/log.ts";
import { addressBytes } from "../rfc5321/ip.ts";
import { isDomain } from "../rfc5321/path.ts";
import type { Clock } from "../runtime/clock.ts";
import { NameError, type Names } from "../runtime/names.ts";
import type { Answer } from "../table/maps.ts";
import { logs } from "./words.ts";

export interface PeerNamesOptions {
  readonly names: Names;
  readonly clock: Clock;
  readonly log: Log;
  /** After so long the name is "unknown"; the look-up goes on, for the next connection. */
  readonly timeout_s: number;
}

const kept_ms = 300_000;
const keptUnknown_ms = 60_000;
const entriesLimit = 10_000;
const unknown = "unknown";

interface Entry {
  readonly name: Promise<string> | string;
  until_ms: number;
}

export class PeerNames {
  readonly #options: PeerNamesOptions;
  readonly #entries = new Map<string, Entry>();

  constructor(options: PeerNamesOptions) {
    this.#options = options;
  }

  /** The verified name, or "unknown". Never rejects, and takes no longer than the timeout. */
  nameOf(address: string): Answer<string> {
    const bytes = addressBytes(address);
    if (!bytes) return unknown;
    if (isLoopback(bytes)) return "localhost";
    const { clock, timeout_s } = this.#options;
    const entry = this.#entries.get(address);
    const looking = entry && clock.monotonic() < entry.until_ms ? entry.name : this.#begin(address);
    if (typeof looking === "string") return looking;
    return new Promise((resolve) => {
      const timer = clock.after(timeout_s * 1000, () => resolve(unknown), { idle: true });
      void looking.then((name) => {
        timer.cancel();
        resolve(name);
      });
    });
  }

  #begin(address: string): Promise<string> {
    const { clock } = this.#options;
    const name = this.#find(address).catch(() => unknown);
    this.#entries.delete(address);
    if (this.#entries.size >= entriesLimit) {
      const [oldest] = this.#entries.keys();
      if (oldest !== undefined) this.#entries.delete(oldest);
    }
    this.#entries.set(address, { name, until_ms: clock.monotonic() + kept_ms });
    void name.then((found) => {
      const until_ms = clock.monotonic() + (found === unknown ? keptUnknown_ms : kept_ms);
      this.#entries.set(address, { name: found, until_ms });
    });
    return name;
  }

  async #find(address: string): Promise<string> {
    const { names, log } = this.#options;
    const [first] = await names.reverse(address);
    const name = first?.replace(/\.$/, "").toLowerCase() ?? "";
    if (!isDomain(name)) return unknown;
    try {
      if (await this.#leadsTo(name, address)) return name;
      log.warning(logs.unresolved(name, address, ""));
    } catch (error) {
      log.warning(logs.unresolved(name, address, error instanceof NameError ? error.kind : String(error)));
    }
    return unknown;
  }

  async #leadsTo(name: string, address: string): Promise<boolean> {
    const wanted = Buffer.from(addressBytes(address) ?? []);
    const found = await this.#options.names.addresses(name, wanted.length === 4 ? 4 : 6);
    return found.some((each) => {
      const bytes = addressBytes(each);
      return bytes !== undefined && wanted.equals(bytes);
    });
  }
}

function isLoopback(bytes: Uint8Array): boolean {
  if (bytes.length === 4) return bytes[0] === 127;
  return bytes.subarray(0, 15).every((byte) => byte === 0) && bytes[15] === 1;
}
