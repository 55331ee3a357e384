import type { Answer } from "../table/maps.ts";

/**
 * Goes on with an answer: at once where it is there, later where it is a
 * promise. Look-ups in memory then cost no turn of the event loop.
 */
export function chain<T, U>(answer: Answer<T>, next: (value: T) => Answer<U>): Answer<U> {
  return answer instanceof Promise ? answer.then(next) : next(answer);
}
