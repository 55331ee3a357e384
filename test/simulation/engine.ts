import {
  type Engine,
  EngineError,
  type Op,
  type ReadKind,
  type ReadOf,
  type ReadResultOf,
  type Result,
} from "../../src/queue/engine.ts";
import { MemoryEngine, MemoryQueue } from "../../src/queue/memory-engine.ts";
import type { World } from "./world.ts";

/**
 * The disk that engines share, and what lies on it unsynced after a failed sync: the last batch that was
 * written there and not synced. The next commit of anybody overwrites it; it comes back when the file is opened
 * while nobody else has it open (SQLite replays its log then).
 */
export class SimulatedDisk {
  readonly queue = new MemoryQueue();
  limbo: Batch | undefined;
  readonly #open = new Set<SimulatedEngine>();

  /** True when something came back. */
  async opened(engine: SimulatedEngine): Promise<boolean> {
    const limbo = this.#open.size === 0 ? this.limbo : undefined;
    this.#open.add(engine);
    if (!limbo) return false;
    this.limbo = undefined;
    await apply(this.queue, limbo);
    return true;
  }

  /** What a failed sync left in memory is on the disk, or is not. */
  losePower(world: World): void {
    if (world.chance(0.5)) this.limbo = undefined;
  }

  closed(engine: SimulatedEngine): void {
    this.#open.delete(engine);
  }
}

interface Batch {
  readonly owner: string;
  readonly number: number;
  readonly ops: readonly Op[];
}

async function apply(queue: MemoryQueue, { owner, number, ops }: Batch): Promise<readonly Result[]> {
  return await new MemoryEngine(queue, owner).commit(number, ops);
}

/**
 * An engine whose commits take time and fail as those of a disk do: without room, locked, or with a sync that
 * fails, whose batch may be in the file after all. Its process may be killed at any moment; the batch under way is then kept, or not.
 */
export class SimulatedEngine implements Engine {
  readonly #world: World;
  readonly #disk: SimulatedDisk;
  readonly #owner: string;
  readonly #inner: MemoryEngine;
  #writing: Batch | undefined;
  #dead = false;
  #failed = false;

  constructor(world: World, disk: SimulatedDisk, owner: string) {
    this.#world = world;
    this.#disk = disk;
    this.#owner = owner;
    this.#inner = new MemoryEngine(disk.queue, owner);
  }

  async commit(number: number, ops: readonly Op[]): Promise<readonly Result[]> {
    if (this.#dead) return never();
    const world = this.#world;
    const batch = { owner: this.#owner, number, ops };
    world.note(`${this.#owner} writes ${number}: ${ops.map(described).join(" ")}`);
    if (this.#writing)
      world.violated(`${this.#owner} begins batch ${number} while ${this.#writing.number} is being written`);
    this.#writing = batch;
    await world.pause(world.below(12));
    if (this.#dead) return never();
    const ending = this.#failed ? "lost" : this.#ending();
    if (ending === "full" || ending === "busy" || ending === "failed") return this.#fails(ending, batch);
    // A handle whose sync failed says yes to the next one, though the pages are gone.
    const results = ending === "lost" ? ops.map(pretended) : await this.#apply(number, ops);
    this.#writing = undefined;
    await world.pause(world.below(3));
    if (this.#dead) return never();
    world.note(`${this.#owner} wrote ${number}`);
    return results;
  }

  async #apply(number: number, ops: readonly Op[]): Promise<readonly Result[]> {
    try {
      const results = await this.#inner.commit(number, ops);
      this.#disk.limbo = undefined;
      return results;
    } catch (error) {
      this.#writing = undefined;
      throw error;
    }
  }

  #ending(): "ok" | "full" | "busy" | "failed" {
    const world = this.#world;
    if (!world.faulty || !world.chance(0.15)) return "ok";
    return world.chance(world.failingSyncs) ? "failed" : world.chance(0.7) ? "full" : "busy";
  }

  #fails(kind: "full" | "busy" | "failed", batch: Batch): never {
    const kept = kind === "failed" && this.#world.chance(0.6);
    this.#world.note(`${this.#owner} ${kind} ${batch.number}${kept ? ", written" : ""}`);
    this.#writing = undefined;
    if (kind === "failed") this.#failed = true;
    if (kept) this.#disk.limbo = batch;
    throw new EngineError(kind, `simulated ${kind}`);
  }

  /** The process is gone. What it was writing is in the file, or is not. */
  async kill(): Promise<void> {
    if (this.#dead) return;
    this.#dead = true;
    this.#disk.closed(this);
    const writing = this.#writing;
    if (!writing || this.#failed || this.#world.chance(0.5)) return;
    this.#world.note(`${this.#owner} leaves ${writing.number} in the file`);
    await this.#apply(writing.number, writing.ops).catch(() => undefined);
  }

  read<Kind extends ReadKind>(read: ReadOf<Kind>): Promise<ReadResultOf[Kind]> {
    return this.#dead ? never() : this.#inner.read<Kind>(read);
  }

  async close(): Promise<void> {
    this.#disk.closed(this);
  }
}

function never<T>(): Promise<T> {
  return new Promise<T>(() => {});
}

function described(op: Op): string {
  if (op.kind === "accept") return `accept:${op.insert.id}`;
  if (op.kind === "settle") return `settle:${op.id}:${op.change.kind}`;
  if (op.kind === "operate") return op.action;
  return op.kind;
}

function pretended(op: Op): Result {
  switch (op.kind) {
    case "accept":
      return "stored";
    case "settle":
      return op.notifications.map(() => "stored" as const);
    case "claim":
      return { rows: [], corrupt: [], more: false };
    case "operate":
    case "flush":
      return { changed: [], next: undefined };
    case "release":
      return { count: 0, corrupt: [], more: false };
    default:
      return undefined;
  }
}
