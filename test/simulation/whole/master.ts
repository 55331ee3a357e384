import { createLog } from "../../../src/log/log.ts";
import { Master } from "../../../src/master/master.ts";
import { Sockets } from "../../../src/master/sockets.ts";
import { type RelayWorld, runRelayProcess } from "../../../src/relay/relay-process.ts";
import type { Child, Parent, Processes, SpawnOptions } from "../../../src/runtime/processes.ts";
import { seededRandom } from "../../../src/runtime/random.ts";
import type { Runtime } from "../../../src/runtime/runtime.ts";
import type { SimulatedDisk } from "../engine.ts";
import type { World } from "../world.ts";
import { ProcessEngine } from "./engine.ts";
import type { SimulatedFiles } from "./files.ts";
import { simulatedNames } from "./names.ts";
import type { SimulatedNetwork } from "./network.ts";
import { never, SimulatedProcess } from "./process.ts";

/** Where the relay runs. */
const host = "10.0.0.1";

/**
 * The master as it is, and the relays that it starts: the relay's own program (src/relay/relay-process.ts) in a process of the
 * simulated world. The master dies when the power fails.
 */
export class System {
  /** Every relay that was ever started. */
  readonly relays: SimulatedProcess[] = [];
  readonly #others: SimulatedProcess[] = [];
  readonly #world: World;
  readonly #disk: SimulatedDisk;
  readonly #network: SimulatedNetwork;
  readonly #files: SimulatedFiles;
  /** Who holds which owner's lock. */
  readonly #locks = new Map<string, SimulatedProcess>();
  #process: SimulatedProcess;
  #master: Master;

  constructor(parts: { world: World; disk: SimulatedDisk; network: SimulatedNetwork; files: SimulatedFiles }) {
    this.#world = parts.world;
    this.#disk = parts.disk;
    this.#network = parts.network;
    this.#files = parts.files;
    this.#process = new SimulatedProcess(this.#world, "master", 1);
    this.#master = this.#start(this.#process);
  }

  /** A new one after each loss of power. */
  get master(): Master {
    return this.#master;
  }

  /** A process of another program on this machine. */
  other(name: string): SimulatedProcess {
    const process = new SimulatedProcess(this.#world, name, 10_000 + this.#others.length);
    this.#others.push(process);
    return process;
  }

  /** Everything that runs on the machine is gone, and of its files what was not synced; then it is started again. */
  losePower(): void {
    this.#world.note("the power fails");
    const killed = { status: undefined, signal: "SIGKILL" } as const;
    for (const each of [...this.living, ...this.#others]) each.die(killed);
    this.#process.die(killed);
    this.#files.losePower();
    this.#network.losePower();
    this.#disk.losePower(this.#world);
    this.#process = new SimulatedProcess(this.#world, "master", 1);
    this.#master = this.#start(this.#process);
  }

  #start(own: SimulatedProcess): Master {
    const runtime = this.#runtime(own, [], undefined);
    const sink = ({ text }: { readonly text: string }) => this.#world.note(`master: ${text}`);
    const log = createLog({ sink, now: () => own.clock.now(), service: "master", slot: 1, tag: "postfix" });
    const sockets = new Sockets(runtime.net);
    return new Master({ runtime, log, sockets, relayLog: (text) => this.#logged(text), syslog: false });
  }

  get living(): readonly SimulatedProcess[] {
    return this.relays.filter(({ alive }) => alive);
  }

  #logged(text: string): void {
    for (const line of text.split("\n")) {
      if (line === "") continue;
      // Behind the date: that follows the clock.
      this.#world.note(line.slice(16));
      if (/: unexpected: |(?:Type|Reference|Range)Error|panic: (?!mail queue: )/.test(line)) this.#world.violated(line);
    }
  }

  #runtime(process: SimulatedProcess, descriptors: readonly number[], parent: Parent | undefined): Runtime {
    const world = this.#world;
    return {
      clock: process.clock,
      random: seededRandom(world.below(2 ** 30)),
      crypto: {
        pbkdf2: () => Promise.reject(new Error("nobody logs in here")),
        tls: { version: "3.5.0", ciphers: [] },
      },
      files: this.#files.of(process),
      net: this.#network.netOf(process, host, descriptors, this.#files),
      names: simulatedNames(world, process),
      host: { name: () => "relay.example", interfaces: () => [] },
      processes: this.#processes(process, parent),
    };
  }

  #processes(process: SimulatedProcess, parent: Parent | undefined): Processes {
    return {
      pid: process.pid,
      self: { program: "node", args: [] },
      parent,
      spawn: (_program, _args, options) => this.#spawn(options),
      signal: () => false,
      onSignal() {},
      onBug() {},
      uid: () => 1000,
      umask: (mask) => mask,
      become() {},
      // Nothing of what follows reaches anybody.
      exit: (status) => process.die({ status, signal: undefined }) as never,
    };
  }

  async #spawn({ descriptors = [], message }: SpawnOptions): Promise<Child> {
    const world = this.#world;
    await world.pause(world.below(20));
    const pid = 100 + this.relays.length;
    const process = new SimulatedProcess(world, `relay ${pid}`, pid);
    world.note(`${process.name} starts`);
    this.relays.push(process);
    const master = this.#process;
    const exited = new Promise<NonNullable<SimulatedProcess["exit"]>>((resolve) => {
      process.atDeath(() =>
        master.clock.after(world.below(5), () => resolve(process.exit ?? { status: 0, signal: undefined })),
      );
    });
    const open = (): boolean => process.alive && master.alive;
    const toChild = this.#channel(open);
    const toMaster = this.#channel(open);
    let listener: ((message: unknown) => void) | undefined;
    const parent: Parent = {
      // What it says and does not live to get out of its hands is lost.
      send: (said) => (process.effect() ? toMaster(said, (heard) => message?.(heard)) : never()),
      listen: (told) => {
        listener = told;
      },
    };
    const runtime = this.#runtime(process, descriptors, parent);
    if (world.faulty && world.chance(0.25)) process.fuse(1 + world.below(400));
    runRelayProcess({ runtime, ...this.#queue(process) });
    return {
      pid,
      send: (said) => void toChild(said, (heard) => listener?.(heard)),
      kill: (signal) => process.die({ status: undefined, signal }),
      leave() {},
      exited,
    };
  }

  #queue(process: SimulatedProcess): Pick<RelayWorld, "startEngine" | "locks"> {
    const gone = (path: string): boolean => !this.#locks.get(path)?.alive;
    return {
      startEngine: async () => new ProcessEngine(this.#world, this.#disk, process),
      locks: {
        preload() {},
        tryLock: (path) => {
          if (!gone(path)) return undefined;
          this.#files.put(path, Buffer.alloc(0));
          this.#locks.set(path, process);
          return process;
        },
        isGone: gone,
      },
    };
  }

  /** Messages arrive in order, after a moment; those whose sender or receiver is gone by then do not. */
  #channel(open: () => boolean): (message: unknown, heard: (message: unknown) => void) => Promise<void> {
    let last_ms = 0;
    return (message, heard) => {
      const copy = structuredClone(message);
      const { clock } = this.#world;
      last_ms = Math.max(last_ms, clock.monotonic() + this.#world.below(this.#world.chance(0.9) ? 3 : 2000));
      return new Promise((resolve) => {
        clock.after(last_ms - clock.monotonic(), () => {
          if (open()) heard(copy);
          resolve();
        });
      });
    };
  }
}
