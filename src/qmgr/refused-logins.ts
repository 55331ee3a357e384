/** A destination that refuses our login. */
export interface RefusedLogin {
  /** As settlements name the destination: "smtp:[mail.example]:587". */
  readonly key: string;
  /** What the last refusal said. */
  readonly reason: string;
  /** When that was: milliseconds since the epoch. */
  readonly seen_ms: number;
}

/** More destinations than this are not remembered: each of their refusals is new. */
const maxRemembered = 10_000;

/**
 * Which destinations refuse our login, so that it is said once, and shown for
 * as long as it is so: suspensions end and begin with each attempt, this does
 * not. One that has not refused for `memory_ms` is forgotten: no mail waits for
 * it any more, or it would have been tried.
 */
export class RefusedLogins {
  readonly #memory_ms: number;
  /** By key; the one that has not refused for the longest first. */
  readonly #logins = new Map<string, RefusedLogin>();

  constructor(memory_ms: number) {
    this.#memory_ms = memory_ms;
  }

  /** A login was refused. True where that was not known. */
  refused(login: RefusedLogin): boolean {
    this.#forget(login.seen_ms);
    const known = this.#logins.delete(login.key);
    if (this.#logins.size < maxRemembered) this.#logins.set(login.key, login);
    return !known;
  }

  /** A login was accepted. True where it was known as refused. */
  accepted(key: string): boolean {
    return this.#logins.delete(key);
  }

  /** Forgets all; their keys. */
  clear(): string[] {
    const keys = [...this.#logins.keys()];
    this.#logins.clear();
    return keys;
  }

  list(now_ms: number): readonly RefusedLogin[] {
    this.#forget(now_ms);
    return [...this.#logins.values()];
  }

  #forget(now_ms: number): void {
    for (const { key, seen_ms } of this.#logins.values()) {
      if (now_ms - seen_ms <= this.#memory_ms) return;
      this.#logins.delete(key);
    }
  }
}
