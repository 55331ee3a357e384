import type { Clock } from "../../runtime/clock.ts";

/** What the promise gives; rejects with an error of that text where it does not within the time. It goes on then, unheard. */
export function withinTime<T>(
  clock: Pick<Clock, "after">,
  promise: Promise<T>,
  limit_ms: number,
  text: string,
  error: (text: string) => Error = (said) => new Error(said),
): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = clock.after(limit_ms, () => reject(error(text)));
    promise.then(resolve, reject).finally(() => timer.cancel());
  });
}
