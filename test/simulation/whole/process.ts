import type { Clock, Timer } from "../../../src/runtime/clock.ts";
import type { ChildExit } from "../../../src/runtime/processes.ts";
import type { World } from "../world.ts";

/**
 * A process of the simulated world, as seen from outside: what it does to the world (writes, commits, files, messages)
 * and what the world tells it (bytes, timers, answers). When it dies, nothing of either kind happens any more: what its code
 * goes on doing inside is seen by nobody, as nobody sees the memory of a process that is gone. Since it may die before any of its
 * effects (`fuse`), it may die at any await point.
 */
export class SimulatedProcess {
  readonly name: string;
  readonly pid: number;
  readonly clock: Clock;
  alive = true;
  /** How it ended. */
  exit: ChildExit | undefined;
  readonly #world: World;
  readonly #timers = new Set<Timer>();
  readonly #atDeath: (() => void)[] = [];
  /** Effects that are left to it; undefined: no end is set. */
  #fuse: number | undefined;

  constructor(world: World, name: string, pid: number) {
    this.#world = world;
    this.name = name;
    this.pid = pid;
    this.clock = {
      now: () => world.clock.now(),
      monotonic: () => world.clock.monotonic(),
      zoneOffset_min: () => 0,
      after: (delay_ms, wake) => this.#after(delay_ms, wake),
    };
  }

  /** It did not end in good order. */
  get crashed(): boolean {
    return !this.alive && this.exit?.status !== 0;
  }

  /** Dies before the effect of that number from now on. */
  fuse(effects: number | undefined): void {
    this.#fuse = effects;
  }

  /** Something of it is about to reach the world. False: it is dead, and nothing does. */
  effect(): boolean {
    if (!this.alive) return false;
    if (this.#fuse === undefined || --this.#fuse > 0) return true;
    this.die({ status: undefined, signal: "SIGKILL" });
    return false;
  }

  /** Resolves after a time; never, where it does not live to see it. */
  pause(delay_ms: number): Promise<void> {
    return new Promise((resolve) => this.#after(delay_ms, resolve));
  }

  atDeath(what: () => void): void {
    this.#atDeath.push(what);
  }

  die(exit: ChildExit): void {
    if (!this.alive) return;
    this.#world.note(`${this.name} ends: ${exit.signal ?? exit.status}`);
    this.alive = false;
    this.exit = exit;
    for (const timer of this.#timers) timer.cancel();
    this.#timers.clear();
    for (const what of this.#atDeath) what();
  }

  #after(delay_ms: number, wake: () => void): Timer {
    if (!this.alive) return { cancel() {}, restart() {} };
    const timer = this.#world.clock.after(delay_ms, () => {
      this.#timers.delete(timer);
      if (this.alive) wake();
    });
    this.#timers.add(timer);
    return {
      cancel: () => {
        timer.cancel();
        this.#timers.delete(timer);
      },
      restart: () => {
        if (!this.alive) return;
        timer.restart();
        this.#timers.add(timer);
      },
    };
  }
}

export function never<T>(): Promise<T> {
  return new Promise<T>(() => {});
}
