import {
  type Engine,
  EngineError,
  type Op,
  type ReadKind,
  type ReadOf,
  type ReadResultOf,
  type Result,
} from "../../../src/queue/engine.ts";
import type { OpenableEngine } from "../../../src/queue/open.ts";
import { type SimulatedDisk, SimulatedEngine } from "../engine.ts";
import type { World } from "../world.ts";
import { never, type SimulatedProcess } from "./process.ts";

/**
 * The queue's engine of one process, on the disk that all share. Dies with its process: of the batch that was being written,
 * all is in the file then, or nothing (a torn one fails its checksum and is dropped whole). Reads take time, and may fail.
 */
export class ProcessEngine implements OpenableEngine {
  readonly #world: World;
  readonly #disk: SimulatedDisk;
  readonly #process: SimulatedProcess;
  #engine: SimulatedEngine | undefined;

  constructor(world: World, disk: SimulatedDisk, process: SimulatedProcess) {
    this.#world = world;
    this.#disk = disk;
    this.#process = process;
  }

  async open({ owner }: { readonly owner: string }): Promise<number> {
    await this.#process.pause(this.#world.below(10));
    if (!this.#process.effect()) return never();
    const engine = new SimulatedEngine(this.#world, this.#disk, owner);
    this.#engine = engine;
    this.#process.atDeath(() => void engine.kill());
    await this.#disk.opened(engine);
    return this.#disk.queue.largestId;
  }

  async commit(number: number, ops: readonly Op[]): Promise<readonly Result[]> {
    if (!this.#process.effect()) return never();
    try {
      return await this.#of().commit(number, ops);
    } catch (error) {
      // What breaks a disk may break the rest of the machine, too.
      if (this.#world.faulty && this.#world.chance(0.6)) this.#process.fuse(1 + this.#world.below(4));
      throw error;
    }
  }

  async read<Kind extends ReadKind>(read: ReadOf<Kind>): Promise<ReadResultOf[Kind]> {
    await this.#process.pause(this.#world.below(3));
    if (!this.#process.alive) return never();
    if (this.#world.faulty && this.#world.chance(this.#world.failingReads))
      throw new EngineError("busy", "simulated: cannot be read now");
    return await this.#of().read<Kind>(read);
  }

  async close(): Promise<void> {
    if (this.#process.effect()) await this.#engine?.close();
  }

  #of(): Engine {
    if (!this.#engine) throw new Error("the engine is not open");
    return this.#engine;
  }
}
