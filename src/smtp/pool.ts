/**
 * Sessions that wait for their next message. A session is kept for one
 * destination under one login (the key), for smtp_connection_cache_time_limit;
 * the one used last is used first, so that the others may end.
 *
 * Invariants
 *  1. What is taken is alive as far as can be told, and within the limits of reuse.
 *  2. Nothing is kept after close().
 */
import type { Clock, Timer } from "../runtime/clock.ts";
import type { Session } from "./session.ts";

/** Idle sessions of one client, whatever their destinations. What is beyond is closed. */
export const idleSessionLimit = 1000;

export interface PoolLimits {
  readonly idle_s: number;
  readonly reuse_s: number;
  /** 0: no limit. */
  readonly reuseCount: number;
}

interface Idle {
  readonly session: Session;
  readonly until_ms: number;
}

export class SessionPool {
  readonly #clock: Clock;
  readonly #limits: PoolLimits;
  /** Oldest first. */
  readonly #idle = new Map<string, Idle[]>();
  #count = 0;
  #timer: Timer | undefined;
  #closed = false;

  constructor(clock: Clock, limits: PoolLimits) {
    this.#clock = clock;
    this.#limits = limits;
  }

  get size(): number {
    return this.#count;
  }

  /** The session may be used once more, and kept after that. */
  reusable(session: Session): boolean {
    const { reuse_s, reuseCount, idle_s } = this.#limits;
    if (this.#closed || session.dead || session.sour || idle_s === 0) return false;
    if (reuseCount > 0 && session.uses > reuseCount) return false;
    return this.#clock.monotonic() - session.facts.born_ms < reuse_s * 1000;
  }

  take(key: string): Session | undefined {
    const waiting = this.#idle.get(key);
    if (!waiting) return undefined;
    for (let idle = waiting.pop(); idle; idle = waiting.pop()) {
      this.#count--;
      if (waiting.length === 0) this.#idle.delete(key);
      if (this.reusable(idle.session)) return idle.session;
      idle.session.quit();
    }
    return undefined;
  }

  /** Keeps a session, or closes it where it cannot be kept. */
  put(key: string, session: Session): void {
    if (!this.reusable(session) || this.#count >= idleSessionLimit) {
      session.quit();
      return;
    }
    const entry = { session, until_ms: this.#clock.monotonic() + this.#limits.idle_s * 1000 };
    const waiting = this.#idle.get(key);
    if (waiting) waiting.push(entry);
    else this.#idle.set(key, [entry]);
    this.#count++;
    this.#timer ??= this.#clock.after(this.#limits.idle_s * 1000, () => this.#sweep());
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
    for (const waiting of this.#idle.values()) for (const { session } of waiting) session.quit();
    this.#idle.clear();
    this.#count = 0;
  }

  /** Closes whom nobody came for, and forgets who has died. */
  #sweep(): void {
    this.#timer = undefined;
    const now = this.#clock.monotonic();
    let next_ms = Number.POSITIVE_INFINITY;
    for (const [key, waiting] of this.#idle) {
      let kept = 0;
      for (const idle of waiting) {
        if (idle.until_ms <= now || idle.session.dead) {
          idle.session.quit();
          this.#count--;
          continue;
        }
        waiting[kept++] = idle;
        next_ms = Math.min(next_ms, idle.until_ms);
      }
      waiting.length = kept;
      if (kept === 0) this.#idle.delete(key);
    }
    if (next_ms < Number.POSITIVE_INFINITY)
      this.#timer = this.#clock.after(Math.ceil(next_ms - now), () => this.#sweep());
  }
}
