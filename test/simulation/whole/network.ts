import type { BoundAddress, ConnectOptions, Endpoint, Listener, Net } from "../../../src/runtime/net.ts";
import type { World } from "../world.ts";
import { End, type Owner } from "./connection.ts";
import type { SimulatedFiles } from "./files.ts";
import type { SimulatedProcess } from "./process.ts";

interface Acceptor {
  readonly owner: Owner;
  readonly taken: (connection: End) => void;
}

/** A listening socket: several processes may accept on it, and connections wait for one that does. */
interface Listening {
  readonly at: Endpoint;
  acceptors: Acceptor[];
  waiting: End[];
}

/** The network: who listens where, and the connections between them. What it delays, cuts and refuses follows from the seed. */
export class SimulatedNetwork {
  readonly #world: World;
  readonly #listening = new Map<string, Listening>();
  readonly #byNumber = new Map<number, Listening>();
  #number = 20;
  #port = 30_000;

  constructor(world: World) {
    this.#world = world;
  }

  /** A server outside, which is always there. */
  serve(at: Endpoint, taken: (connection: End) => void): void {
    const outside: Owner = { alive: true, effect: () => true, atDeath() {} };
    this.#listening.set(nameOf(at), { at, acceptors: [{ owner: outside, taken }], waiting: [] });
  }

  /** Rejects as the system does. Never resolves for an owner that died meanwhile. */
  async connect(owner: Owner, from: string, { address, port, timeout_ms }: ConnectOptions): Promise<End> {
    const world = this.#world;
    const luck = world.faulty ? world.below(100) : 100;
    const listening = this.#listening.get(`${address}:${port}`);
    await world.pause(luck < 3 ? timeout_ms : world.below(4));
    if (luck < 3) throw refusal("ETIMEDOUT", "Connection timed out");
    if (luck < 6 || !listening) throw refusal("ECONNREFUSED", "Connection refused");
    const local = { address: from, port: this.#port++ };
    const [near, far] = End.pair(world, owner, local, listening.at);
    listening.waiting.push(far);
    world.clock.after(0, () => this.#accept(listening));
    return near;
  }

  /** The network as one process has it. `descriptors`: what was handed down to it, from number 4 on. */
  netOf(owner: SimulatedProcess, address: string, descriptors: readonly number[], files: SimulatedFiles): Net {
    return {
      bind: (at) => (owner.effect() ? this.#bind(at) : { fd: 0, endpoint: at, close() {} }),
      connect: async (options) => {
        if (!owner.effect()) return new Promise(() => {});
        return await this.connect(owner, options.from ?? address, options);
      },
      listen: async (at, taken) => {
        if ("path" in at) {
          files.put(at.path, Buffer.alloc(0));
          return { bound: { address: at.path, port: 0 }, close: async () => {} };
        }
        const listening = this.#byNumber.get(("fd" in at ? descriptors[at.fd - 4] : undefined) ?? 0);
        if (!listening) throw refusal("EBADF", "no such socket");
        return this.#listen(listening, { owner, taken });
      },
    };
  }

  /** What this machine listened on is gone, and whoever waited there with it. */
  losePower(): void {
    for (const { at, waiting } of this.#byNumber.values()) {
      this.#listening.delete(nameOf(at));
      for (const each of waiting) each.vanish();
    }
    this.#byNumber.clear();
  }

  #bind(at: Endpoint): BoundAddress {
    const name = nameOf(at);
    if (this.#listening.has(name)) throw refusal("EADDRINUSE", "Address already in use");
    const fd = this.#number++;
    const listening = { at, acceptors: [], waiting: [] };
    this.#listening.set(name, listening);
    this.#byNumber.set(fd, listening);
    const close = (): void => {
      if (this.#listening.get(name) === listening) this.#listening.delete(name);
    };
    return { fd, endpoint: at, close };
  }

  #listen(listening: Listening, acceptor: Acceptor): Listener {
    listening.acceptors.push(acceptor);
    const leave = (): void => {
      listening.acceptors = listening.acceptors.filter((each) => each !== acceptor);
    };
    acceptor.owner.atDeath(leave);
    this.#world.clock.after(0, () => this.#accept(listening));
    return { bound: listening.at, close: async () => leave() };
  }

  /** Whoever is there takes what waits; of several, any. */
  #accept(listening: Listening): void {
    for (;;) {
      const acceptor = this.#world.pick(listening.acceptors);
      const connection = acceptor && listening.waiting.shift();
      if (!connection) return;
      if (!connection.gone) connection.takenBy(acceptor.owner, acceptor.taken);
    }
  }
}

const nameOf = ({ address, port }: Endpoint): string => `${address}:${port}`;

function refusal(code: string, text: string): Error {
  return Object.assign(new Error(text), { code });
}
