/** Time, and being woken at a time. */
export interface Clock {
  /** Milliseconds since the epoch. May jump, in either direction. */
  now(): number;
  /** Milliseconds from an arbitrary start, with a fraction. Never goes back. */
  monotonic(): number;
  /** Calls `wake` once, after `delay_ms` (0 to 2^31-1; more is taken as the most). Never keeps the process alive by itself if `idle`. */
  after(delay_ms: number, wake: () => void, options?: { readonly idle?: boolean }): Timer;
  /** Minutes east of UTC at that moment, for Date: headers and log lines. */
  zoneOffset_min(time_ms: number): number;
}

export interface Timer {
  cancel(): void;
  /** Starts the delay over, fired or not; nothing after cancel(). Cheaper than cancelling and setting again: deadlines of sessions are moved with each command. */
  restart(): void;
}

const longest_ms = 2 ** 31 - 1;

export const realClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(delay_ms, wake, options) {
    const timeout = setTimeout(wake, Math.min(Math.max(delay_ms, 0), longest_ms));
    if (options?.idle) timeout.unref();
    return { cancel: () => clearTimeout(timeout), restart: () => void timeout.refresh() };
  },
  zoneOffset_min: (time_ms) => -new Date(time_ms).getTimezoneOffset(),
};

/** Resolves after `delay_ms`. */
export function pause(clock: Clock, delay_ms: number): Promise<void> {
  return new Promise((resolve) => clock.after(delay_ms, resolve));
}
