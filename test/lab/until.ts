import { setTimeout as pause } from "node:timers/promises";

const interval_ms = 50;

/**
 * Asks again and again until the answer is something else than undefined, false, null or "": that is
 * returned. Gives up after `limit_s`, with what `about` says of the state of things.
 */
export async function until<T>(
  what: string,
  ask: () => T | Promise<T>,
  { limit_s = 60, about = () => "" }: { limit_s?: number; about?: () => string } = {},
): Promise<Exclude<T, undefined | false | null | "">> {
  for (let left = (limit_s * 1000) / interval_ms; left > 0; left--) {
    const answer = await ask();
    if (answer !== undefined && answer !== false && answer !== null && answer !== "") {
      return answer as Exclude<T, undefined | false | null | "">;
    }
    await pause(interval_ms);
  }
  throw new Error(`waited ${limit_s} s in vain: ${what}\n${about()}`);
}
